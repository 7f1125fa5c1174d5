/** Opens images of other programs (VMDK, VDI, VHD, VHDX) with the files that they lie on. */
import type { BlockBackend } from '../backend/block.ts';
import type { RandomAccessFile } from '../backend/file.ts';
import type { ImageFormat } from '../contract/vm.ts';
import { corruptImage, unsupportedImage } from '../disk/formaterrors.ts';
import { isVdi } from '../disk/vdi/header.ts';
import { VdiImage } from '../disk/vdi/image.ts';
import { FOOTER_BYTES, isSoundFooter, isVhdFooter } from '../disk/vhd/header.ts';
import { readVhd, VhdImage } from '../disk/vhd/image.ts';
import { isVhdx } from '../disk/vhdx/header.ts';
import { readVhdx, VhdxImage } from '../disk/vhdx/image.ts';
import { type Descriptor, MAX_DESCRIPTOR, parseDescriptor } from '../disk/vmdk/descriptor.ts';
import { isDescriptor, isEsxExtent, isSparseExtent, parseSparseHeader, SECTOR } from '../disk/vmdk/header.ts';
import { VmdkImage, type VmdkPart } from '../disk/vmdk/image.ts';
import { SparseExtent } from '../disk/vmdk/sparse.ts';
import { fileBeside } from './besidefile.ts';
import { nodeCodec } from './diskcodec.ts';
import { NodeFile } from './nodefile.ts';
import { say } from '../util/say.ts';

export type ForeignFormat = Exclude<ImageFormat, 'raw' | 'qcow2'>;

/** Opens the image below; the caller knows which images are above. */
export type OpenBelow = (file: string, format: ForeignFormat) => Promise<BlockBackend>;

/** The format by the first bytes, and for fixed VHD images by the last ones; undefined: none of these. */
export async function probeForeign(file: RandomAccessFile): Promise<ForeignFormat | undefined> {
  const start = new Uint8Array(512);
  const got = await file.read(0, start);
  const head = start.subarray(0, got);
  if (isSparseExtent(head) || isEsxExtent(head) || isDescriptor(head)) return 'vmdk';
  if (isVhdx(head)) return 'vhdx';
  if (isVdi(head)) return 'vdi';
  if (isVhdFooter(head)) return 'vhd';
  const size = await file.size();
  if (size % 512 || size < 2 * FOOTER_BYTES) return undefined;
  await file.read(size - FOOTER_BYTES, start);
  // By chance nothing has a right checksum.
  return isSoundFooter(start) ? 'vhd' : undefined;
}

/** Opens the image; on failure `file` is still open. Rejects with 'corrupt', 'unsupported' or 'not-found', naming the file that is to blame. */
export async function openForeign(file: RandomAccessFile, format: ForeignFormat, below: OpenBelow): Promise<BlockBackend> {
  switch (format) {
    case 'vdi':
      return VdiImage.open(file);
    case 'vhd':
      return openVhd(file, below);
    case 'vhdx':
      return openVhdx(file, below);
    case 'vmdk':
      return openVmdk(file, below);
  }
}

/** Files that the image needs, and the image below it. Rejects as opening does. */
export async function foreignNeeds(file: RandomAccessFile, format: ForeignFormat): Promise<{ files: string[]; below?: string }> {
  if (format === 'vdi') return { files: [] };
  if (format === 'vmdk') {
    const { descriptor, embedded } = await readVmdk(file);
    const files: string[] = [];
    if (!embedded)
      for (const { kind, file: name } of descriptor.extents) if (kind !== 'zero') files.push(await fileBeside(file.path, name));
    return { files, ...(descriptor.parent ? { below: await fileBeside(file.path, descriptor.parent.name) } : {}) };
  }
  const names = format === 'vhd' ? (await readVhd(file)).parent?.names : vhdxParentNames((await readVhdx(file)).layout.parent);
  return names?.length ? { files: [], below: await firstBeside(file.path, names) } : { files: [] };
}

async function firstBeside(image: string, names: readonly string[]): Promise<string> {
  for (const name of names.slice(0, -1)) {
    const found = await fileBeside(image, name).catch(() => undefined);
    if (found) return found;
  }
  return fileBeside(image, names.at(-1)!);
}

/** The image below is not the one that this was made on. */
const wrongParent = (image: string, parent: string) => corruptImage(image, say('damageWrongParent', { parent }));

async function openVhd(file: RandomAccessFile, below: OpenBelow): Promise<BlockBackend> {
  const parts = await readVhd(file);
  if (!parts.parent) return new VhdImage(file, parts);
  if (!parts.parent.names.length) throw corruptImage(file.path, say('damageNoParent'));
  const place = await firstBeside(file.path, parts.parent.names);
  const opened = await NodeFile.open(place, true);
  const { footer } = await readVhd(opened).finally(() => opened.close());
  if (footer.uuid !== parts.parent.uuid) throw wrongParent(file.path, place);
  return new VhdImage(file, parts, await below(place, 'vhd'));
}

