/** Block devices of this computer as disks of machines: which may be given, who has them, and what can't be done to a machine that has one. */
import path from 'node:path';
import { deviceHindrance, lastingPath, sharing, usedSharing, usesOf } from '../contract/deviceuse.ts';
import { freeDrivePlace, usualDiskBus, withDrive, withoutDrive } from '../contract/devices.ts';
import type { DriveBus, DriveId } from '../contract/drives.ts';
import type { GivenDisk, HostBlockDevice } from '../contract/hostdevices.ts';
import type { Drive, VmConfig } from '../contract/vm.ts';
import { blockDeviceAt, deviceNumber } from '../platform/blockdevice.ts';
import { readBlock } from '../platform/hostdevices/block.ts';
import { NodeFile } from '../platform/nodefile.ts';
import { HypervueError } from '../util/errors.ts';
import { type Saying, say } from '../util/say.ts';
import type { Machine } from './machine.ts';
import type { DiskOwner } from './transfer/outsidedisk.ts';

/** The block devices of this computer as they are now; none on other systems than Linux. */
export const hostBlockDevices = (): Promise<HostBlockDevice[]> => readBlock('/');

/** `major:minor` of the block device that a path leads to; undefined for everything else. */
export const deviceNumberAt = async (file: string): Promise<string | undefined> => {
  const info = await blockDeviceAt(file);
  return info && deviceNumber(info.rdev);
};

/** A machine that may have devices. `file`: the drives of its vm.json; `now`: those that it has while it is on. */
export interface DeviceOwner extends DiskOwner {
  id: string;
  file?: readonly Drive[] | undefined;
  now?: readonly Drive[] | undefined;
}

/** Which devices have bytes in common with the drives of the machines, and whose they are. Discs in CD drives are not counted: they are only read. */
export async function givenDisks(owners: readonly DeviceOwner[], block: readonly HostBlockDevice[]): Promise<GivenDisk[]> {
  const given: GivenDisk[] = [];
  for (const { id, name, folder, drives, file, now } of owners)
    for (const drive of drives) {
      const number = drive.path === null || drive.kind === 'cdrom' ? undefined : await deviceNumberAt(path.resolve(folder, drive.path));
      const device = block.find((one) => number !== undefined && one.number === number);
      if (!device) continue;
      const has = (list: readonly Drive[]) => list.some((one) => one.id === drive.id && one.path === drive.path);
      const when = file && !has(file) ? 'untilOff' : now && !has(now) ? 'nextStart' : 'now';
      for (const one of sharing(device, block))
        given.push({
          device: one.name,
          machine: id,
          machineName: name,
          drive: drive.id,
          path: drive.path!,
          own: one === device,
          readOnly: drive.readOnly,
          when,
        });
    }
  return given;
}

const refused = (
  kind: 'in-use' | 'unsupported' | 'not-found',
  what: Saying,
  fix: Saying,
  file: string,
  more: Record<string, string> = {},
) => new HypervueError(kind, what, { path: file, operation: 'give to a machine', ...more }, fix);

/** Throws what keeps the device from being a disk of a machine, whichever. */
export function refuseHindered(device: HostBlockDevice, all: readonly HostBlockDevice[], file = device.path): void {
  switch (deviceHindrance(device, all)) {
    case 'system':
      throw refused('in-use', say('blockDeviceSystem', { path: file }), say('fixBlockDeviceSystem'), file);
    case 'used':
      throw refused(
        'in-use',
        say('blockDeviceUsed', { path: file, uses: usesOf(usedSharing(device, all)) }),
        say('fixBlockDeviceUsed'),
        file,
      );
    case 'kind':
      throw refused('unsupported', say('blockDeviceKind', { path: file }), say('fixBlockDeviceKind'), file);
    case 'empty':
      throw refused('not-found', say('blockDeviceNoMedium', { path: file }), say('fixBlockDeviceNoMedium'), file);
    default:
  }
}

