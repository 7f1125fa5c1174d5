import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { BlockBackend } from '../../backend/block.ts';
import type { RandomAccessFile } from '../../backend/file.ts';
import { copyContents } from '../../disk/operations/copy.ts';
import type { TaskOptions } from '../../disk/task.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { fileBeside } from '../besidefile.ts';
import { createDisk } from '../creatediskfile.ts';
import { NodeFile } from '../nodefile.ts';
import { imageFormat, openImage, openImageIn } from '../openimage.ts';
import { type ManifestLine, parseManifest, verifyDigest } from './manifest.ts';
import { JoinedFile } from './joinedfile.ts';
import { type OvfDisk, type OvfFile, type OvfMachine, parseOvf } from './ovfread.ts';
import { unpackGzip } from './unpackgzip.ts';
import { isTar, listTar, TAR_BLOCK, WindowFile } from './tar.ts';

const MAX_DESCRIPTOR = 4 << 20;

/** An OVA file, or an OVF descriptor with its files beside it. `close` it. */
export interface OvfPackage {
  machine: OvfMachine;
  /** Checks every file of the package with its manifest. False: there is none. Rejects with 'corrupt'. */
  verify(options: TaskOptions): Promise<boolean>;
  /** Opens the contents of a disk; undefined for an empty one. What has to be unpacked goes to `scratch`, which the caller removes. */
  openDisk(disk: OvfDisk, scratch: string, options: TaskOptions): Promise<BlockBackend | undefined>;
  close(): Promise<void>;
}

const missing = (path: string, name: string) =>
  new HypervueError('not-found', say('packageNoFile', { path, name }), { path, object: name, operation: 'import' }, say('fixOtherPackage'));

async function textOf(file: RandomAccessFile): Promise<string> {
  const size = await file.size();
  if (size > MAX_DESCRIPTOR) throw new HypervueError('corrupt', say('ovfTooLarge', { path: file.path, size }), { path: file.path });
  const bytes = new Uint8Array(size);
  await file.read(0, bytes);
  return new TextDecoder().decode(bytes);
}

