/** Opens disk images of every format with the images below them, over the host's files. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { BlockBackend } from '../backend/block.ts';
import type { SectorCipher } from '../disk/cipher.ts';
import { isVdi } from '../disk/vdi/header.ts';
import { isVhdFooter } from '../disk/vhd/header.ts';
import { isVhdx } from '../disk/vhdx/header.ts';
import { isDescriptor, isSparseExtent } from '../disk/vmdk/header.ts';
import type { RandomAccessFile } from '../backend/file.ts';
import { type Header, INCOMPAT_DATA_FILE, isQcow2 } from '../disk/qcow2/header.ts';
import { Qcow2Image, readHeader, refuseUnsafeWrites } from '../disk/qcow2/image.ts';
import { RawDisk } from '../disk/raw.ts';
import { type DiskFormat, type ImageFormat, imageFormats, isDiskFormat } from '../contract/vm.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { nodeCodec } from './diskcodec.ts';
import { legacyAesCipher, unlockLuks } from './luks.ts';
import { AlignedFile } from './alignedfile.ts';
import { refusedDevice } from './blockdevice.ts';
import { identityOf } from './fileidentity.ts';
import { asNamed } from './namedformat.ts';
import { NodeFile } from './nodefile.ts';
import { refuseUnreadable, UNREADABLE_BYTES } from './unreadableformats.ts';
import { foreignNeeds, openForeign, openLoneVmdk, probeForeign } from './openforeign.ts';

/** More images on top of each other are a mistake or an attack. */
const MAX_DEPTH = 200;

export interface OpenImageOptions {
  readOnly: boolean;
  /** What the image is said to be; found out by its first bytes when absent. */
  format?: ImageFormat | undefined;
  /** For raw images: 2048 for discs. */
  sectorBytes?: number;
  /** Reads and writes on the calling thread while the system answers from its cache (QuickIo): for disks of running machines. */
  quick?: boolean;
  /** A new image that is filled in one go (NodeFileOptions). */
  writeBehind?: boolean;
  /** Goes around the system's cache, also for the images below. Rejects with 'unsupported' where that can't be. */
  direct?: boolean;
  /** Opens an image that is marked as dirty or damaged, to repair it. */
  forRepair?: boolean;
  /** Its tables alone are worked on, which needs neither the passphrase nor the images below. For qcow2. */
  metadataOnly?: boolean;
  /** Opens encrypted images, also those below. */
  passphrase?: string | undefined;
  /** Opened instead of the image that the header names below this one; owned by the image then. */
  backing?: BlockBackend;
}

/**
 * The format by the first bytes. Anything unknown is raw; what is known and can't be read is 'unsupported'. A device is raw whatever it begins with: a guest may have written that, to be
 * shown files of this computer as what lies below its disk.
 */
export async function probeFormat(file: RandomAccessFile): Promise<ImageFormat> {
  if (file.device) return 'raw';
  const start = new Uint8Array(UNREADABLE_BYTES);
  const got = await file.read(0, start);
  if (isQcow2(start.subarray(0, got))) return 'qcow2';
  refuseUnreadable(start.subarray(0, got), file.path);
  return (await probeForeign(file)) ?? 'raw';
}

/** The format of the image at `file`. Rejects as opening it does. */
export async function imageFormat(file: string): Promise<ImageFormat> {
  const opened = await NodeFile.open(file, true);
  return probeFormat(opened).finally(() => opened.close());
}

/** What an image that is taken as raw begins as, when that is another format: its header and tables would be the disk then. Files that can't be read say nothing. */
export async function formatUnderRaw(file: string): Promise<ImageFormat | undefined> {
  const found = await imageFormat(file).catch(() => undefined);
  return found === 'raw' ? undefined : found;
}

/**
 * The format of an image that a machine is to run from. Rejects with 'unsupported' for those that can only be read, with 'corrupt' for what is not as it is named, and as opening does.
 */
export async function machineFormat(file: string): Promise<DiskFormat> {
  const format = asNamed(file, await imageFormat(file));
  if (isDiskFormat(format)) return format;
  throw new HypervueError(
    'unsupported',
    say('imageNotForMachines', { path: file, format: format.toUpperCase() }),
    { path: file, operation: 'attach' },
    say('fixConvertOrCopy'),
  );
}

/** The header of the qcow2 image at `file`. Rejects as opening it does. */
export async function readImageHeader(file: string): Promise<Header> {
  const opened = await NodeFile.open(file, true);
  return readHeader(opened).finally(() => opened.close());
}

/**
 * What opening a machine's disk comes to, with all that lies below it, without writing to it or knowing its passphrase: how large the disk is, and whether it is encrypted. Rejects as
 * `openImage` does.
 */
