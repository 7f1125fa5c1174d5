import path from 'node:path';
import { defaultPolicy, goesAroundCache } from '../contract/drives.ts';
import type { ErrorKind } from '../contract/errors.ts';
import type { MediaInfo } from '../contract/host.ts';
import type { Check, Drive, FirmwareKind, Remedy, VmConfig, VmCreate } from '../contract/vm.ts';
import type { Engine } from '../engine/engine.ts';
import { AlignedFile } from '../platform/alignedfile.ts';
import { allocatedBytes } from '../platform/diskfile.ts';
import type { Firmware } from '../platform/firmware.ts';
import { freeBytes, hostFacts } from '../platform/hostinfo.ts';
import type { ImageLocks } from '../platform/imagelocks.ts';
import { NodeFile } from '../platform/nodefile.ts';
import { readableBytes } from '../util/bytes.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import { hasBootSector, inspectMedia, MAX_FLOPPY_BYTES } from './inspectmedia.ts';

/** A check with what its failure is as an error. */
export interface PreflightCheck extends Check {
  kind: ErrorKind;
  path?: string;
}

export interface PreflightParts {
  engine: Engine;
  firmware: () => Firmware;
  uefi: () => Firmware;
  locks: ImageLocks;
  library: string;
  /** Path of the check image, whether it exists or not. */
  sampleImage: string;
  nameTaken(name: string): boolean;
}

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** What a machine takes besides its RAM. */
const OVERHEAD_MIB = 96;
/** Metadata that a new machine writes at the least. */
const SLACK_BYTES = 1 * MIB;
/** SeaBIOS needs about this much. */
const MIN_BIOS_MIB = 2;
/** OVMF's first stages have fixed places below 48 MiB, and its later ones want room. */
const MIN_UEFI_MIB = 64;

const good = (id: string, message: string): PreflightCheck => ({ id, ok: true, severity: 'info', message, kind: 'internal' });
const bad = (id: string, severity: 'error' | 'warning', kind: ErrorKind, message: string, fix?: string, file?: string): PreflightCheck => ({
  id,
  ok: false,
  severity,
  message,
  kind,
  ...(fix === undefined ? {} : { fix }),
  ...(file === undefined ? {} : { path: file }),
});
/** With what a button could do about it. */
const remedied = (check: PreflightCheck, remedy: Remedy | undefined): PreflightCheck => (remedy ? { ...check, remedy } : check);
const failed = (id: string, error: HypervueError, file: string) => bad(id, 'error', error.kind, error.message, error.fix, file);

/** Contract form: without what only the manager needs. */
export function toCheck({ id, ok, severity, message, fix, remedy }: PreflightCheck): Check {
  return { id, ok, severity, message, ...(fix === undefined ? {} : { fix }), ...(remedy === undefined ? {} : { remedy }) };
}

/** Throws the first check that blocks. */
export function throwFirst(checks: readonly PreflightCheck[], object: string, operation: string): void {
  const check = checks.find(({ ok, severity }) => !ok && severity === 'error');
  if (check)
    throw new HypervueError(
      check.kind,
      check.message,
      { object, operation, check: check.id, ...(check.path ? { path: check.path } : {}) },
      check.fix,
    );
}

