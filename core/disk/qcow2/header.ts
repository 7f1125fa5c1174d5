/**
 * The qcow2 header and its extensions, versions 2 and 3 (QEMU's docs/interop/qcow2.txt, "Header", "Feature name table"). Sizes and offsets are bytes unless
 * the name says otherwise. Every field of a file is checked here or refused with its name; nothing behind this trusts a number it has not bounded.
 */
import { getU64, roundUp, setU64, viewOf } from '../bigendian.ts';
import { say, type Saying } from '../../util/say.ts';
import { corrupt, unsupported } from './errors.ts';

export const MAGIC = 0x514649fb;

/** Incompatible features. */
export const INCOMPAT_DIRTY = 1;
export const INCOMPAT_CORRUPT = 2;
export const INCOMPAT_DATA_FILE = 4;
export const INCOMPAT_COMPRESSION = 8;
export const INCOMPAT_EXTENDED_L2 = 16;
const KNOWN_INCOMPATIBLE = INCOMPAT_DIRTY | INCOMPAT_CORRUPT | INCOMPAT_DATA_FILE | INCOMPAT_COMPRESSION | INCOMPAT_EXTENDED_L2;
/** Compatible features. */
export const COMPAT_LAZY_REFCOUNTS = 1;
/** Autoclear features: a program that does not know one must clear it before it writes. */
export const AUTOCLEAR_BITMAPS = 1;
export const AUTOCLEAR_DATA_FILE_RAW = 2;
const KNOWN_AUTOCLEAR = AUTOCLEAR_BITMAPS | AUTOCLEAR_DATA_FILE_RAW;

const EXT_END = 0;
const EXT_BACKING_FORMAT = 0xe2792aca;
const EXT_FEATURE_NAMES = 0x6803f857;
const EXT_BITMAPS = 0x23852875;
const EXT_ENCRYPTION = 0x0537be77;
const EXT_DATA_FILE = 0x44415441;

const V2_LENGTH = 72;
const V3_LENGTH = 104;
/** With the compression type. */
const V3_FULL_LENGTH = 112;
const MAX_BACKING_NAME = 1023;
/** As QEMU: an L1 table of 32 MiB, a refcount table of 8 MiB, 65,536 snapshots. */
const MAX_L1_BYTES = 32 << 20;
const MAX_REFCOUNT_TABLE_BYTES = 8 << 20;
const MAX_SNAPSHOTS = 65536;
/** Nothing in the file may lie behind this: the field has 56 bits, a JavaScript number is exact to 53. */
export const MAX_OFFSET = 2 ** 53 - 2 ** 22;

export type Encryption = 'none' | 'aes' | 'luks';
export type Compression = 'zlib' | 'zstd';

export interface Extension {
  type: number;
  data: Uint8Array;
}

export interface BitmapsExtension {
  count: number;
  directorySize: number;
  directoryOffset: number;
}

export interface Header {
  version: 2 | 3;
  clusterBits: number;
  /** Virtual size. */
  sizeBytes: number;
  encryption: Encryption;
  l1Entries: number;
  l1Offset: number;
  refcountTableOffset: number;
  refcountTableClusters: number;
  snapshotCount: number;
  snapshotsOffset: number;
  incompatible: number;
  compatible: number;
  autoclear: number;
  /** The file has autoclear bits that we don't know: they must go before anything is written. */
  foreignAutoclear: boolean;
  /** Refcounts have 2 to the power of this many bits. */
  refcountOrder: number;
  compression: Compression;
  backingFile: string | undefined;
  /** Where in the header's cluster its name lies; behind the extensions when absent. */
  backingFileAt?: number | undefined;
  backingFormat: string | undefined;
  dataFile: string | undefined;
  bitmaps: BitmapsExtension | undefined;
  /** Where the LUKS header lies. */
  luks: { offset: number; length: number } | undefined;
  /** Extensions of other programs, kept as they are. */
  unknown: Extension[];
}

