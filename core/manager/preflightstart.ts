import path from 'node:path';
import { isDevicePath } from '../contract/deviceuse.ts';
import { defaultPolicy, goesAroundCache } from '../contract/drives.ts';
import type { DriveId } from '../contract/drives.ts';
import type { Drive, Remedy, VmConfig } from '../contract/vm.ts';
import { AlignedFile } from '../platform/alignedfile.ts';
import { allocatedBytes } from '../platform/diskfile.ts';
import { freeBytes } from '../platform/hostinfo.ts';
import { gdbPlace, type Listening, listenProblem, vncPlace } from '../platform/listenplace.ts';
import { formatUnderRaw, imagesBelow, tryImage } from '../platform/openimage.ts';
import { asHypervueError } from '../util/errors.ts';
import { plain, say } from '../util/say.ts';
import { deviceNumberAt, hostBlockDevices, refuseHindered } from './devicedisks.ts';
import { isBelow } from './paths.ts';
import {
  bad,
  checkFile,
  checkHost,
  checkMedium,
  failed,
  good,
  inUse,
  MIB,
  type PreflightCheck,
  type PreflightParts,
  remedied,
  SLACK_BYTES,
} from './preflight.ts';
import { exists } from './snapshots/plan.ts';
import { keyOf } from './storage/scan.ts';
import { checkBootCards, checkCable } from './preflightnetwork.ts';

/** Disks are told to have too little room to grow when there is less than this, and they may come to more. */
const ROOM_TO_GROW = 1024 * MIB;

/** What keeps a disk from being used without this computer's cache, if that is asked for. */
async function checkAround(drive: Drive, file: string, readOnly: boolean): Promise<PreflightCheck | undefined> {
  if (drive.kind !== 'disk' || !goesAroundCache(drive.cache ?? defaultPolicy.cache)) return undefined;
  try {
    await (await AlignedFile.open(file, readOnly)).close();
    return undefined;
  } catch (error) {
    return failed(`${drive.id}.cache`, asHypervueError(error, { path: file }), file);
  }
}

/** OVMF has no driver for the floppy controller. */
const floppyWithUefi = ({ id }: Drive, file: string): PreflightCheck =>
  bad(`${id}.firmware`, 'warning', 'unsupported', say('uefiFloppy', { drive: id }), say('fixUefiFloppy'), file);

const driveUse = { cdrom: 'iso', floppy: 'floppy', disk: 'disk' } as const satisfies Record<Drive['kind'], string>;

/** What a disk comes to when it is opened with all that lies below it, and how many bytes it may still take. */
async function checkImage(
  parts: PreflightParts,
  { id, format }: Drive,
  file: string,
  readOnly: boolean,
): Promise<{ checks: PreflightCheck[]; mayGrow: number }> {
  const checks: PreflightCheck[] = [];
  try {
    const { sizeBytes, encrypted } = await tryImage(file, { format, readOnly });
    if (encrypted) checks.push(good(`${id}.passphrase`, say('diskWantsPassphrase', { path: file })));
    if (format === 'raw') {
      // What vm.json says counts, also where its guest, or somebody else, made it begin as another format.
      const found = await formatUnderRaw(file);
      if (found)
        checks.push(
          bad(`${id}.format`, 'warning', 'unsupported', say('rawBeginsAs', { path: file, format: found }), say('fixRawBeginsAs'), file),
        );
    }
    for (const below of await imagesBelow(file, format)) {
      const holder = parts.locks.conflict(below, true);
      if (holder !== undefined) checks.push(inUse(`${id}.below`, below, holder));
    }
    return { checks, mayGrow: readOnly ? 0 : Math.max(0, sizeBytes - (await allocatedBytes(file))) };
  } catch (error) {
    return { checks: [...checks, failed(`${id}.image`, asHypervueError(error, { path: file }), file)], mayGrow: 0 };
  }
}

/** Another drive with the same image, by whatever path. */
async function twinOf(drive: Drive, config: VmConfig, folder: string): Promise<Drive | undefined> {
  const key = await keyOf(path.resolve(folder, drive.path!));
  for (const other of config.drives)
    if (other !== drive && other.path !== null && key !== undefined && (await keyOf(path.resolve(folder, other.path))) === key)
      return other;
  return undefined;
}

