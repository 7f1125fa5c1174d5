/** What an OVF descriptor (DMTF DSP0243, versions 1 and 2) says of a machine. */
import { unsupportedImage } from '../../disk/formaterrors.ts';
import { HypervueError } from '../../util/errors.ts';
import { say, type Saying } from '../../util/say.ts';
import { childOf, childrenOf, parseXml, textOf, type XmlElement } from './xmltree.ts';

/** CIM_ResourceAllocationSettingData.ResourceType. */
const CPU = 3;
const MEMORY = 4;
const IDE = 5;
const NETWORK = 10;
const CD = 15;
const DVD = 16;
const DISK = 17;
/** "Other storage": SATA, with the kind of controller as subtype. */
const OTHER_STORAGE = 20;
/** Pieces of one file at most. */
const MAX_PIECES = 10_000;

/** A file of the package (section 7.1). */
export interface OvfFile {
  name: string;
  /** Names of the files that it is cut into; it alone otherwise. */
  pieces: string[];
  gzip: boolean;
  /** What the package says that it is; undefined: it is found out. */
  format: 'raw' | 'qcow2' | undefined;
}

export interface OvfDisk {
  /** Undefined: an empty disk of `capacityBytes`. */
  file: OvfFile | undefined;
  capacityBytes: number;
  bus: 'ide' | 'sata' | 'other';
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

/** `byte * 2^20`, `byte * 10^9` and the older words. Throws for what is none. */
function unitsOf(text: string, path: string): number {
  const power = /^\s*bytes?\s*\*\s*(2|10)\s*\^\s*(\d{1,2})\s*$/i.exec(text);
  if (power) return Number(power[1]) ** Number(power[2]);
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
    throw new HypervueError('unsupported', say('ovfUnit', { path, unit: text.slice(0, 40) }), { path, operation: 'import' });
  return factor;
}

const plainNumber = (text: string): number => (/^\d{1,15}$/.test(text) ? Number(text) : Number.NaN);

/** Throws 'corrupt' or 'unsupported' naming the file. */
export function parseOvf(text: string, path: string): OvfMachine {
  const envelope = parseXml(text, path);
  const damaged = (what: Saying) =>
    new HypervueError('corrupt', say('imageDamaged', { path, what }), { path, operation: 'import' }, say('fixOtherFileCopy'));
  if (envelope.name !== 'Envelope') throw damaged(say('damageNoEnvelope'));
  const systems = [
    ...childrenOf(envelope, 'VirtualSystem'),
    ...childrenOf(childOf(envelope, 'VirtualSystemCollection'), 'VirtualSystem'),
    ...childrenOf(envelope, 'Content'),
  ];
  const [system] = systems;
  if (!system) throw damaged(say('damageNoMachine'));
  if (systems.length > 1) throw unsupportedImage(path, `a package of ${systems.length} machines`, say('fixOneByOne'));
  const files = filesOf(envelope, path);
  const disks = disksOf(envelope, files, path);
  const hardware = sectionOf(system, 'VirtualHardwareSection');
  const items = [...childrenOf(hardware, 'Item'), ...childrenOf(hardware, 'StorageItem'), ...childrenOf(hardware, 'EthernetPortItem')];
  const disksByFile = new Map([...disks.values()].map((disk) => [disk.file, disk]));
  const kind = (item: XmlElement) => plainNumber(textOf(item, 'ResourceType'));
  const memory = items.find((item) => kind(item) === MEMORY);
  const memoryBytes = memory
    ? plainNumber(textOf(memory, 'VirtualQuantity')) * unitsOf(textOf(memory, 'AllocationUnits') || 'byte * 2^20', path)
    : 512 * 2 ** 20;
  if (!(memoryBytes >= 2 ** 20 && memoryBytes <= 2 ** 44)) throw damaged(say('damageOvfMemory', { size: memoryBytes }));
  const cpu = items.find((item) => kind(item) === CPU);
  const controllers = new Map(items.map((item) => [textOf(item, 'InstanceID'), item]));
  const machine: OvfMachine = {
    name: textOf(system, 'Name') || system.attributes.id || 'Imported machine',
    description: textOf(sectionOf(system, 'AnnotationSection'), 'Annotation') || textOf(system, 'Description'),
    os: textOf(sectionOf(system, 'OperatingSystemSection'), 'Description'),
    memoryMiB: Math.floor(memoryBytes / 2 ** 20),
    cpus: (cpu && plainNumber(textOf(cpu, 'VirtualQuantity'))) || 1,
    uefi:
      childrenOf(hardware, 'Config').some(({ attributes }) => attributes.key === 'firmware' && attributes.value === 'efi') ||
      vboxFirmware(system) === 'EFI' ||
      OVIRT_UEFI.test(textOf(system, 'BiosType')),
    disks: [],
    cds: items.filter((item) => kind(item) === CD || kind(item) === DVD).length,
    networkCards: items.filter((item) => kind(item) === NETWORK).length,
  };
  for (const item of items) {
    if (kind(item) !== DISK) continue;
    const resource = /^(?:ovf:)?\/(disk|file)\/(.+)$/.exec(textOf(item, 'HostResource'));
    // oVirt names the file alone.
    const named = resource ? undefined : disksByFile.get(files.get(textOf(item, 'HostResource'))!);
    const disk = resource?.[1] === 'disk' ? disks.get(resource[2]!) : named;
    const file = resource?.[1] === 'file' ? files.get(resource[2]!) : disk?.file;
    if (!disk && file === undefined) throw damaged(say('damageOvfNoContents', { name: textOf(item, 'ElementName').slice(0, 40) }));
    const controller = textOf(item, 'Parent');
    machine.disks.push({
      file,
      capacityBytes: disk?.capacityBytes ?? 0,
      bus: disk?.bus ?? busOf(controllers.get(controller)),
      address: plainNumber(textOf(item, 'AddressOnParent')) || 0,
      controller,
    });
  }
  // As the firmware of the other program counts them: by controller, then by place; what says nothing stays in its order.
  const order = [...controllers.keys()];
  machine.disks.sort((a, b) => order.indexOf(a.controller) - order.indexOf(b.controller) || a.address - b.address);
  return machine;

  function busOf(controller: XmlElement | undefined): OvfDisk['bus'] {
    if (!controller) return 'other';
    if (kind(controller) === IDE) return 'ide';
    return kind(controller) === OTHER_STORAGE && /ahci|sata/i.test(textOf(controller, 'ResourceSubType')) ? 'sata' : 'other';
  }
}

/** oVirt's BiosType: 3 is UEFI, 4 UEFI with Secure Boot. */
const OVIRT_UEFI = /^[34]$/;

/** A section, of version 1.0 or of the one before, where its type is an attribute: oVirt and virt-v2v write that. */
const sectionOf = (element: XmlElement | undefined, name: string): XmlElement | undefined =>
  childOf(element, name) ??
  childrenOf(element, 'Section').find(({ attributes }) => attributes.type?.replace(/^ovf:/, '') === `${name}_Type`);

/** VirtualBox puts a description of its own beside the hardware, with the firmware in it. */
const vboxFirmware = (system: XmlElement): string | undefined =>
  childOf(childOf(childOf(system, 'Machine'), 'Hardware'), 'Firmware')?.attributes.type;

function filesOf(envelope: XmlElement, path: string): Map<string, OvfFile> {
  const files = new Map<string, OvfFile>();
  for (const { attributes } of childrenOf(childOf(envelope, 'References'), 'File')) {
    const { id, href, compression, chunkSize, size } = attributes;
    if (id === undefined || href === undefined) continue;
    if (compression && compression !== 'identity' && compression !== 'gzip')
      throw unsupportedImage(path, `a package with files in ${compression.slice(0, 40)}`, say('fixUnpackAttribute'));
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(href))
      throw unsupportedImage(path, `a package with the file ${href.slice(0, 80)} elsewhere`, say('fixFileBeside'));
    const name = decoded(href, path);
    const file: OvfFile = { name, pieces: piecesOf(name, size, chunkSize, path), gzip: compression === 'gzip', format: undefined };
    files.set(id, file);
    // What oVirt calls it elsewhere.
    if (!files.has(href)) files.set(href, file);
  }
  return files;
}