export async function tryImage(
  image: string,
  { format, readOnly }: { format: DiskFormat; readOnly: boolean },
): Promise<{ sizeBytes: number; encrypted: boolean }> {
  if (format === 'qcow2' && !readOnly) refuseUnsafeWrites(path.resolve(image), await readImageHeader(image));
  try {
    const opened = await openImage(image, { readOnly: true, format });
    const { sizeBytes } = opened.info;
    await opened.close();
    return { sizeBytes, encrypted: false };
  } catch (error) {
    if (!(error instanceof HypervueError) || error.context.reason !== 'passphrase-missing') throw error;
    return { sizeBytes: (await readImageHeader(image)).sizeBytes, encrypted: true };
  }
}

/** Paths of the images below this one, the nearest first, and of the file with its data if it is another. Rejects as opening does. */
export async function imagesBelow(image: string, format: ImageFormat | undefined): Promise<string[]> {
  const below: string[] = [];
  let next: { file: string; format: ImageFormat | undefined } | undefined = { file: path.resolve(image), format };
  let top: string | undefined;
  while (next && below.length <= MAX_DEPTH) {
    const { file: at } = next;
    const file: NodeFile = await NodeFile.open(at, true).catch((error: unknown) => {
      throw top === undefined ? error : cantOpenBelow(top, at, error);
    });
    top = at;
    try {
      const found: ImageFormat = next.format ?? (await probeFormat(file));
      if (found === 'raw') break;
      if (found !== 'qcow2') {
        const needs = await foreignNeeds(file, found);
        below.push(...needs.files);
        next = needs.below === undefined ? undefined : { file: needs.below, format: found };
        if (next) below.push(next.file);
        continue;
      }
      const header: Header = await readHeader(file);
      if (header.dataFile) below.push(path.resolve(path.dirname(next.file), header.dataFile));
      next =
        header.backingFile === undefined
          ? undefined
          : { file: backingPath(next.file, header.backingFile), format: formatOf(header.backingFormat) };
      if (next) below.push(next.file);
    } finally {
      await file.close();
    }
  }
  return below;
}

/** Opens the image and what lies below it. Rejects with 'not-found', 'corrupt', 'unsupported', ... naming the file that is to blame. */
export function openImage(image: string, options: OpenImageOptions): Promise<BlockBackend> {
  return openAt(path.resolve(image), options, []);
}

/**
 * Opens an image of a package, which has to stand by itself: sparse VMDK, qcow2 or raw. `format`: what the package says; found out when absent. What the image names must not make the
 * copy hold a file of this computer.
 */
export async function openImageIn(file: RandomAccessFile, format?: DiskFormat): Promise<BlockBackend> {
  const start = new Uint8Array(512);
  const got = await file.read(0, start);
  if (format === 'raw') return RawDisk.open(file, { readOnly: true, sectorBytes: 512 });
  if (format === 'qcow2' || isQcow2(start.subarray(0, got))) return openLoneQcow2(file);
  if (isSparseExtent(start.subarray(0, got))) return openLoneVmdk(file);
  if (isVhdx(start) || isVdi(start) || isVhdFooter(start) || isDescriptor(start.subarray(0, got)))
    throw new HypervueError(
      'unsupported',
      say('vmdkInPieces', { path: file.path }),
      { path: file.path, operation: 'import' },
      say('fixVmdkInPieces'),
    );
  return RawDisk.open(file, { readOnly: true, sectorBytes: 512 });
}

const openFile = (file: string, { readOnly, quick, direct, writeBehind }: OpenImageOptions): Promise<RandomAccessFile> =>
  direct ? AlignedFile.open(file, readOnly) : NodeFile.open(file, readOnly, { quick, writeBehind });