/** Opens a package. Rejects with 'corrupt', 'unsupported' or 'not-found'. */
export async function openOvfPackage(file: string): Promise<OvfPackage> {
  const opened = await NodeFile.open(file, true);
  try {
    const start = new Uint8Array(TAR_BLOCK);
    await opened.read(0, start);
    return isTar(start) ? await archivePackage(opened) : await folderPackage(opened);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** A manifest covers every file that it names, and must name every one. */
async function verifyAll(
  lines: ReadonlyMap<string, ManifestLine>,
  names: readonly string[],
  open: (name: string) => Promise<RandomAccessFile>,
  options: TaskOptions,
  path: string,
): Promise<void> {
  for (const [i, name] of names.entries()) {
    const line = lines.get(name);
    if (!line)
      throw new HypervueError('corrupt', say('manifestSilent', { path, name }), { path, operation: 'import' }, say('fixOtherPackage'));
    const file = await open(name);
    const progress = (done: number, total: number) => options.progress?.(i + done / total, names.length);
    await verifyDigest(file, name, line, { signal: options.signal, progress }).finally(() => file.close());
  }
}

const namesOf = (machine: OvfMachine): string[] => [...new Set(machine.disks.flatMap(({ file }) => file?.pieces ?? []))];

/** A compressed disk that unpacks to more than this beyond its capacity is a trap. */
const UNPACKED_SLACK = 64 << 20;

/** The contents of a file that is cut into pieces, compressed or both. */
async function openPacked(
  { name, pieces, gzip, format }: OvfFile,
  capacityBytes: number,
  open: (name: string) => Promise<RandomAccessFile>,
  scratch: string,
  options: TaskOptions,
): Promise<BlockBackend> {
  const parts: RandomAccessFile[] = [];
  try {
    for (const piece of pieces) parts.push(await open(piece));
    const whole = await JoinedFile.of(parts, name);
    if (!gzip) return await openImageIn(whole, format);
    await unpackGzip(whole, scratch, capacityBytes * 1.25 + UNPACKED_SLACK, options);
    await whole.close();
    return await openImageIn(await NodeFile.open(scratch, true), format);
  } catch (error) {
    for (const part of parts) await part.close().catch(() => {});
    throw error;
  }
}

const isPlain = ({ pieces, gzip }: OvfFile): boolean => pieces.length === 1 && !gzip;

/** A VMDK image may be in pieces, which lie there too. */
async function openBeside(place: string, said: OvfFile['format']): Promise<BlockBackend> {
  const format = said ?? (await imageFormat(place));
  if (format !== 'raw' && format !== 'qcow2') return openImage(place, { readOnly: true });
  const file = await NodeFile.open(place, true);
  return openImageIn(file, format).catch(async (error) => {
    await file.close();
    throw error;
  });
}

async function archivePackage(file: NodeFile): Promise<OvfPackage> {
  const members = await listTar(file);
  const member = (name: string): WindowFile => {
    const found = members.find((entry) => entry.name === name || entry.name === `./${name}`);
    if (!found) throw missing(file.path, name);
    return new WindowFile(file, name, found.offset, found.size);
  };
  const ovf = members.find(({ name }) => /\.ovf$/i.test(name));
  if (!ovf) throw missing(file.path, 'with the ending .ovf');
  const mf = members.find(({ name }) => /\.mf$/i.test(name));
  const machine = parseOvf(await textOf(member(ovf.name)), file.path);
  return {
    machine,
    verify: async (options) => {
      if (!mf) return false;
      const lines = parseManifest(await textOf(member(mf.name)), file.path);
      await verifyAll(lines, [ovf.name, ...namesOf(machine)], async (name) => member(name), options, file.path);
      return true;
    },
    openDisk: async ({ file: wanted, capacityBytes }, scratch, options) => {
      if (!wanted) return undefined;
      return isPlain(wanted)
        ? openImageIn(member(wanted.pieces[0]!), wanted.format)
        : openPacked(wanted, capacityBytes, async (name) => member(name), scratch, options);
    },
    close: () => file.close(),
  };
}

async function folderPackage(file: NodeFile): Promise<OvfPackage> {
  const text = await textOf(file);
  // A damaged archive still has the word for one in its first header.
  if (!text.trimStart().startsWith('<') && text.slice(257, 262) !== 'ustar')
    throw new HypervueError(
      'invalid-argument',
      say('noPackage', { path: file.path }),
      { path: file.path, operation: 'import' },
      say('fixNoPackage'),
    );
  const machine = parseOvf(text, file.path);
  const manifest = file.path.replace(/\.[^.]*$/, '.mf');
  return {
    machine,
    verify: async (options) => {
      const mf = await NodeFile.open(manifest, true).catch(() => undefined);
      if (!mf) return false;
      const lines = parseManifest(await textOf(mf).finally(() => mf.close()), manifest);
      const open = async (name: string) => NodeFile.open(await fileBeside(file.path, name), true);
      await verifyAll(lines, [path.basename(file.path), ...namesOf(machine)], open, options, file.path);
      return true;
    },
    openDisk: async ({ file: wanted, capacityBytes }, scratch, options) => {
      if (!wanted) return undefined;
      if (isPlain(wanted)) return openBeside(await fileBeside(file.path, wanted.pieces[0]!), wanted.format);
      return openPacked(wanted, capacityBytes, async (name) => NodeFile.open(await fileBeside(file.path, name), true), scratch, options);
    },
    close: () => file.close(),
  };
}

/** Makes a qcow2 image with what the disk of the package holds. Leaves nothing behind when it fails or is cancelled. */
export async function importDisk(source: OvfPackage, disk: OvfDisk, to: string, options: TaskOptions): Promise<void> {
  const scratch = `${to}.unpacked`;
  let contents: BlockBackend | undefined;
  try {
    contents = await source.openDisk(disk, scratch, options);
    const sizeBytes = Math.max(contents?.info.sizeBytes ?? 0, Math.ceil(disk.capacityBytes / 512) * 512);
    await createDisk(to, { format: 'qcow2', sizeBytes });
    if (!contents) return;
    const target = await openImage(to, { readOnly: false, format: 'qcow2', writeBehind: true });
    try {
      await copyContents(contents, target, options);
    } catch (error) {
      await target.close().catch(() => {});
      await rm(to, { force: true });
      throw error;
    }
    await target.close();
  } finally {
    await contents?.close();
    await rm(scratch, { force: true });
  }
}