/** How much of a file `parseHeader` wants to see: the header, its extensions and the backing file name lie in the first cluster. */
export const HEADER_BYTES = 2 << 20;

const KNOWN_NAMES: [type: number, bit: number, name: string][] = [
  [0, 0, 'dirty bit'],
  [0, 1, 'corrupt bit'],
  [0, 2, 'external data file'],
  [0, 3, 'compression type'],
  [0, 4, 'extended L2 entries'],
  [1, 0, 'lazy refcounts'],
  [2, 0, 'bitmaps'],
  [2, 1, 'raw external data'],
];

/** Names of the bits of `value`, from the image's own feature name table where it has them. */
function featureNames(value: bigint, kind: number, table: Uint8Array | undefined): string {
  const names: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if (!((value >> BigInt(bit)) & 1n)) continue;
    let name = `unknown feature (bit ${bit})`;
    for (let at = 0; table && at + 48 <= table.length; at += 48)
      if (table[at] === kind && table[at + 1] === bit) {
        const end = table.indexOf(0, at + 2);
        name = text(table.subarray(at + 2, Math.min(end < 0 ? at + 48 : end, at + 48)));
      }
    names.push(`"${name}"`);
  }
  return names.join(', ');
}

// Control characters of a name in a file must not reach a terminal.
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is removed
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes).replace(/[\u0000-\u001f\u007f]/g, '?');

/** True when the file begins as a qcow2 image does. */
export function isQcow2(start: Uint8Array): boolean {
  return start.length >= 8 && viewOf(start).getUint32(0) === MAGIC && viewOf(start).getUint32(4) >= 2;
}

/**
 * Parses the first bytes (HEADER_BYTES, or the whole file when it is shorter) of the image at `path`.
 * Throws 'corrupt' or 'unsupported', naming the field or feature.
 */
export function parseHeader(start: Uint8Array, path: string): Header {
  const view = viewOf(start);
  if (start.length < V2_LENGTH || view.getUint32(0) !== MAGIC) throw corrupt(path, say('damageNoQcow2'));
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3) throw unsupported(path, `qcow version ${version}; versions 2 and 3 are supported`);
  const clusterBits = view.getUint32(20);
  if (clusterBits < 9 || clusterBits > 21) throw corrupt(path, say('damageClusterBits', { bits: clusterBits }));
  const clusterSize = 2 ** clusterBits;
  let headerLength = V2_LENGTH;
  if (version === 3) {
    if (start.length < V3_LENGTH) throw corrupt(path, say('damageHeaderCut'));
    headerLength = view.getUint32(100);
    if (headerLength < V3_LENGTH || headerLength % 8 || headerLength > Math.min(clusterSize, start.length))
      throw corrupt(path, say('damageHeaderSize', { size: headerLength }));
  }
  const method = view.getUint32(32);
  if (method > 2) throw unsupported(path, `encryption method ${method}`);
  const header: Header = {
    version,
    clusterBits,
    sizeBytes: getU64(view, 24),
    encryption: (['none', 'aes', 'luks'] as const)[method]!,
    l1Entries: view.getUint32(36),
    l1Offset: getU64(view, 40),
    refcountTableOffset: getU64(view, 48),
    refcountTableClusters: view.getUint32(56),
    snapshotCount: view.getUint32(60),
    snapshotsOffset: getU64(view, 64),
    incompatible: 0,
    compatible: 0,
    autoclear: 0,
    foreignAutoclear: false,
    refcountOrder: 4,
    compression: 'zlib',
    backingFile: undefined,
    backingFormat: undefined,
    dataFile: undefined,
    bitmaps: undefined,
    luks: undefined,
    unknown: [],
  };
  const names = readExtensions(header, start, headerLength, clusterSize, path);
  if (version === 3) readFeatures(header, view, headerLength, names, path);
  header.backingFile = readBackingName(start, view, clusterSize, path);
  if (header.backingFile !== undefined) header.backingFileAt = getU64(view, 8);
  checkHeader(header, clusterSize, path);
  return header;
}

