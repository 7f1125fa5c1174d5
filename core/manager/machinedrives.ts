import path from 'node:path';
import { type DrivePolicy, drivePolicySchema } from '../contract/drives.ts';
import type { Drive, VmConfig } from '../contract/vm.ts';
import type { RunningVm } from '../engine/engine.ts';
import { machineFormat } from '../platform/openimage.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { Disks } from './disks.ts';
import type { ImageLocks } from '../platform/imagelocks.ts';

/** The drive of that place. Throws 'not-found'. */
export function driveOf(config: VmConfig, id: string): Drive {
  const drive = config.drives.find((item) => item.id === id);
  if (drive) return drive;
  throw new HypervueError(
    'not-found',
    say('noSuchDrive', { name: config.name, drive: id }),
    { object: config.name, drive: id },
    say('fixNoSuchDrive'),
  );
}

/** The configuration with another policy for one drive; what the policy does not say is as by default. */
export function withPolicy(config: VmConfig, id: string, policy: DrivePolicy): VmConfig {
  const names = Object.keys(drivePolicySchema.shape) as (keyof DrivePolicy)[];
  return {
    ...config,
    drives: config.drives.map((drive) => {
      if (drive.id !== id) return drive;
      const rest = { ...drive };
      for (const name of names) delete rest[name];
      return { ...rest, ...policy };
    }),
  };
}

/** Makes the disk of a drive larger, in the running machine or in the file. */
export async function growDisk(
  config: VmConfig,
  id: string,
  sizeBytes: number,
  parts: { folder: string; vm: RunningVm | undefined; locks: ImageLocks },
): Promise<void> {
  const drive = driveOf(config, id);
  if (drive.kind !== 'disk' || drive.path === null)
    throw new HypervueError('unsupported', say('noHardDisk', { drive: id, name: config.name }), {
      object: config.name,
      drive: id,
      operation: 'resize',
    });
  if (parts.vm) return parts.vm.growDisk(id, sizeBytes);
  await new Disks(parts.locks).resize(path.resolve(parts.folder, drive.path), sizeBytes, { format: drive.format });
}

/** Disks that are new to the machine, with the format that their image has. One that can't be read keeps what it is said to be. */
export async function withFormats(config: VmConfig, drives: readonly Drive[], folder: string): Promise<Drive[]> {
  const known = new Set(config.drives.map(({ path: file }) => file));
  return Promise.all(
    drives.map(async (drive) => {
      if (drive.kind !== 'disk' || drive.path === null || known.has(drive.path)) return drive;
      const format = await machineFormat(path.resolve(folder, drive.path)).catch((error: unknown) => {
        if (error instanceof HypervueError && (error.kind === 'unsupported' || error.context.reason === 'not-as-named')) throw error;
        return drive.format;
      });
      return { ...drive, format };
    }),
  );
}

/** Whether a hard disk that the machine has is not there any more, or elsewhere, when its drives are `next`. */
export function losesDisk(now: readonly Drive[], next: readonly Drive[]): boolean {
  return now.some(
    (drive) => drive.kind === 'disk' && drive.path !== null && !next.some(({ id, path: file }) => id === drive.id && file === drive.path),
  );
}
