/** Copies what a disk holds into another image, whatever the formats; what reads as zeros takes no room. */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { BlockBackend } from '../backend/block.ts';
import { diskFormats, type ImageFormat } from '../contract/vm.ts';
import { copyContents } from '../disk/operations/copy.ts';
import type { Qcow2Options } from '../disk/qcow2/create.ts';
import { Qcow2Image } from '../disk/qcow2/image.ts';
import type { TaskOptions } from '../disk/task.ts';
import { showSnapshot } from '../disk/qcow2/snapshots.ts';
import type { VmdkSubformat } from '../disk/vmdk/write.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { blockDeviceAt, refusedDevice } from './blockdevice.ts';
import { createDisk } from './creatediskfile.ts';
import { openImage } from './openimage.ts';
import { createVmdk } from './writevmdk.ts';

/** Formats that can be written. */
export const convertFormats = [...diskFormats, 'vmdk'] as const;
export type ConvertFormat = (typeof convertFormats)[number];

export interface ConvertOptions extends TaskOptions {
  /** `snapshot`: the disk as it was in this snapshot inside a qcow2 image. */
  from: { path: string; format?: ImageFormat | undefined; passphrase?: string | undefined; snapshot?: string };
  to: {
    path: string;
    format: ConvertFormat;
    subformat?: VmdkSubformat;
    passphrase?: string | undefined;
    luksIterations?: number;
    /** It is a block device, which is overwritten as far as the disk goes (raw). What is behind that stays. */
    device?: boolean | undefined;
  } & Partial<Omit<Qcow2Options, 'sizeBytes'>>;
  compress?: boolean;
}

/**
 * Converts an image, with all that lies below it, into a new one that stands by itself. Never overwrites but a device, and only when told so; leaves nothing when it fails, and a device
 * half written.
 */
export async function convertImage(options: ConvertOptions): Promise<void> {
  if (path.resolve(options.from.path) === path.resolve(options.to.path))
    throw new HypervueError('invalid-argument', say('convertItself', { path: options.to.path }), { path: options.to.path });
  if (options.to.passphrase !== undefined && options.to.format !== 'qcow2')
    throw new HypervueError(
      'unsupported',
      say('formatNotEncrypted', { format: options.to.format }),
      { path: options.to.path },
      say('fixQcow2'),
    );
  const device = await blockDeviceAt(options.to.path);
  if (device && !options.to.device) throw refusedDevice(options.to.path, 'convert');
  if (options.to.device) refuseNoDevice(options.to, device !== undefined);
  if (options.compress && options.to.format === 'raw')
    throw new HypervueError('unsupported', say('rawNotCompressed'), { path: options.to.path }, say('fixQcow2'));
  const source = await openImage(options.from.path, { readOnly: true, format: options.from.format, passphrase: options.from.passphrase });
  try {
    if (options.from.snapshot !== undefined && source instanceof Qcow2Image) await showSnapshot(source, options.from.snapshot);
    if (options.to.device) return await overwriteDevice(source, options.to.path, options);
    const { subformat = 'streamOptimized', format, device: _device, ...shape } = options.to;
    if (format === 'vmdk' && (shape.clusterSize !== undefined || shape.compression !== undefined))
      throw new HypervueError('unsupported', say('vmdkFixed'), { path: options.to.path }, say('fixLeaveOrQcow2'));
    if (format === 'vmdk')
      return await createVmdk(options.to.path, source, { signal: options.signal, progress: options.progress, subformat });
    if (shape.passphrase !== undefined && options.compress)
      throw new HypervueError('unsupported', say('encryptedNotCompressed'), { path: options.to.path }, say('fixOneOfThem'));
    await createDisk(options.to.path, { ...shape, format, sizeBytes: source.info.sizeBytes });
    const target = await openImage(options.to.path, { readOnly: false, format, passphrase: shape.passphrase, writeBehind: true });
    try {
      await copyContents(source, target, {
        signal: options.signal,
        progress: options.progress,
        packed: options.compress && target instanceof Qcow2Image ? target : undefined,
      });
      await target.flush();
    } catch (error) {
      // Closing writes what is left, and fails again where there is no room.
      await target.close().catch(() => {});
      await rm(options.to.path, { force: true });
      throw error;
    }
    await target.close().catch(async (error: unknown) => {
      await rm(options.to.path, { force: true });
      throw error;
    });
  } finally {
    await source.close();
  }
}

function refuseNoDevice({ path: file, format }: ConvertOptions['to'], there: boolean): void {
  const context = { path: file, operation: 'convert' };
  if (!there) throw new HypervueError('invalid-argument', say('noBlockDevice', { path: file }), context, say('fixNoBlockDevice'));
  if (format !== 'raw')
    throw new HypervueError('unsupported', say('blockDeviceOnlyRaw', { path: file }), context, say('fixBlockDeviceOnlyRaw'));
}

async function overwriteDevice(source: BlockBackend, file: string, options: TaskOptions): Promise<void> {
  const target = await openImage(file, { readOnly: false, format: 'raw', writeBehind: true });
  try {
    const { sizeBytes } = target.info;
    const neededBytes = source.info.sizeBytes;
    if (sizeBytes < neededBytes)
      throw new HypervueError(
        'no-space',
        say('blockDeviceTooSmall', { path: file, sizeBytes, neededBytes }),
        { path: file, operation: 'convert' },
        say('fixBlockDeviceTooSmall'),
      );
    await copyContents(source, target, { signal: options.signal, progress: options.progress, overwrite: true });
    await target.flush();
  } catch (error) {
    // What went wrong first is the message.
    await target.close().catch(() => {});
    throw error;
  }
  await target.close();
}