function readFeatures(header: Header, view: DataView, headerLength: number, names: Uint8Array | undefined, path: string): void {
  const incompatible = view.getBigUint64(72);
  const foreign = incompatible & ~BigInt(KNOWN_INCOMPATIBLE);
  if (foreign) throw unsupported(path, `features this version does not know: ${featureNames(foreign, 0, names)}`, say('fixNewerVersion'));
  header.incompatible = Number(incompatible);
  header.compatible = Number(view.getBigUint64(80) & BigInt(COMPAT_LAZY_REFCOUNTS));
  header.autoclear = Number(view.getBigUint64(88) & BigInt(KNOWN_AUTOCLEAR));
  header.foreignAutoclear = (view.getBigUint64(88) & ~BigInt(KNOWN_AUTOCLEAR)) !== 0n;
  header.refcountOrder = view.getUint32(96);
  if (header.refcountOrder > 6) throw corrupt(path, say('damageRefcountBits', { bits: header.refcountOrder }));
  const type = headerLength > V3_LENGTH ? view.getUint8(104) : 0;
  if (type > 1) throw unsupported(path, `compression type ${type}`);
  header.compression = type ? 'zstd' : 'zlib';
  if ((type !== 0) !== ((header.incompatible & INCOMPAT_COMPRESSION) !== 0)) throw corrupt(path, say('damageCompressionBit'));
}

/** Fills in what the extensions say; returns the feature name table. */
function readExtensions(header: Header, start: Uint8Array, from: number, clusterSize: number, path: string): Uint8Array | undefined {
  const view = viewOf(start);
  const backingAt = getU64(view, 8);
  const end = Math.min(backingAt > 0 ? backingAt : clusterSize, clusterSize, start.length);
  let names: Uint8Array | undefined;
  for (let at = from; at + 8 <= end; ) {
    const type = view.getUint32(at);
    const length = view.getUint32(at + 4);
    if (type === EXT_END) break;
    if (length > end - at - 8) throw corrupt(path, say('damageExtensionCut', { type: type.toString(16), size: length }));
    const data = start.slice(at + 8, at + 8 + length);
    const fields = viewOf(data);
    if (type === EXT_BACKING_FORMAT) header.backingFormat = text(data);
    else if (type === EXT_FEATURE_NAMES) names = data;
    else if (type === EXT_DATA_FILE) header.dataFile = new TextDecoder().decode(data);
    else if (type === EXT_BITMAPS) {
      if (length !== 24) throw corrupt(path, say('damageBitmapsExtension', { size: length }));
      header.bitmaps = { count: fields.getUint32(0), directorySize: getU64(fields, 8), directoryOffset: getU64(fields, 16) };
    } else if (type === EXT_ENCRYPTION && header.encryption === 'luks') {
      if (length < 16) throw corrupt(path, say('damageEncryptionPointer', { size: length }));
      header.luks = { offset: getU64(fields, 0), length: getU64(fields, 8) };
    } else header.unknown.push({ type, data });
    at += 8 + roundUp(length, 8);
  }
  return names;
}

function readBackingName(start: Uint8Array, view: DataView, clusterSize: number, path: string): string | undefined {
  const at = getU64(view, 8);
  if (at === 0) return undefined;
  const length = view.getUint32(16);
  if (length > MAX_BACKING_NAME || at + length > Math.min(clusterSize, start.length))
    throw corrupt(path, say('damageBackingName', { size: length, offset: at }));
  if (length === 0) return undefined;
  return new TextDecoder().decode(start.subarray(at, at + length));
}

