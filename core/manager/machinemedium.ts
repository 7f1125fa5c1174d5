import path from 'node:path';
import type { Drive, VmConfig } from '../contract/vm.ts';
import type { RunningVm } from '../engine/engine.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { driveOf } from './machinedrives.ts';
import type { MachineLocks } from './machinelocks.ts';
import { checkMedium, type PreflightParts, throwFirst } from './preflight.ts';
import { absolutePath } from './paths.ts';

/** The drive, if its medium can be another one. Throws 'not-found', 'unsupported' or 'invalid-argument'. */
export function exchangeableDrive(config: VmConfig, driveId: string, file: string | null): Drive {
  const drive = driveOf(config, driveId);
  if (drive.kind === 'disk')
    throw new HypervueError('unsupported', say('mediumFixed', { drive: driveId, name: config.name }), {
      object: config.name,
      drive: driveId,
    });
  if (file !== null && path.dirname(file) !== '.') absolutePath(file);
  return drive;
}

/** Puts another medium, or none, into a drive; the process of a machine that is on does so at once. The configuration is the caller's to change. */
export async function exchangeMedium(
  drive: Drive,
  file: string | null,
  machine: { name: string; folder: string; parts: PreflightParts; locks: MachineLocks; running(): RunningVm | undefined },
): Promise<void> {
  const { name, folder, parts, locks } = machine;
  const readOnly = drive.readOnly || drive.kind === 'cdrom';
  const place = (medium: string | null) => (medium === null ? null : path.resolve(folder, medium));
  const wanted = place(file);
  if (wanted === place(drive.path)) return;
  if (wanted !== null) {
    const use = drive.kind === 'cdrom' ? 'iso' : 'floppy';
    throwFirst(await checkMedium(parts, drive.id, wanted, use, readOnly), name, 'change medium');
  }
  const vm = machine.running();
  if (!vm) return;
  const lock = wanted === null ? undefined : parts.locks.acquire(wanted, readOnly, name);
  try {
    if (vm.pid !== undefined) lock?.share(vm.pid);
    await vm.changeMedium(drive.id, file, readOnly);
  } catch (error) {
    lock?.dispose();
    throw error;
  }
  // The machine may have ended meanwhile, and then its locks are gone and nothing would release this one later.
  if (machine.running() === vm) locks.replaceDrive(drive.id, lock);
  else lock?.dispose();
}
