/** The drives of a machine that is to be made: where each disk's file will be, and what has to be copied or made for it. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { defaultBus } from '../contract/defaultbus.ts';
import { type DriveBus, drivePlaces, freePlace } from '../contract/drives.ts';
import { type DiskFormat, type Drive, isDiskFormat, type PlannedDisk, type VmConfig, type VmCreate } from '../contract/vm.ts';
import { asNamed } from '../platform/namedformat.ts';
import { imageFormat, machineFormat } from '../platform/openimage.ts';
import { folderName, freeFileName, freeName } from './names.ts';

/** A disk as the request words it. */
export type AskedDisk = NonNullable<VmCreate['moreDisks']>[number];

/** Where the files of the new machine go. */
export interface DiskPlaces {
  library: string;
  /** The folder of a storage pool; rejects when there is none. */
  poolFolder(id: string): Promise<string>;
}

export interface PlanParts extends DiskPlaces {
  sampleImage: string;
  diskFormat: DiskFormat;
  /** Of the medium, as far as it says. */
  os: string;
  /** What the table of systems says of the medium's system. */
  knownBus?: DriveBus | undefined;
}

/** An image to be copied or made. `file`: relative to the machine's folder, or absolute in a pool. */
export type ImageWork =
  | { kind: 'copy'; file: string; from: string; format: DiskFormat }
  | { kind: 'make'; file: string; format: DiskFormat; sizeBytes: number; passphrase?: string | undefined };

export interface MachinePlan {
  drives: Drive[];
  work: ImageWork[];
  order: VmConfig['boot']['order'];
  kernel: VmConfig['boot']['kernel'];
}

/** Every disk that is asked for beside the check image's, in the order of their places. */
export function askedDisks({ source, attach, newDisk, moreDisks }: VmCreate): AskedDisk[] {
  return [
    ...(source.type === 'disk' ? [{ ...source, type: 'existing' as const }] : []),
    ...(attach ? [{ ...attach, type: 'existing' as const }] : []),
    ...(newDisk ? [{ ...newDisk, type: 'new' as const }] : []),
    ...(moreDisks ?? []),
  ];
}

/** Disks that a bus has room for, beside the CD drive on IDE. */
export const roomOn: Readonly<Record<DriveBus, number>> = {
  ide: drivePlaces.filter((id) => id.startsWith('ide')).length - 1,
  sata: drivePlaces.filter((id) => id.startsWith('sata')).length,
  virtio: drivePlaces.filter((id) => id.startsWith('virtio')).length,
  usb: drivePlaces.filter((id) => id.startsWith('usb')).length,
};

export const busOfNew = (create: VmCreate, os: string, known?: DriveBus): DriveBus =>
  create.bus ?? defaultBus(create.os ?? os, create.source.type, known);

/** The format that the machine's disk will have: a copy of an image that can only be read becomes qcow2. */
async function formatOf({ path: file, copy }: { path: string; copy: boolean }): Promise<DiskFormat> {
  if (!copy) return machineFormat(file);
  const format = asNamed(file, await imageFormat(file));
  return isDiskFormat(format) ? format : 'qcow2';
}

const endingOf = (format: DiskFormat) => (format === 'raw' ? 'img' : format);

/** Names of files as they are given: in the machine's folder disk.qcow2, disk2.img; in a pool the machine's name. */
class Naming {
  private images = 0;
  private readonly taken = new Map<string, string[]>();
  private readonly name: string;
  private readonly places: DiskPlaces;

  constructor(name: string, places: DiskPlaces) {
    this.name = folderName(name);
    this.places = places;
  }

  /** The number in a name is that of the disk, wherever the others are. */
  count(): void {
    this.images++;
  }

