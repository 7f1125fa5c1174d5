/** New qcow2 images. */
import type { BlockBackend } from '../../backend/block.ts';
import type { RandomAccessFile } from '../../backend/file.ts';
import { HypervueError } from '../../util/errors.ts';
import { say, type Saying } from '../../util/say.ts';
import { setU64, viewOf } from '../bigendian.ts';
import type { Codec } from '../codec.ts';
import { stopIfAborted, type TaskOptions } from '../task.ts';
import {
  AUTOCLEAR_DATA_FILE_RAW,
  COMPAT_LAZY_REFCOUNTS,
  type Compression,
  encodeHeader,
  type Header,
  INCOMPAT_COMPRESSION,
  INCOMPAT_DATA_FILE,
  INCOMPAT_EXTENDED_L2,
  l1EntriesFor,
  l2Covers,
} from './header.ts';
import { Qcow2Image, readHeader } from './image.ts';
import { writeRefcount } from './refcountblock.ts';

export interface Qcow2Options {
  sizeBytes: number;
  version?: 2 | 3;
  clusterSize?: number;
  /** 1, 2, 4 ... 64. */
  refcountBits?: number;
  lazyRefcounts?: boolean;
  compression?: Compression;
  extendedL2?: boolean;
  backingFile?: string;
  backingFormat?: string;
  dataFile?: string;
  dataFileRaw?: boolean;
  /**
   * 'off': nothing. 'metadata': every cluster is mapped, none written. 'falloc': and the file system has put room aside. 'full': and zeros
   * are written.
   */
  preallocation?: Preallocation;
  /** LUKS header with its key slots: what is written to the disk is encrypted. */
  luksHeader?: Uint8Array;
}
export type Preallocation = 'off' | 'metadata' | 'falloc' | 'full';

function refuse(message: Saying, fix: Saying): HypervueError {
  return new HypervueError('invalid-argument', message, { operation: 'create qcow2' }, fix);
}

/** Checks the options and gives the header they mean. Throws 'invalid-argument' naming the option. */
export function headerFor(options: Qcow2Options): Header {
  const version = options.version ?? 3;
  const clusterSize = options.clusterSize ?? 65536;
  const clusterBits = Math.log2(clusterSize);
  const refcountOrder = Math.log2(options.refcountBits ?? 16);
  if (!Number.isInteger(clusterBits) || clusterBits < 9 || clusterBits > 21)
    throw refuse(say('clusterBytes', { size: clusterSize }), say('fixClusterBytes'));
  if (!Number.isInteger(refcountOrder) || refcountOrder < 0 || refcountOrder > 6)
    throw refuse(say('refcountWidth', { bits: options.refcountBits }), say('fixRefcountWidth'));
  if (!(options.sizeBytes > 0) || options.sizeBytes % 512)
    throw refuse(say('noDiskSize', { size: options.sizeBytes }), say('fixMultiple512'));
  if (
    version === 2 &&
    (refcountOrder !== 4 || options.lazyRefcounts || options.extendedL2 || options.dataFile || options.compression === 'zstd')
  )
    throw refuse(say('oldVersion2'), say('fixVersion3'));
  if (options.extendedL2 && clusterBits < 14) throw refuse(say('extendedL2Clusters'), say('fixLargerClusters'));
  if (options.luksHeader && (options.version === 2 || options.dataFile)) throw refuse(say('encryptedWants'), say('fixLeaveOne'));
  if (options.dataFile && options.backingFile) throw refuse(say('dataFileNoBacking'), say('fixLeaveOne'));
  if (options.preallocation && options.preallocation !== 'off' && options.backingFile && !options.extendedL2)
    throw refuse(say('preallocationHides'), say('fixNoPreallocation'));
  const header: Header = {
    version,
    clusterBits,
    sizeBytes: options.sizeBytes,
    encryption: options.luksHeader ? 'luks' : 'none',
    l1Entries: 0,
    l1Offset: 0,
    refcountTableOffset: clusterSize,
    refcountTableClusters: 1,
    snapshotCount: 0,
    snapshotsOffset: 0,
    incompatible:
      (options.dataFile ? INCOMPAT_DATA_FILE : 0) |
      (options.compression === 'zstd' ? INCOMPAT_COMPRESSION : 0) |
      (options.extendedL2 ? INCOMPAT_EXTENDED_L2 : 0),
    compatible: options.lazyRefcounts ? COMPAT_LAZY_REFCOUNTS : 0,
    autoclear: options.dataFile && options.dataFileRaw ? AUTOCLEAR_DATA_FILE_RAW : 0,
    foreignAutoclear: false,
    refcountOrder,
    compression: options.compression ?? 'zlib',
    backingFile: options.backingFile,
    backingFormat: options.backingFormat,
    dataFile: options.dataFile,
    bitmaps: undefined,
    luks: undefined,
    unknown: [],
  };
  header.l1Entries = Math.max(1, l1EntriesFor(options.sizeBytes, header));
  if (header.l1Entries * 8 > 32 << 20)
    throw refuse(say('clustersAllow', { size: clusterSize, most: Math.floor((4 << 20) * l2Covers(header)) }), say('fixClustersOrSmaller'));
  return header;
}