/** Paths of the parent locator, the relative one first (MS-VHDX 2.6.2.6.3). */
const vhdxParentNames = (locator: ReadonlyMap<string, string>): string[] =>
  ['relative_path', 'absolute_win32_path', 'volume_path'].map((key) => locator.get(key) ?? '').filter((name) => name !== '');

async function openVhdx(file: RandomAccessFile, below: OpenBelow): Promise<BlockBackend> {
  const parts = await readVhdx(file);
  if (!parts.layout.hasParent) return new VhdxImage(parts);
  const names = vhdxParentNames(parts.layout.parent);
  if (!names.length) throw corruptImage(file.path, say('damageNoParent'));
  const place = await firstBeside(file.path, names);
  const opened = await NodeFile.open(place, true);
  const { header } = await readVhdx(opened).finally(() => opened.close());
  const linkages = ['parent_linkage', 'parent_linkage2'].map((key) => parts.layout.parent.get(key)?.replace(/[{}]/g, '').toLowerCase());
  if (!linkages.includes(header.dataWriteGuid)) throw wrongParent(file.path, place);
  return new VhdxImage(parts, await below(place, 'vhdx'));
}

/** The descriptor, from the sparse extent's own room or from a file of text. */
async function readVmdk(file: RandomAccessFile): Promise<{ descriptor: Descriptor; embedded: boolean }> {
  const start = new Uint8Array(SECTOR);
  const got = await file.read(0, start);
  const head = start.subarray(0, got);
  if (isEsxExtent(head)) throw unsupportedImage(file.path, 'a sparse disk of ESX', 'Export the machine there as OVF or OVA.');
  let bytes: Uint8Array;
  const embedded = isSparseExtent(head);
  if (embedded) {
    const { descriptorOffset, descriptorSectors } = parseSparseHeader(head, file.path);
    if (!descriptorOffset || !descriptorSectors)
      throw unsupportedImage(file.path, 'one of several files of a VMDK disk', 'Choose the small file without a number in its name.');
    bytes = new Uint8Array(descriptorSectors * SECTOR);
    await file.read(descriptorOffset * SECTOR, bytes);
  } else {
    const size = await file.size();
    if (size > MAX_DESCRIPTOR) throw corruptImage(file.path, say('damageDescriptorSize', { size }));
    bytes = new Uint8Array(size);
    await file.read(0, bytes);
  }
  return { descriptor: parseDescriptor(new TextDecoder().decode(bytes), file.path), embedded };
}

/** A VMDK image of one file, which may be part of an archive: nothing lies beside it. */
export async function openLoneVmdk(file: RandomAccessFile): Promise<BlockBackend> {
  const sparse = await SparseExtent.open(file, nodeCodec);
  return new VmdkImage(file, [{ sectors: sparse.header.capacity, sparse }]);
}

async function openVmdk(file: RandomAccessFile, below: OpenBelow): Promise<BlockBackend> {
  const { descriptor, embedded } = await readVmdk(file);
  const opened: NodeFile[] = [];
  let parent: BlockBackend | undefined;
  try {
    const parts: VmdkPart[] = [];
    if (embedded) {
      const sparse = await SparseExtent.open(file, nodeCodec);
      parts.push({ sectors: sparse.header.capacity, sparse });
    } else
      for (const line of descriptor.extents) {
        if (line.kind === 'zero') {
          parts.push({ sectors: line.sectors });
          continue;
        }
        const part = await NodeFile.open(await fileBeside(file.path, line.file), true);
        opened.push(part);
        if (line.kind === 'flat') parts.push({ sectors: line.sectors, flat: { file: part, offset: line.offsetSectors * SECTOR } });
        else {
          const sparse = await SparseExtent.open(part, nodeCodec);
          if (sparse.header.capacity < line.sectors)
            throw corruptImage(part.path, say('damageSectorsOf', { found: sparse.header.capacity, expected: line.sectors }));
          parts.push({ sectors: line.sectors, sparse });
        }
      }
    if (descriptor.parent) parent = await openVmdkParent(file, descriptor.parent, below);
    return new VmdkImage(file, parts, parent);
  } catch (error) {
    for (const part of opened) await part.close();
    await parent?.close();
    throw error;
  }
}

async function openVmdkParent(
  file: RandomAccessFile,
  parent: { name: string; contentId: string },
  below: OpenBelow,
): Promise<BlockBackend> {
  const place = await fileBeside(file.path, parent.name);
  const opened = await NodeFile.open(place, true);
  const { descriptor } = await readVmdk(opened).finally(() => opened.close());
  if (descriptor.contentId !== parent.contentId) throw wrongParent(file.path, place);
  return below(place, 'vmdk');
}
