import type { ErrorKind } from '../contract/errors.ts';
import { TASK_HOLDER } from '../contract/holders.ts';
import type { MediaInfo } from '../contract/host.ts';
import type { Check, FirmwareKind, Remedy } from '../contract/vm.ts';
import type { Engine } from '../engine/engine.ts';
import type { Firmware } from '../platform/firmware.ts';
import { hostFacts } from '../platform/hostinfo.ts';
import type { ImageLocks } from '../platform/imagelocks.ts';
import { fixHolder, saidHolder } from '../platform/holderwords.ts';
import { NodeFile } from '../platform/nodefile.ts';
import { asHypervueError, type ErrorContext, HypervueError } from '../util/errors.ts';
import { plain, say, type Saying, worded } from '../util/say.ts';
import type { MachineNetworks } from './networks/attachments.ts';
import { isUefiOnly } from './inspectdisc.ts';
import { hasBootSector, inspectMedia, MAX_FLOPPY_BYTES } from './inspectmedia.ts';

/** A check with what its failure is as an error. */
export interface PreflightCheck extends Check {
  kind: ErrorKind;
  path?: string;
  /** What its error tells besides. */
  context?: ErrorContext;
}

export interface PreflightParts {
  engine: Engine;
  firmware: () => Firmware;
  uefi: () => Firmware;
  locks: ImageLocks;
  library: string;
  networks: MachineNetworks;
  /** Path of the check image, whether it exists or not. */
  sampleImage: string;
  nameTaken(name: string): boolean;
}

export const MIB = 1024 * 1024;
/** What a machine takes besides its RAM. */
const OVERHEAD_MIB = 96;
/** Metadata that a new machine writes at the least. */
export const SLACK_BYTES = 1 * MIB;
/** SeaBIOS needs about this much. */
const MIN_BIOS_MIB = 2;
/** OVMF's first stages have fixed places below 48 MiB, and its later ones want room. */
const MIN_UEFI_MIB = 64;

export const good = (id: string, message: Saying): PreflightCheck => ({
  id,
  ok: true,
  severity: 'info',
  ...worded(message),
  kind: 'internal',
});
export const bad = (
  id: string,
  severity: 'error' | 'warning',
  kind: ErrorKind,
  message: Saying,
  fix?: Saying,
  file?: string,
): PreflightCheck => ({
  id,
  ok: false,
  severity,
  ...worded(message, fix),
  kind,
  ...(file === undefined ? {} : { path: file }),
});
/** With what a button could do about it. */
export const remedied = (check: PreflightCheck, remedy: Remedy | undefined): PreflightCheck => (remedy ? { ...check, remedy } : check);
/** A failed look at a file. */
export function failed(id: string, error: HypervueError, path: string): PreflightCheck {
  return { id, ok: false, severity: 'error', ...error.toJSON(), path };
}

/** Somebody else has the file. */
export const inUse = (id: string, file: string, holder: string): PreflightCheck => ({
  ...bad(
    id,
    'error',
    'in-use',
    say('inUse', { path: file, holder: saidHolder(holder) }),
    holder === TASK_HOLDER ? fixHolder(holder) : say('fixInUse', { holder }),
    file,
  ),
  context: { holder },
});

/** Contract form: without what only the manager needs. */
export function toCheck({ kind: _, path: _path, context: _context, ...check }: PreflightCheck): Check {
  return check;
}

/** Throws the first check that blocks. */
export function throwFirst(checks: readonly PreflightCheck[], object: string, operation: string): void {
  const check = checks.find(({ ok, severity }) => !ok && severity === 'error');
  if (!check) return;
  const context = { ...check.context, object, operation, check: check.id, ...(check.path ? { path: check.path } : {}) };
  throw Object.assign(new HypervueError(check.kind, check.message, context, check.fix), { said: check.said, saidFix: check.saidFix });
}

/** What the engine calls itself, in words that can be said in other languages where it is ours. */
export const engineName = ({ id, name }: Pick<Engine, 'id' | 'name'>): Saying => (id === 'builtin' ? say('engineName') : plain(name));

/** `othersMiB`: what machines that start before it will have taken by then. */
export async function checkHost(
  parts: PreflightParts,
  memoryMiB: number,
  firmwareKind: FirmwareKind,
  othersMiB = 0,
): Promise<PreflightCheck[]> {
  const checks: PreflightCheck[] = [];
  const { maxMemoryMiB, available, reason } = await parts.engine.capabilities();
  const engine = engineName(parts.engine);
  checks.push(available ? good('engine', engine) : bad('engine', 'error', 'unsupported', say('engineBad', { engine, reason })));
  const firmware = parts.firmware();
  checks.push(
    firmware.available
      ? good('firmware', firmware.reason)
      : bad('firmware', 'error', 'not-found', say('firmwareMissing', { reason: firmware.reason }), firmware.fix),
  );
  if (firmwareKind === 'uefi') {
    const uefi = parts.uefi();
    checks.push(
      uefi.available
        ? good('uefi', uefi.reason)
        : remedied(bad('uefi', 'error', 'not-found', say('uefiMissing', { reason: uefi.reason }), uefi.fix), { do: 'bios' }),
    );
  }
  const minimum = firmwareKind === 'uefi' ? MIN_UEFI_MIB : MIN_BIOS_MIB;
  const { memoryBytes, freeMemoryBytes } = hostFacts();
  const total = Math.floor(memoryBytes / MIB);
  const free = Math.max(0, Math.floor(freeMemoryBytes / MIB) - othersMiB);
  const memory = (severity: 'error' | 'warning', kind: ErrorKind, message: Saying, fix: Saying, mib: number) =>
    checks.push(remedied(bad('memory', severity, kind, message, fix), mib >= minimum ? { do: 'memory', memoryMiB: mib } : undefined));
  const most = Math.min(maxMemoryMiB, total - OVERHEAD_MIB);
  if (memoryMiB > maxMemoryMiB)
    memory(
      'error',
      'resource-limit',
      say('memoryOverEngine', { mib: memoryMiB, most: maxMemoryMiB, engine }),
      say('fixAtMost', { mib: maxMemoryMiB }),
      most,
    );
  else if (memoryMiB + OVERHEAD_MIB > total)
    memory(
      'error',
      'resource-limit',
      say('memoryOverHost', { mib: memoryMiB, total }),
      say('fixAtMost', { mib: Math.max(1, total - OVERHEAD_MIB) }),
      most,
    );
  else if (memoryMiB + OVERHEAD_MIB > free)
    memory('warning', 'resource-limit', say('memoryOverFree', { mib: memoryMiB, free }), say('fixMemoryFree'), free - OVERHEAD_MIB);
  else if (memoryMiB < minimum)
    memory('warning', 'invalid-argument', say('memoryUnderFirmware', { mib: memoryMiB }), say('fixAtLeast', { mib: minimum }), minimum);
  else checks.push(good('memory', say('memoryGood', { mib: memoryMiB, totalBytes: total * MIB })));
  return checks;
}