  async next(format: DiskFormat, pool: string | undefined): Promise<string> {
    this.count();
    if (pool === undefined) return `disk${this.images > 1 ? this.images : ''}.${endingOf(format)}`;
    const folder = await this.places.poolFolder(pool);
    const taken = this.taken.get(folder) ?? (await readdir(folder).catch(() => []));
    const file = freeFileName(`${this.name}.${endingOf(format)}`, taken);
    this.taken.set(folder, [...taken, file]);
    return path.join(folder, file);
  }
}

/**
 * Of a machine that starts from the network. Its installer leaves a system on the disk, which is to be started from then on: a disk that is empty until then is
 * tried first, and passed by. One that was there before may have a system already, which the person did not ask for.
 */
function networkOrder(create: VmCreate): VmConfig['boot']['order'] {
  const cards = create.network?.map(({ id }) => id) ?? [];
  return askedDisks(create).some(({ type }) => type === 'existing')
    ? [...cards, 'disk', 'cdrom', 'floppy']
    : ['disk', ...cards, 'cdrom', 'floppy'];
}

/** Drives, boot order and images of a new machine. Rejects when an image can't be read, or there is no room on the bus. */
export async function planMachine(create: VmCreate, parts: PlanParts): Promise<MachinePlan> {
  const drives: Drive[] = [];
  const work: ImageWork[] = [];
  const naming = new Naming(create.name, parts);
  const { source } = create;
  let order: VmConfig['boot']['order'] = ['disk', 'cdrom', 'floppy'];
  if (source.type === 'iso' || source.type === 'blank') order = ['cdrom', 'disk', 'floppy'];
  if (source.type === 'floppy') {
    // Read-only, so that no guest changes the user's image and several machines can start from it.
    drives.push({ id: 'fd0', kind: 'floppy', path: source.path, format: 'raw', readOnly: true });
    order = ['floppy', 'disk', 'cdrom'];
  }
  if (source.type === 'sample') {
    // It starts from a floppy too; as a disk it has one to show on its disk page, and to write to.
    work.push({ kind: 'copy', from: parts.sampleImage, file: 'check.img', format: 'raw' });
    drives.push({ id: 'ide0', kind: 'disk', path: 'check.img', format: 'raw', readOnly: false });
  }
  const bus = busOfNew(create, parts.os, parts.knownBus);
  const add = (file: string, format: DiskFormat, readOnly: boolean) => {
    // The preflight has counted them.
    const id = freePlace(
      bus,
      drives.map((drive) => drive.id),
    )!;
    drives.push({ id, kind: 'disk', path: file, format, readOnly });
  };
  for (const disk of askedDisks(create)) {
    if (disk.type === 'new') {
      const { sizeBytes, passphrase, format = parts.diskFormat } = disk;
      const file = await naming.next(format, disk.pool);
      work.push({ kind: 'make', file, format, sizeBytes, passphrase });
      add(file, format, false);
      continue;
    }
    const format = await formatOf(disk);
    if (!disk.copy) naming.count();
    const file = disk.copy ? await naming.next(format, disk.pool) : disk.path;
    if (disk.copy) work.push({ kind: 'copy', from: disk.path, file, format });
    add(file, format, disk.readOnly);
  }
  if (source.type === 'network') order = networkOrder(create);
  drives.push({ id: 'ide2', kind: 'cdrom', path: source.type === 'iso' ? source.path : null, format: 'raw', readOnly: true });
  const kernel = source.type === 'kernel' ? { path: source.path, initrd: source.initrd, cmdline: source.cmdline } : null;
  return { drives, work, order, kernel };
}

/** The files of a new machine's disks as things are now: somebody else may take a name before it is made. */
export async function plannedDisks(create: VmCreate, parts: PlanParts): Promise<PlannedDisk[]> {
  const { drives, work } = await planMachine(create, parts);
  const folder = path.join(parts.library, freeName(folderName(create.name), await readdir(parts.library).catch(() => [])));
  const made = new Set(work.map(({ file }) => file));
  return drives
    .filter(({ kind }) => kind === 'disk')
    .map(({ id, path: file }) => ({ id, path: path.resolve(folder, file!), made: made.has(file!) }));
}
