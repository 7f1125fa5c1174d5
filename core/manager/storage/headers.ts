/** What the first bytes of a file say about it as a disk image. Nothing but headers is read, so that a folder with hundreds of images is listed at once. */
import path from 'node:path';
import type { ErrorDto } from '../../contract/errors.ts';
import { HEADER_BYTES, type Header, INCOMPAT_CORRUPT, INCOMPAT_DIRTY, isQcow2, parseHeader } from '../../disk/qcow2/header.ts';
import { misnamed, namedFormat } from '../../platform/namedformat.ts';
import { NodeFile } from '../../platform/nodefile.ts';
import { type ForeignFormat, foreignNeeds, probeForeign } from '../../platform/openforeign.ts';
import { openImage } from '../../platform/openimage.ts';
import { asHypervueError } from '../../util/errors.ts';

export interface ImageFacts {
  format: string;
  /** Of the disk; null when the file does not say. */
  sizeBytes: number | null;
  /** Resolved from the image's folder. */
  backing: { path: string; format: string | null } | null;
  dataFile: string | null;
  encrypted: boolean;
  snapshots: number;
  needsRepair: boolean;
  problem: ErrorDto | null;
}

/** Where nearly every header with its extensions and names ends; a longer one is read again whole. */
const FIRST_BYTES = 4096;
/** Volume descriptors of ISO 9660 (ECMA-119, 8.1) begin in sector 16; the identifier is behind the type. */
const ISO_OFFSET = 16 * 2048 + 1;

const ascii = (bytes: Uint8Array, at: number, length: number) => Buffer.from(bytes.subarray(at, at + length)).toString('latin1');

/** Formats that we know to name and nothing more. */
const MAGICS: readonly [string, string][] = [
  ['QED\0', 'qed'],
  ['LUKS\xba\xbe', 'luks'],
];

/** `file` is resolved. Rejects as opening does when it can't be read; a header that makes no sense is a `problem`. */
export async function readImageFacts(file: string): Promise<ImageFacts> {
  const opened = await NodeFile.open(file, true);
  try {
    const size = await opened.size();
    const start = new Uint8Array(FIRST_BYTES);
    const got = await opened.read(0, start);
    const head = start.subarray(0, got);
    if (isQcow2(head)) return await qcow2Facts(opened, head, size);
    const plain = { backing: null, dataFile: null, snapshots: 0, needsRepair: false, problem: null };
    const magic = MAGICS.find(([word]) => ascii(head, 0, word.length) === word);
    if (magic) return { ...plain, format: magic[1], sizeBytes: null, encrypted: magic[1] === 'luks' };
    const foreign = await probeForeign(opened);
    if (foreign) return await foreignFacts(opened, foreign);
    const iso = new Uint8Array(5);
    const isIso = size > ISO_OFFSET + 5 && (await opened.read(ISO_OFFSET, iso)) === 5 && ascii(iso, 0, 5) === 'CD001';
    const wrong = isIso ? undefined : misnamed(file);
    if (wrong) return { ...plain, format: namedFormat(file)!, sizeBytes: null, encrypted: false, problem: wrong.toJSON() };
    return { ...plain, format: isIso ? 'iso' : 'raw', sizeBytes: size, encrypted: false };
  } finally {
    await opened.close();
  }
}

/** Of an image of another program. Its size is known once it was opened, with the files that it needs. */
async function foreignFacts(file: NodeFile, format: ForeignFormat): Promise<ImageFacts> {
  const facts: ImageFacts = {
    format,
    sizeBytes: null,
    backing: null,
    dataFile: null,
    encrypted: false,
    snapshots: 0,
    needsRepair: false,
    problem: null,
  };
  try {
    const { files, below } = await foreignNeeds(file, format);
    facts.backing = below === undefined ? null : { path: below, format };
    facts.dataFile = files[0] ?? null;
    const image = await openImage(file.path, { readOnly: true, format });
    facts.sizeBytes = image.info.sizeBytes;
    await image.close();
  } catch (error) {
    facts.problem = asHypervueError(error, { path: file.path }).toJSON();
  }
  return facts;
}

async function qcow2Facts(file: NodeFile, head: Uint8Array, size: number): Promise<ImageFacts> {
  const unknown = { backing: null, dataFile: null, encrypted: false, snapshots: 0, needsRepair: false };
  let header: Header;
  try {
    header = parseHeader(head, file.path);
  } catch {
    try {
      const whole = new Uint8Array(Math.min(HEADER_BYTES, size));
      await file.read(0, whole);
      header = parseHeader(whole, file.path);
    } catch (error) {
      return { ...unknown, format: 'qcow2', sizeBytes: null, problem: asHypervueError(error, { path: file.path }).toJSON() };
    }
  }
  const beside = (name: string) => path.resolve(path.dirname(file.path), name.replace(/^file:/, ''));
  return {
    format: 'qcow2',
    sizeBytes: header.sizeBytes,
    backing: header.backingFile === undefined ? null : { path: beside(header.backingFile), format: header.backingFormat ?? null },
    dataFile: header.dataFile ? beside(header.dataFile) : null,
    encrypted: header.encryption !== 'none',
    snapshots: header.snapshotCount,
    needsRepair: (header.incompatible & (INCOMPAT_DIRTY | INCOMPAT_CORRUPT)) !== 0,
    problem: null,
  };
}