async function openAt(image: string, options: OpenImageOptions, above: string[]): Promise<BlockBackend> {
  const file = await openFile(image, options);
  try {
    const format = options.format ?? (await probeFormat(file));
    if (format === 'raw') return await RawDisk.open(file, { readOnly: options.readOnly, sectorBytes: options.sectorBytes ?? 512 });
    if (format === 'qcow2') return await openQcow2(file, options, above);
    if (!options.readOnly)
      throw new HypervueError(
        'unsupported',
        say('imageReadOnlyFormat', { path: image, format: format.toUpperCase() }),
        { path: image, operation: 'open' },
        say('fixConvertToQcow2'),
      );
    return await openForeign(file, format, async (below, belowFormat) => {
      const chain = await extended(above, file.path);
      await refuseCircle(below, chain);
      return openAt(below, { readOnly: true, format: belowFormat, direct: options.direct ?? false }, chain);
    });
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Opens a qcow2 image with the images below it; on failure `file` is still open. */
async function openQcow2(file: RandomAccessFile, options: OpenImageOptions, above: string[]): Promise<Qcow2Image> {
  if (file.device && !options.readOnly) throw refusedDevice(file.path, 'qcow2');
  const header = await readHeader(file);
  const folder = path.dirname(file.path);
  let dataFile: RandomAccessFile | undefined;
  let backing: BlockBackend | undefined;
  try {
    if (header.incompatible & INCOMPAT_DATA_FILE) {
      if (!header.dataFile) throw new HypervueError('corrupt', say('dataFileUnnamed', { path: file.path }), { path: file.path });
      dataFile = await openFile(path.resolve(folder, header.dataFile), options);
      // Whoever made the image must not get at a disk of this computer.
      if (dataFile.device) throw refusedDevice(dataFile.path, 'dataFile');
    }
    if (options.backing) backing = options.backing;
    else if (header.backingFile !== undefined && !options.metadataOnly)
      backing = await openBacking(file, header.backingFile, header.backingFormat, above, options);
    const cipher = await cipherOf(file, header, options);
    return await Qcow2Image.open(file, header, {
      readOnly: options.readOnly,
      codec: nodeCodec,
      ...(options.forRepair ? { forRepair: true } : {}),
      ...(options.metadataOnly ? { metadataOnly: true } : {}),
      ...(dataFile ? { dataFile } : {}),
      ...(backing ? { backing } : {}),
      ...(cipher ? { cipher } : {}),
    });
  } catch (error) {
    await dataFile?.close();
    if (backing !== options.backing) await backing?.close();
    throw error;
  }
}

async function openLoneQcow2(file: RandomAccessFile): Promise<Qcow2Image> {
  const header = await readHeader(file);
  if (header.backingFile !== undefined || header.incompatible & INCOMPAT_DATA_FILE)
    throw new HypervueError(
      'unsupported',
      say('packedNotAlone', { path: file.path }),
      { path: file.path, operation: 'import' },
      say('fixMergeSnapshots'),
    );
  return Qcow2Image.open(file, header, { readOnly: true, codec: nodeCodec });
}

/** The cipher of an encrypted image, when there is a passphrase. */
async function cipherOf(file: RandomAccessFile, header: Header, { passphrase }: OpenImageOptions): Promise<SectorCipher | undefined> {
  if (header.encryption === 'none' || passphrase === undefined) return undefined;
  if (header.luks) return unlockLuks(file, header.luks.offset, header.luks.length, passphrase);
  return legacyAesCipher(passphrase);
}

async function openBacking(
  file: RandomAccessFile,
  name: string,
  format: string | undefined,
  above: string[],
  { passphrase, direct = false }: OpenImageOptions,
): Promise<BlockBackend> {
  if (/^[a-z][a-z0-9+.-]*:/i.test(name) && !/^[a-z]:[\\/]/i.test(name) && !name.startsWith('file:'))
    throw new HypervueError(
      'unsupported',
      say('backingNoFile', { path: file.path, name }),
      { path: file.path, operation: 'open' },
      say('fixConvertMaker'),
    );
  if (format !== undefined && !formatOf(format))
    throw new HypervueError('unsupported', say('backingFormat', { path: file.path, format }), {
      path: file.path,
      operation: 'open',
    });
  const below = backingPath(file.path, name);
  const chain = await extended(above, file.path);
  await refuseCircle(below, chain, file.path);
  const told = formatOf(format);
  return openAt(below, { readOnly: true, format: told, passphrase, direct }, chain).catch(async (error: unknown) => {
    const found =
      told && error instanceof HypervueError && error.kind === 'corrupt' ? await imageFormat(below).catch(() => undefined) : undefined;
    if (!told || !found || found === told) throw error;
    throw new HypervueError(
      'corrupt',
      say('backingFormatWrong', { path: file.path, below, format: formatName(told), found: formatName(found) }),
      { path: file.path, operation: 'open' },
      say('fixBackingFormatWrong', { found: formatName(found) }),
    );
  });
}

/** The name of a format as qcow2 headers have it: QEMU calls VHD "vpc". */
export const formatName = (format: ImageFormat): string => (format === 'vhd' ? 'vpc' : format);

/** The format that a qcow2 header names. */
export function formatOf(name: string | undefined): ImageFormat | undefined {
  if (name === 'vpc') return 'vhd';
  return imageFormats.find((format) => format === name);
}

async function extended(above: string[], image: string): Promise<string[]> {
  const chain = [...above, await identity(image)];
  if (chain.length > MAX_DEPTH) throw new HypervueError('unsupported', say('backingDeep', { most: MAX_DEPTH, image }), { path: image });
  return chain;
}

const cantOpenBelow = (top: string, below: string, error: unknown): HypervueError =>
  new HypervueError(
    'not-found',
    say('backingUnopened', { top, below }),
    { path: below, operation: 'open backing file' },
    say('fixBackingUnopened'),
    error,
  );

async function refuseCircle(below: string, chain: string[], top = below): Promise<void> {
  let id: string;
  try {
    id = await identity(below);
  } catch (error) {
    throw cantOpenBelow(top, below, error);
  }
  if (chain.includes(id))
    throw new HypervueError('corrupt', say('backingItself', { path: below }), { path: below, operation: 'open' }, say('fixBackingItself'));
}

/** Where a backing file is; relative to the image on top. */
export const backingPath = (top: string, name: string): string => path.resolve(path.dirname(top), name.replace(/^file:/, ''));

/** The same for every path that leads to it. Rejects as stat does. */
export async function identity(file: string): Promise<string> {
  return identityOf(await stat(file, { bigint: true }));
}