function decoded(href: string, path: string): string {
  try {
    return decodeURI(href);
  } catch {
    throw new HypervueError('corrupt', say('ovfNoAddress', { path, href: href.slice(0, 80) }), { path, operation: 'import' });
  }
}

/** With `chunkSize`, a file is in pieces of that many bytes, numbered with nine digits; the size must be there then (section 7.1). */
function piecesOf(name: string, size: string | undefined, chunkSize: string | undefined, path: string): string[] {
  if (!chunkSize) return [name];
  const count = Math.ceil(plainNumber(size ?? '') / plainNumber(chunkSize));
  if (!(count >= 1 && count <= MAX_PIECES))
    throw new HypervueError('corrupt', say('ovfPieces', { path, name: name.slice(0, 80) }), {
      path,
      operation: 'import',
    });
  return Array.from({ length: count }, (_, i) => `${name}.${String(i).padStart(9, '0')}`);
}

function disksOf(envelope: XmlElement, files: ReadonlyMap<string, OvfFile>, path: string): Map<string, PackedDisk> {
  const disks = new Map<string, PackedDisk>();
  for (const { attributes } of childrenOf(sectionOf(envelope, 'DiskSection'), 'Disk')) {
    const { diskId, fileRef, capacity, size, capacityAllocationUnits = '', parentRef } = attributes;
    if (diskId === undefined) continue;
    if (parentRef) throw unsupportedImage(path, 'a package with a disk on top of another', say('fixMergeSnapshots'));
    if (fileRef !== undefined && !files.has(fileRef))
      throw new HypervueError('corrupt', say('ovfNoFile', { path, disk: diskId.slice(0, 40) }), { path, operation: 'import' });
    // Before version 1.0 there was only a size in GiB.
    const capacityBytes =
      capacity === undefined && size !== undefined
        ? plainNumber(size) * 2 ** 30
        : plainNumber(capacity ?? '') * unitsOf(capacityAllocationUnits, path);
    const file = fileRef === undefined ? undefined : files.get(fileRef);
    if (file) file.format = formatOf(attributes);
    disks.set(diskId, { file, capacityBytes, bus: INTERFACES[attributes['disk-interface']?.toLowerCase() ?? ''] });
  }
  return disks;
}

interface PackedDisk {
  file: OvfFile | undefined;
  capacityBytes: number;
  /** Where oVirt says so. */
  bus: OvfDisk['bus'] | undefined;
}

/** oVirt's names. */
const INTERFACES: Record<string, OvfDisk['bus']> = { ide: 'ide', sata: 'sata', virtio: 'other', virtio_scsi: 'other' };

/** oVirt says it in a word of its own, others in the address of the format (section 9.1). */
function formatOf({ 'volume-format': word, format = '' }: Record<string, string>): OvfFile['format'] {
  if (word) return /^raw$/i.test(word) ? 'raw' : /^cow$/i.test(word) ? 'qcow2' : undefined;
  return /qcow/i.test(format) ? 'qcow2' : undefined;
}