function checkHeader(header: Header, clusterSize: number, path: string): void {
  const at = (what: Saying, offset: number) => {
    if (offset % clusterSize || offset > MAX_OFFSET) throw corrupt(path, say('damageNoClusterAt', { what, offset }));
  };
  if (header.sizeBytes > MAX_OFFSET) throw unsupported(path, `a virtual size of ${header.sizeBytes} bytes; 8 PiB are supported`);
  at(say('damageTheL1'), header.l1Offset);
  at(say('damageTheRefcounts'), header.refcountTableOffset);
  at(say('damageTheSnapshots'), header.snapshotsOffset);
  if (header.l1Entries * 8 > MAX_L1_BYTES) throw corrupt(path, say('damageL1Entries', { count: header.l1Entries }));
  if (header.l1Entries < l1EntriesFor(header.sizeBytes, header)) throw corrupt(path, say('damageL1Small'));
  if (header.l1Entries && !header.l1Offset) throw corrupt(path, say('damageNoL1'));
  if (header.refcountTableClusters * clusterSize > Math.max(MAX_REFCOUNT_TABLE_BYTES, clusterSize))
    throw corrupt(path, say('damageRefcountTable', { count: header.refcountTableClusters }));
  if (!header.refcountTableClusters || !header.refcountTableOffset) throw corrupt(path, say('damageNoRefcounts'));
  if (header.snapshotCount > MAX_SNAPSHOTS) throw corrupt(path, say('damageSnapshots', { count: header.snapshotCount }));
  if (header.snapshotCount && !header.snapshotsOffset) throw corrupt(path, say('damageNoSnapshotTable'));
  if (header.incompatible & INCOMPAT_EXTENDED_L2 && header.clusterBits < 14) throw corrupt(path, say('damageExtendedL2'));
  if (header.encryption === 'luks' && !header.luks) throw corrupt(path, say('damageNoLuks'));
  if (header.luks && (header.luks.offset % clusterSize || header.luks.offset > MAX_OFFSET || header.luks.length > 64 << 20))
    throw corrupt(path, say('damageLuksHeader', { size: header.luks.length, offset: header.luks.offset }));
}

export const extendedL2 = (header: Pick<Header, 'incompatible'>): boolean => (header.incompatible & INCOMPAT_EXTENDED_L2) !== 0;

/** Guest bytes that one L2 table maps. */
export function l2Covers(header: Pick<Header, 'clusterBits' | 'incompatible'>): number {
  return 2 ** header.clusterBits * (2 ** header.clusterBits / (extendedL2(header) ? 16 : 8));
}

/** Entries of the L1 table that `sizeBytes` needs. */
export function l1EntriesFor(sizeBytes: number, header: Pick<Header, 'clusterBits' | 'incompatible'>): number {
  return Math.ceil(sizeBytes / l2Covers(header));
}

/**
 * The header with extensions and backing file name, one cluster. Throws 'unsupported' when it does not fit. Without names of the features, what else it says
 * lies in the first sector, as a rule.
 */