/** Why a device of this computer can't be the drive now: it is not there, or used by this computer. */
async function checkDevice({ id, kind }: Drive, file: string): Promise<PreflightCheck | undefined> {
  const number = await deviceNumberAt(file);
  if (number === undefined) {
    if (kind !== 'disk' || !isDevicePath(file) || (await exists(file))) return undefined;
    return bad(id, 'error', 'not-found', say('blockDeviceMissing', { path: file }), say('fixBlockDeviceMissing'), file);
  }
  const block = await hostBlockDevices();
  const device = block.find((one) => one.number === number);
  try {
    if (device) refuseHindered(device, block, file);
    return undefined;
  } catch (error) {
    return failed(id, asHypervueError(error, { path: file }), file);
  }
}

/** What is wrong with a drive's medium, whether it could start the machine, and how much it may still grow. */
async function checkDrive(
  parts: PreflightParts,
  config: VmConfig,
  folder: string,
  drive: Drive,
): Promise<{ checks: PreflightCheck[]; unbootable: PreflightCheck[]; boots: boolean; mayGrow: number }> {
  const file = path.resolve(folder, drive.path!);
  const readOnly = drive.readOnly || drive.kind === 'cdrom';
  const device = drive.kind === 'cdrom' ? undefined : await checkDevice(drive, file);
  if (device) return { checks: [device], unbootable: [], boots: false, mayGrow: 0 };
  const basic = await checkFile(drive.id, file, readOnly);
  if (!basic.ok) return { checks: [basic], unbootable: [], boots: false, mayGrow: 0 };
  const checks: PreflightCheck[] = [];
  const twin = await twinOf(drive, config, folder);
  if (twin && !readOnly)
    checks.push(
      bad(
        `${drive.id}.twice`,
        'error',
        'invalid-argument',
        say('twoDrives', { path: file, one: drive.id, other: twin.id }),
        say('fixTwoDrives'),
        file,
      ),
    );
  const around = await checkAround(drive, file, readOnly);
  if (around) checks.push(around);
  const image = drive.kind === 'disk' ? await checkImage(parts, drive, file, readOnly) : { checks: [], mayGrow: 0 };
  const broken = image.checks.some(({ id }) => id === `${drive.id}.image`);
  const media = await checkMedium(parts, drive.id, file, driveUse[drive.kind], readOnly, config.firmware);
  const floppy = drive.kind === 'floppy' && config.firmware === 'uefi';
  const unbootable = floppy ? [floppyWithUefi(drive, file)] : [];
  // Media that merely look odd don't block: they worked, or their owner knows.
  for (const check of media)
    if (check.kind === 'in-use' || (check.ok && !broken)) checks.push(check);
    else if (check.ok || broken) continue;
    else if (check.kind === 'unsupported' && check.severity === 'warning') unbootable.push(check);
    else checks.push({ ...check, severity: 'warning' });
  checks.push(...image.checks);
  return { checks, unbootable, boots: !floppy && media.every(({ ok }) => ok), mayGrow: image.mayGrow };
}

/** Everything that keeps a drive of the configuration from being plugged into the machine, which is on. */
export async function preflightDrive(parts: PreflightParts, config: VmConfig, folder: string, drive: Drive): Promise<PreflightCheck[]> {
  return drive.path === null ? [] : (await checkDrive(parts, config, folder, drive)).checks;
}

/** Where outside clients are to reach the machine. */
async function checkListening(id: string, listening: Listening): Promise<PreflightCheck> {
  const problem = await listenProblem(listening);
  return problem ? failed(id, problem, listening.name) : good(id, plain(listening.name));
}

