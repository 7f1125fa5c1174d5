import { isDeepStrictEqual } from 'node:util';
import { busOf, type DriveId } from '../contract/drives.ts';
import type { Drive, VmConfig } from '../contract/vm.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { MachineConfig } from './machineconfig.ts';
import { driveOf } from './machinedrives.ts';
import type { MachineSelf } from './machineself.ts';
import { throwFirst } from './preflight.ts';
import { preflightDrive } from './preflightstart.ts';

/** Plugs a USB drive that vm.json has into the machine, which is on: from then on it is a part of it like any other. */
export async function plugDrive(
  driveId: DriveId,
  passphrase: string | undefined,
  machine: MachineSelf,
  settings: MachineConfig,
): Promise<void> {
  const { name, folder, locks, parts } = machine;
  const vm = machine.inState('plug in a drive', ['running', 'paused']);
  const file = settings.usable('plug in a drive');
  const drive = driveOf(file, driveId);
  const now = settings.present('plug in a drive');
  refuseElsewhere(driveId);
  if (!now.usb) throw new HypervueError('invalid-state', say('usbNoController', { name }), { object: name }, say('fixUsbController'));
  if (now.drives.some(({ id }) => id === driveId))
    throw new HypervueError('already-exists', say('drivePlugged', { name, drive: driveId }), { object: name, drive: driveId });
  const drives = withDriveOf(now.drives, file.drives, drive);
  throwFirst(await preflightDrive(parts, { ...now, drives }, folder, drive), name, 'plug in a drive');
  if (drive.path !== null) await locks.takeDrive(drive, folder, name);
  try {
    if (vm.pid !== undefined) locks.share(vm.pid);
    await vm.plugDrive(drive, drives.indexOf(drive), passphrase);
  } catch (error) {
    // Of a machine that has ended meanwhile nothing is held any more.
    if (machine.running() === vm) locks.dropDrive(driveId);
    throw error;
  }
  if (machine.running() !== vm) return;
  settings.nowWith((config) => startingAs({ ...config, drives: withDriveOf(config.drives, file.drives, drive) }, file));
  machine.record('info', 'manager', `${driveId}: plugged in${drive.path === null ? '' : ` (${drive.path})`}`);
  machine.changed();
}

/** Pulls a USB drive out of the machine, which is on. What its guest had written by then is in the image. */
export async function unplugDrive(driveId: DriveId, machine: MachineSelf, settings: MachineConfig): Promise<void> {
  const vm = machine.inState('pull out a drive', ['running', 'paused']);
  driveOf(settings.present('pull out a drive'), driveId);
  refuseElsewhere(driveId);
  await vm.unplugDrive(driveId);
  if (machine.running() !== vm) return;
  machine.locks.dropDrive(driveId);
  settings.nowWith((config) => ({ ...config, drives: config.drives.filter(({ id }) => id !== driveId) }));
  machine.record('info', 'manager', `${driveId}: pulled out`);
  machine.changed();
}

function refuseElsewhere(drive: DriveId): void {
  if (busOf(drive) !== 'usb')
    throw new HypervueError('unsupported', say('plugOnlyUsb', { drive }), { object: drive }, say('fixPlugOnlyUsb'));
}

/** The drives that there are and one more, in the order of the file. */
function withDriveOf(now: readonly Drive[], file: readonly Drive[], drive: Drive): Drive[] {
  const rank = ({ id }: Drive) => {
    const place = file.findIndex((each) => each.id === id);
    return place < 0 ? file.length : place;
  };
  return [...now, drive].sort((a, b) => rank(a) - rank(b));
}

/** Where the boot order of the file says nothing else but when the drives that there are now are tried, it is the machine's: it counts from the next start on in any case. */
function startingAs(now: VmConfig, file: VmConfig): VmConfig {
  const known = (order: VmConfig['boot']['order']) => order.filter((entry) => busOfEntry(entry) !== 'usb');
  const same = isDeepStrictEqual({ ...now.boot, order: known(now.boot.order) }, { ...file.boot, order: known(file.boot.order) });
  return same ? { ...now, boot: file.boot } : now;
}

const busOfEntry = (entry: VmConfig['boot']['order'][number]): string => (/^usb\d$/.test(entry) ? 'usb' : 'other');