/** Writes an empty image into `file`, which is empty. The order of the parts: header, refcount table, refcount blocks, L1 table, LUKS header. */
export async function createQcow2(file: RandomAccessFile, options: Qcow2Options): Promise<void> {
  const header = headerFor(options);
  const clusterSize = 2 ** header.clusterBits;
  const perBlock = (clusterSize * 8) / 2 ** header.refcountOrder;
  const l1Clusters = Math.ceil((header.l1Entries * 8) / clusterSize);
  const luksClusters = Math.ceil((options.luksHeader?.length ?? 0) / clusterSize);
  // The blocks count themselves.
  let blocks = 1;
  let tableClusters = 1;
  let total = 0;
  for (;;) {
    total = 1 + tableClusters + blocks + l1Clusters + luksClusters;
    const wantedBlocks = Math.ceil(total / perBlock);
    const wantedTable = Math.ceil((wantedBlocks * 8) / clusterSize);
    if (wantedBlocks <= blocks && wantedTable <= tableClusters) break;
    blocks = Math.max(blocks, wantedBlocks);
    tableClusters = Math.max(tableClusters, wantedTable);
  }
  header.refcountTableClusters = tableClusters;
  header.l1Offset = (1 + tableClusters + blocks) * clusterSize;
  const table = new Uint8Array(tableClusters * clusterSize);
  for (let i = 0; i < blocks; i++) {
    setU64(viewOf(table), i * 8, (1 + tableClusters + i) * clusterSize);
    const block = new Uint8Array(clusterSize);
    for (let index = 0; index < perBlock && i * perBlock + index < total; index++)
      writeRefcount(viewOf(block), header.refcountOrder, index, 1);
    await file.write((1 + tableClusters + i) * clusterSize, block);
  }
  await file.write(clusterSize, table);
  await file.write(header.l1Offset, new Uint8Array(l1Clusters * clusterSize));
  if (options.luksHeader) {
    header.luks = { offset: header.l1Offset + l1Clusters * clusterSize, length: options.luksHeader.length };
    const padded = new Uint8Array(luksClusters * clusterSize);
    padded.set(options.luksHeader);
    await file.write(header.luks.offset, padded);
  }
  await file.sync();
  await file.write(0, encodeHeader(header, file.path));
  await file.sync();
}

/** Gives every cluster of a new image its place. `reserve` puts room of the file aside; `full` writes zeros. */
export async function preallocate(image: Qcow2Image, how: Preallocation, options: TaskOptions = {}): Promise<void> {
  if (how === 'off') return;
  const total = image.info.sizeBytes;
  const step = Math.max(image.meta.clusterSize, 8 << 20);
  const zeros = how === 'full' ? new Uint8Array(step) : undefined;
  for (let at = 0; at < total; at += step) {
    stopIfAborted(options, image.info.label);
    const length = Math.min(step, total - at);
    if (zeros) await image.write(at, zeros.subarray(0, length));
    else await image.reserve(at, length);
    options.progress?.(at + length, total);
  }
  await image.flush();
  if (how === 'falloc') {
    const file = image.meta.file;
    await file.allocate?.(0, await image.meta.fileEnd());
  }
}

/** A convenience: creates the image in `file` and opens it. */
export async function createAndOpen(
  file: RandomAccessFile,
  options: Qcow2Options,
  parts: { codec: Codec; backing?: BlockBackend; dataFile?: RandomAccessFile },
): Promise<Qcow2Image> {
  await createQcow2(file, options);
  return Qcow2Image.open(file, await readHeader(file), { ...parts, readOnly: false });
}