/** Makes the device a disk of the machine, which has it from its next start on; under the name that goes with the device. Gives the place. */
export async function giveDevice(
  machine: Machine,
  { device: wanted, bus, readOnly }: { device: string; bus?: DriveBus | undefined; readOnly: boolean },
  owners: () => readonly DeviceOwner[],
): Promise<DriveId> {
  const number = await deviceNumberAt(wanted);
  const block = await hostBlockDevices();
  const device = block.find((one) => number !== undefined && one.number === number);
  if (!device) throw refused('not-found', say('noBlockDevice', { path: wanted }), say('fixBlockDeviceList'), wanted);
  refuseHindered(device, block, wanted);
  const [holder] = (await givenDisks(owners(), block)).filter((one) => one.device === device.name);
  if (holder)
    throw refused(
      'in-use',
      say('blockDeviceGiven', { path: wanted, name: holder.machineName, drive: holder.drive }),
      say('fixBlockDeviceGiven', { name: holder.machineName }),
      wanted,
      { holder: holder.machineName },
    );
  // What keeps this user from it is told now, not at the start.
  await (await NodeFile.open(wanted, readOnly)).close();
  const lasting = lastingPath(device);
  const file = (await deviceNumberAt(lasting)) === number ? lasting : wanted;
  let place: DriveId | undefined;
  await machine.settings.replace((now) => {
    const on = bus ?? usualDiskBus(now);
    place = freeDrivePlace(now, on, 'disk');
    if (!place)
      throw new HypervueError(
        'resource-limit',
        say('busTaken', { bus: on, name: machine.name }),
        { object: machine.name, operation: 'add a disk' },
        say('fixBusTaken'),
      );
    return { ...now, ...withDrive(now, { id: place, kind: 'disk', path: file, format: 'raw', readOnly }) };
  });
  machine.record('info', 'manager', `${place}: the device ${file} was given to it${readOnly ? ', to be read only' : ''}`);
  return place!;
}

/** Throws 'unsupported' when a configuration would have a device as a disk that `now` has not: devices are given by `vm.giveDevice`, which looks whether they are free. */
export async function refuseNewDevices(now: readonly Drive[], next: readonly Drive[], folder: string): Promise<void> {
  const known = new Set(now.map(({ path: file }) => file));
  for (const { id, kind, path: file } of next) {
    if (kind === 'cdrom' || file === null || known.has(file) || !(await blockDeviceAt(path.resolve(folder, file)))) continue;
    throw new HypervueError(
      'unsupported',
      say('blockDeviceByHand', { path: file, drive: id }),
      { path: file, drive: id },
      say('fixBlockDeviceByHand'),
    );
  }
}

/** Disks of the machine that are devices; those that its guest only reads are left out unless `all`. */
export async function deviceDisks(config: VmConfig, folder: string, all = false): Promise<(Drive & { path: string })[]> {
  const found: (Drive & { path: string })[] = [];
  for (const drive of config.drives)
    if (
      drive.kind !== 'cdrom' &&
      drive.path !== null &&
      (all || !drive.readOnly) &&
      (await blockDeviceAt(path.resolve(folder, drive.path)))
    )
      found.push({ ...drive, path: drive.path });
  return found;
}

/** Throws 'unsupported' when the machine has a device: it keeps no snapshots, and a copy of the machine would share it or be as large. */
export async function refuseDeviceDisks(
  config: VmConfig,
  folder: string,
  operation: 'snapshot' | 'clone' | 'export' | 'template',
): Promise<void> {
  // A package would hold all of the device also where its guest only reads it.
  const [drive] = await deviceDisks(config, folder, operation === 'export');
  if (!drive) return;
  const what = { name: config.name, drive: drive.id, path: drive.path };
  const snapshot = operation === 'snapshot';
  throw new HypervueError(
    'unsupported',
    say(snapshot ? 'blockDeviceNoSnapshot' : 'blockDeviceNoCopy', what),
    { object: config.name, drive: drive.id, path: drive.path, operation },
    say(snapshot ? 'fixBlockDeviceNoSnapshot' : 'fixBlockDeviceNoCopy', what),
  );
}

/** The configuration of a machine from elsewhere without its disks that would be devices of this computer, and what is said of each. */
export async function withoutDevices(
  config: VmConfig,
  folder: string,
): Promise<{ config: VmConfig; notes: { drive: DriveId; note: Saying }[] }> {
  const left = await deviceDisks(config, folder, true);
  let rest = config;
  for (const { id } of left) rest = { ...rest, ...withoutDrive(rest, id) };
  return {
    config: rest,
    notes: left.map(({ id, path: file }) => ({ drive: id, note: say('blockDeviceImport', { drive: id, path: file }) })),
  };
}
