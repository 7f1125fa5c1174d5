/** What an OVF descriptor (DMTF DSP0243, versions 1 and 2) says of a machine. */
import { unsupportedImage } from '../../disk/formaterrors.ts';
import { HypervueError } from '../../util/errors.ts';
import { childOf, childrenOf, parseXml, textOf, type XmlElement } from './xmltree.ts';

/** CIM_ResourceAllocationSettingData.ResourceType. */
const CPU = 3;
const MEMORY = 4;
const IDE = 5;
const NETWORK = 10;
const CD = 15;
const DVD = 16;
const DISK = 17;

export interface OvfDisk {
  /** File of the package; undefined: an empty disk of `capacityBytes`. */
  file: string | undefined;
  capacityBytes: number;
  onIde: boolean;
  address: number;
  controller: string;
}

export interface OvfMachine {
  name: string;
  description: string;
  os: string;
  memoryMiB: number;
  cpus: number;
  uefi: boolean;
  disks: OvfDisk[];
  cds: number;
  networkCards: number;
}

/** `byte * 2^20` and the older words. Throws for what is none. */
function unitsOf(text: string, path: string): number {
  const power = /^\s*byte\s*\*\s*2\s*\^\s*(\d{1,2})\s*$/i.exec(text);
  if (power) return 2 ** Number(power[1]);
  const words: Record<string, number> = {
    '': 1,
    byte: 1,
    bytes: 1,
    kilobytes: 2 ** 10,
    megabytes: 2 ** 20,
    gigabytes: 2 ** 30,
    kb: 2 ** 10,
    mb: 2 ** 20,
    gb: 2 ** 30,
  };
  const factor = words[text.trim().toLowerCase()];
  if (factor === undefined)
    throw new HypervueError('unsupported', `${path} counts in "${text.slice(0, 40)}"`, { path, operation: 'import' });
  return factor;
}

const plainNumber = (text: string): number => (/^\d{1,15}$/.test(text) ? Number(text) : Number.NaN);

/** Throws 'corrupt' or 'unsupported' naming the file. */
export function parseOvf(text: string, path: string): OvfMachine {
  const envelope = parseXml(text, path);
  const damaged = (what: string) =>
    new HypervueError('corrupt', `${path} is damaged: ${what}`, { path, operation: 'import' }, 'Use another copy of the file.');
  if (envelope.name !== 'Envelope') throw damaged('it is no OVF envelope');
  const systems = [...childrenOf(envelope, 'VirtualSystem'), ...childrenOf(childOf(envelope, 'VirtualSystemCollection'), 'VirtualSystem')];
  const [system] = systems;
  if (!system) throw damaged('it describes no machine');
  if (systems.length > 1) throw unsupportedImage(path, `a package of ${systems.length} machines`, 'Export them one by one.');
  const files = filesOf(envelope, path);
  const disks = disksOf(envelope, files, path);
  const hardware = childOf(system, 'VirtualHardwareSection');
  const items = [...childrenOf(hardware, 'Item'), ...childrenOf(hardware, 'StorageItem'), ...childrenOf(hardware, 'EthernetPortItem')];
  const kind = (item: XmlElement) => plainNumber(textOf(item, 'ResourceType'));
  const memory = items.find((item) => kind(item) === MEMORY);
  const memoryBytes = memory
    ? plainNumber(textOf(memory, 'VirtualQuantity')) * unitsOf(textOf(memory, 'AllocationUnits') || 'byte * 2^20', path)
    : 512 * 2 ** 20;
  if (!(memoryBytes >= 2 ** 20 && memoryBytes <= 2 ** 44)) throw damaged(`a memory of ${memoryBytes} bytes`);
  const cpu = items.find((item) => kind(item) === CPU);
  const controllers = new Map(items.map((item) => [textOf(item, 'InstanceID'), item]));
  const machine: OvfMachine = {
    name: textOf(system, 'Name') || system.attributes.id || 'Imported machine',
    description: textOf(childOf(system, 'AnnotationSection'), 'Annotation'),
    os: textOf(childOf(system, 'OperatingSystemSection'), 'Description'),
    memoryMiB: Math.floor(memoryBytes / 2 ** 20),
    cpus: (cpu && plainNumber(textOf(cpu, 'VirtualQuantity'))) || 1,
    uefi: childrenOf(hardware, 'Config').some(({ attributes }) => attributes.key === 'firmware' && attributes.value === 'efi'),
    disks: [],
    cds: items.filter((item) => kind(item) === CD || kind(item) === DVD).length,
    networkCards: items.filter((item) => kind(item) === NETWORK).length,
  };
  for (const item of items) {
    if (kind(item) !== DISK) continue;
    const resource = /^(?:ovf:)?\/(disk|file)\/(.+)$/.exec(textOf(item, 'HostResource'));
    const disk = resource?.[1] === 'disk' ? disks.get(resource[2]!) : undefined;
    const file = resource?.[1] === 'file' ? files.get(resource[2]!) : disk?.file;
    if (!disk && file === undefined) throw damaged(`the disk "${textOf(item, 'ElementName').slice(0, 40)}" has no contents`);
    const controller = textOf(item, 'Parent');
    machine.disks.push({
      file,
      capacityBytes: disk?.capacityBytes ?? 0,
      onIde: controllers.has(controller) && kind(controllers.get(controller)!) === IDE,
      address: plainNumber(textOf(item, 'AddressOnParent')) || 0,
      controller,
    });
  }
  return machine;
}

function filesOf(envelope: XmlElement, path: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const { attributes } of childrenOf(childOf(envelope, 'References'), 'File')) {
    const { id, href, compression, chunkSize } = attributes;
    if (id === undefined || href === undefined) continue;
    if (compression && compression !== 'identity')
      throw unsupportedImage(path, `a package with files in ${compression}`, 'Unpack them, and take the attribute out.');
    if (chunkSize) throw unsupportedImage(path, 'a package with files in pieces', 'Export it again without pieces.');
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(href))
      throw unsupportedImage(path, `a package with the file ${href.slice(0, 80)} elsewhere`, 'Put the file beside it.');
    files.set(id, decodeURI(href));
  }
  return files;
}

function disksOf(
  envelope: XmlElement,
  files: ReadonlyMap<string, string>,
  path: string,
): Map<string, { file: string | undefined; capacityBytes: number }> {
  const disks = new Map<string, { file: string | undefined; capacityBytes: number }>();
  for (const { attributes } of childrenOf(childOf(envelope, 'DiskSection'), 'Disk')) {
    const { diskId, fileRef, capacity = '', capacityAllocationUnits = '', parentRef } = attributes;
    if (diskId === undefined) continue;
    if (parentRef) throw unsupportedImage(path, 'a package with a disk on top of another', 'Merge the snapshots and export it again.');
    if (fileRef !== undefined && !files.has(fileRef))
      throw new HypervueError('corrupt', `${path} names no file for disk ${diskId.slice(0, 40)}`, { path, operation: 'import' });
    const capacityBytes = plainNumber(capacity) * unitsOf(capacityAllocationUnits, path);
    disks.set(diskId, { file: fileRef === undefined ? undefined : files.get(fileRef), capacityBytes });
  }
  return disks;
}