async function checkHost(parts: PreflightParts, memoryMiB: number, firmwareKind: FirmwareKind): Promise<PreflightCheck[]> {
  const checks: PreflightCheck[] = [];
  const { maxMemoryMiB, available, reason } = await parts.engine.capabilities();
  checks.push(available ? good('engine', parts.engine.name) : bad('engine', 'error', 'unsupported', `${parts.engine.name}: ${reason}`));
  const firmware = parts.firmware();
  checks.push(
    firmware.available
      ? good('firmware', firmware.reason)
      : bad('firmware', 'error', 'not-found', `Firmware was not found: ${firmware.reason}`, firmware.fix),
  );
  if (firmwareKind === 'uefi') {
    const uefi = parts.uefi();
    checks.push(
      uefi.available
        ? good('uefi', uefi.reason)
        : remedied(bad('uefi', 'error', 'not-found', `UEFI firmware was not found: ${uefi.reason}`, uefi.fix), { do: 'bios' }),
    );
  }
  const minimum = firmwareKind === 'uefi' ? MIN_UEFI_MIB : MIN_BIOS_MIB;
  const { memoryBytes, freeMemoryBytes } = hostFacts();
  const total = Math.floor(memoryBytes / MIB);
  const free = Math.floor(freeMemoryBytes / MIB);
  const memory = (severity: 'error' | 'warning', kind: ErrorKind, message: string, fix: string, mib: number) =>
    checks.push(remedied(bad('memory', severity, kind, message, fix), mib >= minimum ? { do: 'memory', memoryMiB: mib } : undefined));
  const most = Math.min(maxMemoryMiB, total - OVERHEAD_MIB);
  if (memoryMiB > maxMemoryMiB)
    memory(
      'error',
      'resource-limit',
      `${memoryMiB} MiB of memory is more than the ${maxMemoryMiB} MiB that ${parts.engine.name} gives one machine`,
      `Choose at most ${maxMemoryMiB} MiB.`,
      most,
    );
  else if (memoryMiB + OVERHEAD_MIB > total)
    memory(
      'error',
      'resource-limit',
      `${memoryMiB} MiB of memory is more than this computer has (${total} MiB)`,
      `Choose at most ${Math.max(1, total - OVERHEAD_MIB)} MiB.`,
      most,
    );
  else if (memoryMiB + OVERHEAD_MIB > free)
    memory(
      'warning',
      'resource-limit',
      `${memoryMiB} MiB of memory is more than the ${free} MiB that are free now`,
      'Close programs, stop other machines, or choose less.',
      free - OVERHEAD_MIB,
    );
  else if (memoryMiB < minimum)
    memory('warning', 'invalid-argument', `${memoryMiB} MiB is less than the firmware needs`, `Choose at least ${minimum} MiB.`, minimum);
  else checks.push(good('memory', `${memoryMiB} MiB of ${readableBytes(total * MIB)}`));
  return checks;
}

type Use = 'iso' | 'floppy' | 'disk' | 'kernel';
const useNames: Record<Use, string> = { iso: 'a CD/DVD image', floppy: 'a floppy image', disk: 'a disk image', kernel: 'a kernel' };
const fits: Record<Use, (info: MediaInfo) => boolean | Promise<boolean>> = {
  iso: ({ kind }) => kind === 'iso',
  // Images of floppies are often shorter than a floppy, and some are ISO files at the same time (GRUB's rescue floppy).
  floppy: ({ kind, sizeBytes, path: file }) =>
    kind === 'floppy' || (sizeBytes <= MAX_FLOPPY_BYTES && (kind === 'disk' || (kind === 'iso' && hasBootSector(file)))),
  // isohybrid images serve as disks; what can't be told apart is taken at the user's word.
  disk: ({ kind, problems }) => kind !== 'unknown' || !problems.some(({ severity }) => severity === 'error'),
  kernel: ({ kind }) => kind === 'bzimage' || kind === 'multiboot',
};

/** Checks one file as a medium: readable, not empty, whole, of the right kind, bootable (a warning), free to use. */
export async function checkMedium(
  parts: Pick<PreflightParts, 'locks'>,
  id: string,
  file: string,
  use: Use,
  readOnly: boolean,
): Promise<PreflightCheck[]> {
  let info: MediaInfo;
  let right: boolean;
  try {
    info = await inspectMedia(file);
    right = await fits[use](info);
    if (!readOnly) await (await NodeFile.open(file, false)).close();
  } catch (error) {
    return [failed(id, asHypervueError(error, { path: file }), file)];
  }
  const checks: PreflightCheck[] = [];
  if (info.sizeBytes > 0 && !right) {
    const problem = info.problems.find(({ severity }) => severity === 'error');
    checks.push(
      problem
        ? bad(id, 'error', 'corrupt', `${file}: ${problem.message}`, problem.fix, file)
        : remedied(
            bad(
              id,
              'error',
              'invalid-argument',
              `${file} is not ${useNames[use]}; it looks like ${describe(info)}`,
              `Choose ${useNames[use]}, or use this file as what it is.`,
              file,
            ),
            info.kind === 'unknown' ? undefined : { do: 'source', source: sourceOf[info.kind] },
          ),
    );
  } else
    for (const { severity, message, fix } of info.problems) {
      // The disk of a machine that boots from elsewhere need not be bootable, and an error of a kind that fits is a damaged file.
      checks.push(bad(id, severity, severity === 'error' ? 'corrupt' : 'unsupported', `${file}: ${message}`, fix, file));
    }
  try {
    const holder = parts.locks.conflict(file, readOnly);
    if (holder !== undefined)
      checks.push(
        bad(`${id}.in-use`, 'error', 'in-use', `${file} is in use by ${holder}`, `Stop ${holder} first, or choose another image.`, file),
      );
  } catch (error) {
    checks.push(failed(`${id}.in-use`, asHypervueError(error, { path: file }), file));
  }
  if (checks.length === 0) checks.push(good(id, [file, info.label, info.os].filter(Boolean).join(' · ')));
  return checks;
}

