/** The text that describes a VMDK disk (VMware, "Virtual Disk Format 5.0", "The Descriptor File"). */
import { corruptImage, unsupportedImage } from '../formaterrors.ts';
import { say } from '../../util/say.ts';

export const MAX_DESCRIPTOR = 1 << 20;
const MAX_EXTENTS = 4096;
const NO_PARENT = 'ffffffff';
const TYPES = new Set(['monolithicSparse', 'monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat', 'streamOptimized', 'vmfs']);

export interface ExtentLine {
  sectors: number;
  kind: 'sparse' | 'flat' | 'zero';
  file: string;
  /** In the file, of flat extents. */
  offsetSectors: number;
}

export interface Descriptor {
  type: string;
  /** Changes whenever the contents do. */
  contentId: string;
  extents: ExtentLine[];
  parent: { name: string; contentId: string } | undefined;
}

/** Throws 'corrupt' or 'unsupported'. */
export function parseDescriptor(text: string, path: string): Descriptor {
  const values = new Map<string, string>();
  const extents: ExtentLine[] = [];
  for (const raw of text.replace(/\0[\s\S]*$/, '').split('\n')) {
    const line = raw.trim();
    if (!line || line.startsWith('#')) continue;
    if (/^(RW|RDONLY|NOACCESS)\s/.test(line)) {
      if (extents.length >= MAX_EXTENTS) throw corruptImage(path, say('damageParts', { most: MAX_EXTENTS }));
      extents.push(parseExtent(line, path));
      continue;
    }
    const at = line.indexOf('=');
    if (at > 0)
      values.set(
        line.slice(0, at).trim().toLowerCase(),
        line
          .slice(at + 1)
          .trim()
          .replace(/^"(.*)"$/, '$1'),
      );
  }
  const type = values.get('createtype') ?? '';
  if (!TYPES.has(type))
    throw unsupportedImage(path, `a VMDK image of type "${type.slice(0, 40)}"`, 'Convert it with VMware (vmware-vdiskmanager -r) first.');
  const parentId = (values.get('parentcid') ?? NO_PARENT).toLowerCase();
  const hint = values.get('parentfilenamehint');
  if (parentId !== NO_PARENT && !hint) throw corruptImage(path, say('damageNoParent'));
  return {
    type,
    contentId: (values.get('cid') ?? '').toLowerCase(),
    extents,
    parent: parentId === NO_PARENT ? undefined : { name: hint!, contentId: parentId },
  };
}

function parseExtent(line: string, path: string): ExtentLine {
  const match = /^(RW|RDONLY|NOACCESS)\s+(\d+)\s+([A-Z]+)(?:\s+"([^"]*)"(?:\s+(\d+))?)?/.exec(line);
  if (!match) throw corruptImage(path, say('damageLine', { line: line.slice(0, 80) }));
  const [, access, sectors, kind, file = '', offset = '0'] = match;
  if (access === 'NOACCESS') throw unsupportedImage(path, 'a disk with a part that may not be read');
  const numbers = { sectors: Number(sectors), file, offsetSectors: Number(offset) };
  if (!numbers.sectors || numbers.sectors > 2 ** 43 || numbers.offsetSectors > 2 ** 43)
    throw corruptImage(path, say('damageLine', { line: line.slice(0, 80) }));
  if (kind === 'ZERO') return { ...numbers, kind: 'zero' };
  if (!file) throw corruptImage(path, say('damageLine', { line: line.slice(0, 80) }));
  if (kind === 'SPARSE') return { ...numbers, kind: 'sparse' };
  if (kind === 'FLAT' || kind === 'VMFS') return { ...numbers, kind: 'flat' };
  throw unsupportedImage(path, `a disk with a part of kind ${kind}`);
}

/** The text for a disk in one file. */
export function writeDescriptor(options: { type: string; sectors: number; file: string; contentId: string }): string {
  // Geometry as VMware has it: 16 heads of 63 sectors.
  const cylinders = Math.min(16383, Math.max(1, Math.floor(options.sectors / (16 * 63))));
  return `# Disk DescriptorFile
version=1
CID=${options.contentId}
parentCID=${NO_PARENT}
createType="${options.type}"

# Extent description
RW ${options.sectors} SPARSE "${options.file}"

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "4"
ddb.geometry.cylinders = "${cylinders}"
ddb.geometry.heads = "16"
ddb.geometry.sectors = "63"
ddb.adapterType = "ide"
`;
}