export function encodeHeader(header: Header, path: string, names = true): Uint8Array {
  const clusterSize = 2 ** header.clusterBits;
  const bytes = new Uint8Array(clusterSize);
  const view = viewOf(bytes);
  view.setUint32(0, MAGIC);
  view.setUint32(4, header.version);
  view.setUint32(20, header.clusterBits);
  setU64(view, 24, header.sizeBytes);
  view.setUint32(32, { none: 0, aes: 1, luks: 2 }[header.encryption]);
  view.setUint32(36, header.l1Entries);
  setU64(view, 40, header.l1Offset);
  setU64(view, 48, header.refcountTableOffset);
  view.setUint32(56, header.refcountTableClusters);
  view.setUint32(60, header.snapshotCount);
  setU64(view, 64, header.snapshotsOffset);
  let at = V2_LENGTH;
  if (header.version === 3) {
    at = V3_FULL_LENGTH;
    setU64(view, 72, header.incompatible);
    setU64(view, 80, header.compatible);
    setU64(view, 88, header.autoclear);
    view.setUint32(96, header.refcountOrder);
    view.setUint32(100, at);
    view.setUint8(104, header.compression === 'zstd' ? 1 : 0);
  }
  const put = (data: Uint8Array) => {
    if (at + data.length > clusterSize) throw unsupported(path, 'more header data than fits into a cluster', say('fixClustersOrName'));
    bytes.set(data, at);
    at += data.length;
  };
  const extension = (type: number, data: Uint8Array) => {
    const padded = new Uint8Array(8 + roundUp(data.length, 8));
    viewOf(padded).setUint32(0, type);
    viewOf(padded).setUint32(4, data.length);
    padded.set(data, 8);
    put(padded);
  };
  if (header.backingFormat !== undefined) extension(EXT_BACKING_FORMAT, new TextEncoder().encode(header.backingFormat));
  if (header.dataFile !== undefined) extension(EXT_DATA_FILE, new TextEncoder().encode(header.dataFile));
  if (header.luks) {
    const data = new Uint8Array(16);
    setU64(viewOf(data), 0, header.luks.offset);
    setU64(viewOf(data), 8, header.luks.length);
    extension(EXT_ENCRYPTION, data);
  }
  if (header.bitmaps?.count) {
    const data = new Uint8Array(24);
    viewOf(data).setUint32(0, header.bitmaps.count);
    setU64(viewOf(data), 8, header.bitmaps.directorySize);
    setU64(viewOf(data), 16, header.bitmaps.directoryOffset);
    extension(EXT_BITMAPS, data);
  }
  for (const { type, data } of header.unknown) extension(type, data);
  // Last, as they lie across sectors. Clusters of 512 bytes have little room: names help nobody there as much as a longer backing file name.
  if (names && header.version === 3 && clusterSize > 1024) extension(EXT_FEATURE_NAMES, encodeFeatureNames());
  put(new Uint8Array(8));
  if (header.backingFile !== undefined) {
    const name = encodeBackingName(header.backingFile, path);
    const wanted = header.backingFileAt ?? 0;
    if (wanted >= at && wanted + name.length <= clusterSize) at = wanted;
    setU64(view, 8, at);
    view.setUint32(16, name.length);
    put(name);
  }
  return bytes;
}

/** The name as it is in the file. Throws 'unsupported' for one that is too long. */
export function encodeBackingName(name: string, path: string): Uint8Array {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length <= MAX_BACKING_NAME) return bytes;
  throw unsupported(path, `a backing file name of ${bytes.length} bytes; 1023 are allowed`, say('fixShorterPath'));
}

/** Where a backing file name would follow the extensions. */
export function extensionsEnd(header: Header, path: string, names = true): number {
  return getU64(viewOf(encodeHeader({ ...header, backingFile: 'x', backingFileAt: undefined }, path, names)), 8);
}

/**
 * A place for the backing file name of `next` that neither its extensions nor those of `now` nor the name of `now` use; undefined when the cluster has none.
 */
export function placeBackingName(next: Header, now: Header, path: string): number | undefined {
  if (next.backingFile === undefined) return undefined;
  const { length } = encodeBackingName(next.backingFile, path);
  let at = roundUp(Math.max(extensionsEnd(next, path), extensionsEnd(now, path)), 8);
  if (now.backingFile !== undefined) {
    const from = now.backingFileAt ?? extensionsEnd(now, path);
    const to = from + encodeBackingName(now.backingFile, path).length;
    if (at < to && from < at + length) at = roundUp(to, 8);
  }
  return at + length <= 2 ** next.clusterBits ? at : undefined;
}

function encodeFeatureNames(): Uint8Array {
  const data = new Uint8Array(KNOWN_NAMES.length * 48);
  KNOWN_NAMES.forEach(([type, bit, name], i) => {
    data[i * 48] = type;
    data[i * 48 + 1] = bit;
    data.set(new TextEncoder().encode(name), i * 48 + 2);
  });
  return data;
}