/** The source that a file of this kind is for. */
const sourceOf = { iso: 'iso', floppy: 'floppy', disk: 'disk', bzimage: 'kernel', multiboot: 'kernel' } as const;

function describe({ kind }: MediaInfo): string {
  const names: Record<MediaInfo['kind'], string> = {
    iso: 'a CD/DVD image',
    floppy: 'a floppy image',
    disk: 'a disk image',
    bzimage: 'a Linux kernel',
    multiboot: 'a multiboot kernel',
    unknown: 'something else',
  };
  return names[kind];
}

/** A file that only has to be readable and not empty. */
async function checkFile(id: string, file: string, readOnly = true): Promise<PreflightCheck> {
  try {
    const handle = await NodeFile.open(file, readOnly);
    const size = await handle.size().finally(() => handle.close());
    if (size === 0) return bad(id, 'error', 'corrupt', `${file} is empty`, 'Copy or download it again.', file);
    return good(id, file);
  } catch (error) {
    return failed(id, asHypervueError(error, { path: file }), file);
  }
}

/** A disk that is there already: what is wrong with it, and how much room a copy takes. */
async function checkDisk(
  parts: PreflightParts,
  id: string,
  disk: { path: string; copy: boolean; readOnly: boolean },
): Promise<{ checks: PreflightCheck[]; copyBytes: number }> {
  const checks = await checkMedium(parts, id, disk.path, 'disk', disk.copy || disk.readOnly);
  const readable = checks.every(({ ok, severity }) => ok || severity !== 'error');
  if (readable) return { checks, copyBytes: disk.copy ? await allocatedBytes(disk.path).catch(() => 0) : 0 };
  // One that can be read but not written to can be copied.
  const copyable = !disk.copy && checks.some(({ kind }) => kind === 'permission-denied');
  const asCopy = copyable ? await checkMedium(parts, id, disk.path, 'disk', true) : [];
  const helps = copyable && asCopy.every(({ ok, severity }) => ok || severity !== 'error');
  return {
    checks: helps ? checks.map((check) => (check.kind === 'permission-denied' ? remedied(check, { do: 'copy' }) : check)) : checks,
    copyBytes: 0,
  };
}

/** Everything that could go wrong with a machine that does not exist yet. */
export async function preflightCreate(parts: PreflightParts, create: VmCreate): Promise<PreflightCheck[]> {
  const checks = await checkHost(parts, create.memoryMiB, create.firmware ?? 'bios');
  if (parts.nameTaken(create.name))
    checks.push(
      remedied(bad('name', 'error', 'already-exists', `There is a machine named ${create.name} already`, 'Choose another name.'), {
        do: 'name',
      }),
    );
  else checks.push(good('name', create.name));
  const { source } = create;
  let needed = SLACK_BYTES;
  switch (source.type) {
    case 'iso':
      checks.push(...(await checkMedium(parts, 'source', source.path, 'iso', true)));
      break;
    case 'floppy':
      checks.push(...(await checkMedium(parts, 'source', source.path, 'floppy', true)));
      break;
    case 'disk': {
      const disk = await checkDisk(parts, 'source', source);
      checks.push(...disk.checks);
      needed += disk.copyBytes;
      break;
    }
    case 'kernel':
      checks.push(...(await checkMedium(parts, 'source', source.path, 'kernel', true)));
      if (source.initrd) checks.push(await checkFile('initrd', source.initrd));
      break;
    case 'sample': {
      const check = await checkFile('source', parts.sampleImage);
      checks.push(
        check.ok
          ? check
          : bad(
              'source',
              'error',
              'not-found',
              'The check image was not built',
              'Install nasm and start Hypervue again.',
              parts.sampleImage,
            ),
      );
      needed += 3 * MIB;
      break;
    }
    case 'blank':
      if (!create.newDisk)
        checks.push(
          bad('source', 'warning', 'invalid-argument', 'The machine has nothing to boot from yet', 'Insert a medium on its Hardware page.'),
        );
      break;
  }
  if (create.attach) {
    const disk = await checkDisk(parts, 'attach', create.attach);
    checks.push(...disk.checks.map(({ remedy: _, ...check }) => check));
    needed += disk.copyBytes;
    if ('path' in source && path.resolve(source.path) === path.resolve(create.attach.path))
      checks.push(
        bad('attach.twice', 'error', 'invalid-argument', `${source.path} is both source and disk`, 'Choose one of them.', source.path),
      );
  }
  const files = [
    ...('path' in source ? [source.path] : []),
    ...('initrd' in source && source.initrd ? [source.initrd] : []),
    ...(create.attach ? [create.attach.path] : []),
  ];
  for (const file of files)
    if (!path.isAbsolute(file))
      checks.push(bad('path', 'error', 'invalid-argument', `${file} is not an absolute path`, 'Give the whole path.', file));
  if (create.newDisk?.passphrase !== undefined && create.newDisk.format === 'raw')
    checks.push(
      remedied(bad('encryption', 'error', 'unsupported', 'A raw disk can’t be encrypted', 'Choose qcow2, or no passphrase.'), {
        do: 'qcow2',
      }),
    );
  const free = await freeBytes(parts.library);
  if (free < needed)
    checks.push(
      remedied(
        bad(
          'space',
          'error',
          'no-space',
          `The machine needs ${readableBytes(needed)} now and ${parts.library} has ${readableBytes(free)} free`,
          'Free some space, or choose another library folder.',
          parts.library,
        ),
        source.type === 'disk' && source.copy ? { do: 'in-place' } : undefined,
      ),
    );
  else if (create.newDisk && free < create.newDisk.sizeBytes) {
    const fitting = Math.floor((free - needed) / GIB) * GIB;
    checks.push(
      remedied(
        bad(
          'space',
          'warning',
          'no-space',
          `The new disk may grow to ${readableBytes(create.newDisk.sizeBytes)}; ${readableBytes(free)} are free`,
          'The disk takes space only as it fills. Keep an eye on it.',
          parts.library,
        ),
        fitting > 0 ? { do: 'disk-size', sizeBytes: fitting } : undefined,
      ),
    );
  } else checks.push(good('space', `${readableBytes(free)} free in ${parts.library}`));
  return checks;
}

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
  bad(`${id}.firmware`, 'warning', 'unsupported', `UEFI does not start from the floppy in ${id}`, 'Choose BIOS, or a disk or CD.', file);

