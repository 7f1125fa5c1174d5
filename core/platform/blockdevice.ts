/** Block devices of this computer under their paths: which one it is, what overlaps with it, and what is said when it can't be used. */
import { readdirSync, readFileSync, realpathSync, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import path from 'node:path';
import type { SaidKey } from '../contract/saidtexts.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

/** Of Linux (errno(3)); Node has no name for it. */
const ENOMEDIUM = -123;

/** `major:minor` of a device number as stat gives it (gnu_dev_major(3)). */
export function deviceNumber(rdev: number | bigint): string {
  const wide = BigInt(rdev);
  const major = ((wide >> 8n) & 0xfffn) | ((wide >> 32n) & ~0xfffn);
  const minor = (wide & 0xffn) | ((wide >> 12n) & ~0xffn);
  return `${major}:${minor}`;
}

/** What the path leads to, when that is a block device; undefined for everything else, also for what is not there. */
export async function blockDeviceAt(file: string): Promise<Stats | undefined> {
  const info = await stat(file).catch(() => undefined);
  return info?.isBlockDevice() ? info : undefined;
}

const text = (...file: string[]): string => {
  try {
    return readFileSync(path.join(...file), 'utf8').trim();
  } catch {
    return '';
  }
};

const folderOf = (number: string, root: string): string => path.join(root, 'sys/dev/block', number);

/** Numbers of the devices that have bytes in common with this one: the partitions of a disk, or the disk of a partition. `root` is where /sys is. */
export function overlapping(number: string, root = '/'): string[] {
  let of: string;
  try {
    of = realpathSync(folderOf(number, root));
  } catch {
    return [];
  }
  if (text(of, 'partition') !== '') {
    const whole = text(of, '..', 'dev');
    return whole === '' ? [] : [whole];
  }
  return readdirSync(of).flatMap((name) => (text(of, name, 'partition') === '' ? [] : text(of, name, 'dev') || []));
}

/**
 * What is another text after every write to the device, when another device has its number, and when this computer was started anew. Nothing says when a device was written last;
 * what the kernel counts does (Documentation/ABI/stable/sysfs-block, `stat`: the fifth and seventh number).
 */
export function writeCount(rdev: number, root = '/'): string {
  const of = folderOf(deviceNumber(rdev), root);
  const counts = text(of, 'stat').split(/\s+/);
  const sequence = text(of, 'diskseq') || text(of, '..', 'diskseq');
  return [text(root, 'proc/sys/kernel/random/boot_id'), deviceNumber(rdev), sequence, counts[4] ?? '', counts[6] ?? ''].join(' ');
}

/** Opening it for writing may succeed all the same, and every write fail. Throws 'permission-denied'. */
export async function refuseReadOnlyDevice(file: string, rdev: number, root = '/'): Promise<void> {
  if (text(folderOf(deviceNumber(rdev), root), 'ro') !== '1') return;
  throw new HypervueError(
    'permission-denied',
    say('blockDeviceReadOnly', { path: file }),
    { path: file, operation: 'open' },
    say('fixBlockDeviceReadOnly'),
  );
}

/** Name of a group of this computer; empty when it has none. */
function groupName(gid: number): string {
  const line = text('/etc/group')
    .split('\n')
    .map((one) => one.split(':'))
    .find((fields) => fields[2] === String(gid));
  return line?.[0] ?? '';
}

/** The rights that would do, for who has not got them. A group of root's is no answer. */
function rights(gid: number | undefined) {
  const group = gid ? groupName(gid) : '';
  return group === '' ? say('fixBlockDeviceRoot') : say('fixBlockDeviceGroup', { group, user: userInfo().username });
}

/** What a failure means when the file is a block device; undefined where it means the same as for other files. `gid`: the device's group. */
export function deviceError(error: unknown, file: string, operation: string, gid?: number): HypervueError | undefined {
  if (error instanceof HypervueError) return undefined;
  const { code = '', errno } = error as NodeJS.ErrnoException;
  const context = { path: file, operation, code };
  switch (errno === ENOMEDIUM ? 'ENOMEDIUM' : code) {
    case 'EBUSY':
      return new HypervueError('in-use', say('blockDeviceBusy', { path: file }), context, say('fixBlockDeviceBusy'), error);
    case 'EACCES':
      return new HypervueError('permission-denied', say('blockDeviceNoRights', { path: file }), context, rights(gid), error);
    case 'EPERM':
    case 'EROFS':
      return new HypervueError(
        'permission-denied',
        say('blockDeviceReadOnly', { path: file }),
        context,
        say('fixBlockDeviceReadOnly'),
        error,
      );
    case 'ENOMEDIUM':
      return new HypervueError('not-found', say('blockDeviceNoMedium', { path: file }), context, say('fixBlockDeviceNoMedium'), error);
    case 'EIO':
    case 'ENXIO':
    case 'ENODEV':
      return new HypervueError('io-error', say('blockDeviceGone', { path: file, code }), context, say('fixBlockDeviceGone'), error);
    case 'ENOSPC':
      return new HypervueError('io-error', say('blockDeviceEnd', { path: file }), context, undefined, error);
    default:
      return undefined;
  }
}

const refusals = {
  resize: ['blockDeviceNoResize', 'fixBlockDeviceNoResize'],
  compact: ['blockDeviceNoCompact', undefined],
  delete: ['blockDeviceNoDelete', 'fixBlockDeviceNoDelete'],
  commit: ['blockDeviceNoCommit', 'fixBlockDeviceNoCommit'],
  dataFile: ['blockDeviceDataFile', undefined],
  convert: ['blockDeviceNoConvert', 'fixBlockDeviceNoConvert'],
  qcow2: ['blockDeviceNoQcow2', 'fixBlockDeviceNoQcow2'],
} as const satisfies Record<string, readonly [SaidKey, SaidKey | undefined]>;

/** What can't be done to a device. */
export function refusedDevice(file: string, operation: keyof typeof refusals): HypervueError {
  const [what, fix] = refusals[operation];
  return new HypervueError('unsupported', say(what, { path: file }), { path: file, operation }, fix && say(fix));
}

/** Rejects with 'unsupported' when the path leads to a block device. */
export async function refuseDevice(file: string, operation: keyof typeof refusals): Promise<void> {
  if (await blockDeviceAt(file)) throw refusedDevice(file, operation);
}