/** The folder's room: for what the machine writes at once, for its memory when its state is saved, for what its disks may still take. */
async function checkRoom(
  folder: string,
  config: VmConfig,
  growing: readonly { file: string; mayGrow: number }[],
): Promise<PreflightCheck[]> {
  const free = await freeBytes(folder);
  if (free < SLACK_BYTES)
    return [bad('space', 'error', 'no-space', say('spaceLeft', { folder, freeBytes: free }), say('fixSpaceLeft'), folder)];
  const checks: PreflightCheck[] = [];
  const places = new Map<string, number>();
  for (const { file, mayGrow } of growing) places.set(path.dirname(file), (places.get(path.dirname(file)) ?? 0) + mayGrow);
  for (const [place, sizeBytes] of places) {
    const freeThere = await freeBytes(place);
    if (freeThere < Math.min(sizeBytes, ROOM_TO_GROW))
      checks.push(
        bad(
          'space.grow',
          'warning',
          'no-space',
          say('spaceGrow', { sizeBytes, folder: place, freeBytes: freeThere }),
          say('fixSpaceGrow'),
          place,
        ),
      );
  }
  const neededBytes = config.memoryMiB * MIB;
  if (free < neededBytes)
    checks.push(
      bad('space.save', 'warning', 'no-space', say('spaceSave', { neededBytes, folder, freeBytes: free }), say('fixSpaceSave'), folder),
    );
  return checks.length ? checks : [good('space', say('spaceGood', { freeBytes: free, folder }))];
}

/** What a button could do about a check of a machine that is there. */
function remedyOf(check: PreflightCheck, config: VmConfig, folder: string): Remedy | undefined {
  const drive = config.drives.find(({ id }) => check.id === id || check.id.startsWith(`${id}.`));
  if (check.kind === 'in-use' && typeof check.context?.holder === 'string') return { do: 'show', machine: check.context.holder };
  if (check.kind === 'no-space') return { do: 'trash' };
  if (drive && drive.kind !== 'disk' && check.severity === 'error') return { do: 'eject', drive: drive.id };
  if (drive && check.kind === 'corrupt' && check.path !== undefined && isBelow(folder, check.path))
    return { do: 'check-image', path: check.path };
  switch (check.id) {
    case 'engine':
    case 'firmware':
    case 'uefi':
      return { do: 'diagnostics' };
    case 'memory':
      return check.remedy;
    default:
      return undefined;
  }
}

/**
 * Everything that could keep an existing machine from starting; `othersMiB`: see `checkHost`. `resumes`: it goes on from a state, so that it does not matter whether anything could
 * start it.
 */
export async function preflightStart(
  parts: PreflightParts,
  config: VmConfig,
  folder: string,
  { othersMiB = 0, resumes = false } = {},
): Promise<PreflightCheck[]> {
  const checks = await checkHost(parts, config.memoryMiB, config.firmware, othersMiB);
  /** What is said of media that merely can't boot: worth saying when nothing else can either. */
  const unbootable: PreflightCheck[] = [];
  const growing: { file: string; mayGrow: number }[] = [];
  /** Drives with something to start from. */
  const starting: DriveId[] = [];
  for (const drive of config.drives) {
    if (drive.path === null) continue;
    const found = await checkDrive(parts, config, folder, drive);
    checks.push(...found.checks);
    unbootable.push(...found.unbootable);
    if (found.boots) starting.push(drive.id);
    growing.push({ file: path.resolve(folder, drive.path), mayGrow: found.mayGrow });
  }
  const cards = await checkBootCards(parts, config, resumes ? null : starting);
  if (!resumes && !config.boot.kernel && !starting.length && !cards.boots) checks.push(...unbootable);
  if (config.boot.kernel) {
    checks.push(await checkFile('kernel', path.resolve(folder, config.boot.kernel.path)));
    if (config.boot.kernel.initrd) checks.push(await checkFile('initrd', path.resolve(folder, config.boot.kernel.initrd)));
  }
  const { listen } = config.display;
  if (listen) checks.push(await checkListening('vnc', vncPlace(listen)));
  const { gdb } = config.debug;
  if (gdb) checks.push(await checkListening('gdb', gdbPlace(gdb.type === 'unix' ? { ...gdb, path: path.resolve(folder, gdb.path) } : gdb)));
  for (const card of config.network) checks.push(...(await checkCable(parts.networks, card)));
  checks.push(...cards.checks);
  checks.push(...(await checkRoom(folder, config, growing)));
  return checks.map(({ remedy, ...check }) =>
    check.ok ? check : remedied(check, remedyOf({ ...check, ...(remedy ? { remedy } : {}) }, config, folder)),
  );
}