const driveUse: Record<Drive['kind'], Use> = { cdrom: 'iso', floppy: 'floppy', disk: 'disk' };

/** Everything that could keep an existing machine from starting. Media that merely look odd don't block: they worked, or their owner knows. */
export async function preflightStart(parts: PreflightParts, config: VmConfig, folder: string): Promise<PreflightCheck[]> {
  const checks = await checkHost(parts, config.memoryMiB, config.firmware);
  /** What is said of media that merely can't boot: worth saying when nothing else can either. */
  const unbootable: PreflightCheck[] = [];
  let boots = config.boot.kernel !== null;
  for (const drive of config.drives) {
    if (drive.path === null) continue;
    const file = path.resolve(folder, drive.path);
    const readOnly = drive.readOnly || drive.kind === 'cdrom';
    const basic = await checkFile(drive.id, file, readOnly);
    if (!basic.ok) {
      checks.push(basic);
      continue;
    }
    const twin = config.drives.find((other) => other !== drive && other.path !== null && path.resolve(folder, other.path) === file);
    if (twin && !readOnly)
      checks.push(
        bad(
          `${drive.id}.twice`,
          'error',
          'invalid-argument',
          `${file} is in two drives of this machine, ${drive.id} and ${twin.id}`,
          'Remove one of them, or make both read-only.',
          file,
        ),
      );
    const around = await checkAround(drive, file, readOnly);
    if (around) checks.push(around);
    const media = await checkMedium(parts, drive.id, file, driveUse[drive.kind], readOnly);
    if (drive.kind === 'floppy' && config.firmware === 'uefi') unbootable.push(floppyWithUefi(drive, file));
    else boots ||= media.every(({ ok }) => ok);
    for (const check of media)
      if (!check.ok && check.kind === 'unsupported' && check.severity === 'warning') unbootable.push(check);
      else checks.push(check.kind === 'in-use' || check.ok ? check : { ...check, severity: 'warning' });
  }
  if (!boots) checks.push(...unbootable);
  if (config.boot.kernel) {
    checks.push(await checkFile('kernel', path.resolve(folder, config.boot.kernel.path)));
    if (config.boot.kernel.initrd) checks.push(await checkFile('initrd', path.resolve(folder, config.boot.kernel.initrd)));
  }
  const free = await freeBytes(folder);
  if (free < SLACK_BYTES)
    checks.push(bad('space', 'error', 'no-space', `${folder} has only ${readableBytes(free)} free`, 'Free some space.', folder));
  return checks;
}