type Use = 'iso' | 'floppy' | 'disk' | 'kernel';
const useNames: Record<Use, Saying> = { iso: say('useIso'), floppy: say('useFloppy'), disk: say('useDisk'), kernel: say('useKernel') };
const fits: Record<Use, (info: MediaInfo) => boolean | Promise<boolean>> = {
  iso: ({ kind }) => kind === 'iso',
  // Images of floppies are often shorter than a floppy, and some are ISO files at the same time (GRUB's rescue floppy).
  floppy: ({ kind, sizeBytes, path: file }) =>
    kind === 'floppy' || (sizeBytes <= MAX_FLOPPY_BYTES && (kind === 'disk' || (kind === 'iso' && hasBootSector(file)))),
  // isohybrid images serve as disks; what can't be told apart is taken at the user's word.
  disk: ({ kind, problems }) => kind !== 'unknown' || !problems.some(({ severity }) => severity === 'error'),
  kernel: ({ kind }) => kind === 'bzimage' || kind === 'multiboot',
};

/** Checks one file as a medium: readable, not empty, whole, of the right kind, bootable by the machine's firmware (a warning), free to use. */
export async function checkMedium(
  parts: Pick<PreflightParts, 'locks'>,
  id: string,
  file: string,
  use: Use,
  readOnly: boolean,
  firmware: FirmwareKind = 'bios',
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
        ? bad(id, 'error', 'corrupt', mediumProblem(file, problem), fixOf(problem), file)
        : remedied(
            bad(
              id,
              'error',
              'invalid-argument',
              say('mediumOther', { path: file, wanted: useNames[use], found: kindNames[info.kind] }),
              say('fixMedium', { wanted: useNames[use] }),
              file,
            ),
            info.kind === 'unknown' ? undefined : { do: 'source', source: sourceOf[info.kind] },
          ),
    );
  } else
    for (const problem of info.problems) {
      if (firmware === 'uefi' && isUefiOnly(problem)) continue;
      // The disk of a machine that boots from elsewhere need not be bootable, and an error of a kind that fits is a damaged file.
      const { severity } = problem;
      const check = bad(id, severity, severity === 'error' ? 'corrupt' : 'unsupported', mediumProblem(file, problem), fixOf(problem), file);
      checks.push(remedied(check, isUefiOnly(problem) ? { do: 'uefi' } : undefined));
    }
  try {
    const holder = parts.locks.conflict(file, readOnly);
    if (holder !== undefined) checks.push(inUse(`${id}.in-use`, file, holder));
  } catch (error) {
    checks.push(failed(`${id}.in-use`, asHypervueError(error, { path: file }), file));
  }
  if (checks.length === 0) checks.push(good(id, plain([file, info.label, info.os].filter(Boolean).join(' · '))));
  return checks;
}

/** The source that a file of this kind is for. */
const sourceOf = { iso: 'iso', floppy: 'floppy', disk: 'disk', bzimage: 'kernel', multiboot: 'kernel' } as const;

const kindNames: Record<MediaInfo['kind'], Saying> = {
  iso: say('useIso'),
  floppy: say('useFloppy'),
  disk: say('useDisk'),
  bzimage: say('isBzimage'),
  multiboot: say('isMultiboot'),
  unknown: say('isUnknown'),
};

type Problem = MediaInfo['problems'][number];
export const mediumProblem = (path: string, { message, said }: Problem): Saying =>
  say('mediumProblem', { path, problem: said ? { text: message, said } : message });
export const fixOf = ({ fix, saidFix }: Problem): Saying | undefined =>
  fix === undefined ? undefined : { text: fix, said: saidFix ?? plain(fix).said };

/** A file that only has to be readable and not empty. */
export async function checkFile(id: string, file: string, readOnly = true): Promise<PreflightCheck> {
  try {
    const handle = await NodeFile.open(file, readOnly);
    const size = await handle.size().finally(() => handle.close());
    if (size === 0) return bad(id, 'error', 'corrupt', say('fileEmpty', { path: file }), say('fixCopyAgain'), file);
    return good(id, plain(file));
  } catch (error) {
    return failed(id, asHypervueError(error, { path: file }), file);
  }
}
