/** Machines from and to OVA files. */
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { defaultCpuModel } from '../../contract/cpumodels.ts';
import { defaultNic } from '../../contract/defaultnic.ts';
import { busOf, freePlace } from '../../contract/drives.ts';
import { DEFAULT_NETWORK, MAX_CARDS, netPlaces } from '../../contract/networks.ts';
import { type Drive, type VmConfig, vmConfigSchema } from '../../contract/vm.ts';
import type { ImageLocks } from '../../platform/imagelocks.ts';
import { exportOva } from '../../platform/ova/exportova.ts';
import { importDisk, openOvfPackage } from '../../platform/ova/importova.ts';
import type { OvfMachine } from '../../platform/ova/ovfread.ts';
import { imagesBelow } from '../../platform/openimage.ts';
import type { Disposable } from '../../util/disposable.ts';
import { HypervueError } from '../../util/errors.ts';
import { type Saying, say } from '../../util/say.ts';
import { checkConfig } from '../configrules.ts';
import type { NewMachine } from './clone.ts';
import { readImageFacts } from '../storage/headers.ts';
import type { TaskControl } from '../tasks.ts';

const MAX_MEMORY_MIB = 3072;

/** The name that the package gives its machine, made fit. */
export async function nameInPackage(file: string): Promise<string> {
  const source = await openOvfPackage(file);
  await source.close();
  return (
    source.machine.name
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a name must not have
      .replace(/[\u0000-\u001f\u007f/\\]+/g, ' ')
      .trim()
      .slice(0, 64) || 'Imported machine'
  );
}

/** Builds the machine of a package in `building`; the disks become qcow2 images. `notes` say what is other than in the package. */
export async function importPackage(
  file: string,
  made: NewMachine,
  building: string,
  control: TaskControl,
): Promise<{ config: VmConfig; notes: Saying[] }> {
  const source = await openOvfPackage(file);
  try {
    const { machine } = source;
    const notes: Saying[] = [];
    const { signal } = control;
    const checked = await source.verify({ signal, progress: (done, total) => control.progress((done / total) * 0.2, path.basename(file)) });
    if (!checked) notes.push(say('noteNoManifest'));
    const config = configOf(machine, made, notes);
    for (const [i, disk] of machine.disks.entries()) {
      const drive = config.drives[i]!;
      const progress = (done: number, total: number) =>
        control.progress(0.2 + (0.8 * (i + done / total)) / machine.disks.length, disk.file?.name ?? drive.path!);
      await importDisk(source, disk, path.join(building, drive.path!), { signal, progress });
    }
    return { config, notes };
  } finally {
    await source.close();
  }
}

function configOf(machine: OvfMachine, { name, newMac }: NewMachine, notes: Saying[]): VmConfig {
  const drives: Drive[] = [];
  const taken: Drive['id'][] = ['ide2'];
  let moved = false;
  for (const [i, { bus }] of machine.disks.entries()) {
    // Where it was, or IDE, which every system knows; what does not fit there goes where drivers are common.
    const place =
      (bus === 'sata' ? freePlace('sata', taken) : undefined) ??
      freePlace('ide', taken) ??
      freePlace('sata', taken) ??
      freePlace('virtio', taken);
    if (!place)
      throw new HypervueError('unsupported', say('packageDisks', { found: machine.disks.length }), {
        object: name,
      });
    moved ||= busOf(place) !== bus;
    taken.push(place);
    drives.push({ id: place, kind: 'disk', path: `disk${i ? i + 1 : ''}.qcow2`, format: 'qcow2', readOnly: false });
  }
  if (moved) notes.push(say('noteMoved'));
  drives.push({ id: 'ide2', kind: 'cdrom', path: null, format: 'raw', readOnly: true });
  if (machine.cpus > 1) notes.push(say('noteProcessors', { had: machine.cpus }));
  const { networkCards } = machine;
  if (networkCards > MAX_CARDS) notes.push(say('noteNetworkMore', { had: networkCards, most: MAX_CARDS }));
  if (networkCards) notes.push(say('noteNetworkNew'));
  if (machine.memoryMiB > MAX_MEMORY_MIB) notes.push(say('noteMemory', { had: machine.memoryMiB, mib: MAX_MEMORY_MIB }));
  const config = vmConfigSchema.parse({
    schema: 1,
    id: randomUUID(),
    name,
    description: machine.description.slice(0, 10_000),
    createdAt: new Date().toISOString(),
    os: machine.os.slice(0, 128),
    cpu: { model: defaultCpuModel },
    memoryMiB: Math.min(machine.memoryMiB, MAX_MEMORY_MIB),
    firmware: machine.uefi ? 'uefi' : 'bios',
    boot: { order: ['disk', 'cdrom'] },
    drives,
    display: {},
    network: netPlaces.slice(0, networkCards).map((id) => ({ id, model: defaultNic(machine.os), mac: newMac(), network: DEFAULT_NETWORK })),
    serial: [{ type: 'console' }, { type: 'none' }],
  });
  checkConfig(config);
  return config;
}

/** Writes a machine that is off as an OVA file, whose disks are not encrypted; `passphrase` opens those that are. `notes` say what the file does not have. */
export async function exportPackage(
  folder: string,
  config: VmConfig,
  file: string,
  { locks, control, passphrase }: { locks: ImageLocks; control: TaskControl; passphrase?: string | undefined },
): Promise<{ notes: Saying[] }> {
  const notes: Saying[] = [];
  const held: Disposable[] = [];
  try {
    const disks: { path: string; format: 'raw' | 'qcow2' }[] = [];
    for (const drive of config.drives) {
      if (drive.path === null) continue;
      if (drive.kind !== 'disk') {
        notes.push(say('noteLeftOut', { drive: drive.id, path: drive.path }));
        continue;
      }
      const image = path.resolve(folder, drive.path);
      held.push(locks.acquire(image, true, config.name));
      for (const lower of await imagesBelow(image, drive.format)) held.push(locks.acquire(lower, true, config.name));
      disks.push({ path: image, format: drive.format });
      if (drive.format === 'qcow2' && (await readImageFacts(image)).encrypted) notes.push(say('noteDecrypted', { drive: drive.id }));
    }
    if (config.boot.kernel) notes.push(say('noteKernel', { path: config.boot.kernel.path }));
    await exportOva(file, {
      machine: {
        name: config.name,
        description: config.description,
        os: config.os,
        memoryMiB: config.memoryMiB,
        uefi: config.firmware === 'uefi',
        cds: config.drives.some(({ kind }) => kind === 'cdrom') ? 1 : 0,
      },
      disks,
      passphrase,
      signal: control.signal,
      progress: (done, total) => control.progress(done / total, path.basename(file)),
    });
    return { notes };
  } finally {
    for (const lock of held) lock.dispose();
  }
}
