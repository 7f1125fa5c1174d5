import { type Command, Option } from 'commander';
import {
  cacheModes,
  discardModes,
  type DriveId,
  type DrivePolicy,
  fullPolicy,
  readErrorPolicies,
  writeErrorPolicies,
} from '../contract/drives.ts';
import { type Drive, driveSchema, type VmSummary } from '../contract/vm.ts';
import { readableBytes } from '../util/bytes.ts';
import { HypervueError } from '../util/errors.ts';
import { parseSize } from './output.ts';
import type { RunSession } from './session.ts';

interface DriveOptions {
  cache?: DrivePolicy['cache'];
  discard?: DrivePolicy['discard'];
  detectZeroes?: 'on' | 'off';
  writeErrors?: DrivePolicy['writeErrors'];
  readErrors?: DrivePolicy['readErrors'];
  iops?: string;
  bandwidth?: string;
  burst?: string;
}

const wrong = (message: string, fix: string) => new HypervueError('invalid-argument', message, { operation: 'drive' }, fix);

/** A drive's place. Throws 'invalid-argument' for one that no machine has. */
export function driveId(text: string): DriveId {
  const known = driveSchema.shape.id.safeParse(text);
  if (!known.success)
    throw new HypervueError('invalid-argument', `there is no drive ${text}`, { object: text }, 'See `hypervue info <machine>`.');
  return known.data;
}

/** A rate, or undefined for `none`. */
function rate(text: string, option: string): number | undefined {
  if (text === 'none') return undefined;
  const value = parseSize(text);
  if (value === undefined || value < 1) throw wrong(`${option} ${text} is no rate`, 'For example 500, 20M, or none.');
  return value;
}

function limits(now: DrivePolicy['limits'], options: DriveOptions): DrivePolicy['limits'] {
  const iops = options.iops === undefined ? now?.iops : rate(options.iops, '--iops');
  const bytesPerSecond = options.bandwidth === undefined ? now?.bytesPerSecond : rate(options.bandwidth, '--bandwidth');
  const burstSeconds = options.burst === undefined ? now?.burstSeconds : Number(options.burst);
  if (burstSeconds !== undefined && !(burstSeconds > 0)) throw wrong(`--burst ${options.burst} is no number of seconds`, 'For example 2.');
  if (iops === undefined && bytesPerSecond === undefined) return undefined;
  return {
    ...(iops === undefined ? {} : { iops }),
    ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
    ...(burstSeconds === undefined ? {} : { burstSeconds }),
  };
}

/** The drive's policy with what the options change. */
function changed(drive: Drive, options: DriveOptions): DrivePolicy {
  const policy: DrivePolicy = {};
  const cache = options.cache ?? drive.cache;
  const discard = options.discard ?? drive.discard;
  const detectZeroes = options.detectZeroes === undefined ? drive.detectZeroes : options.detectZeroes === 'on';
  const writeErrors = options.writeErrors ?? drive.writeErrors;
  const readErrors = options.readErrors ?? drive.readErrors;
  const rates = limits(drive.limits, options);
  if (cache) policy.cache = cache;
  if (discard) policy.discard = discard;
  if (detectZeroes !== undefined) policy.detectZeroes = detectZeroes;
  if (writeErrors) policy.writeErrors = writeErrors;
  if (readErrors) policy.readErrors = readErrors;
  if (rates) policy.limits = rates;
  return policy;
}

function describePolicy(drive: Drive): string {
  const policy = fullPolicy(drive);
  const { iops, bytesPerSecond, burstSeconds } = policy.limits;
  const rates = [
    ...(iops === undefined ? [] : [`${iops} requests/s`]),
    ...(bytesPerSecond === undefined ? [] : [`${bytesPerSecond} bytes/s`]),
    ...(burstSeconds === undefined ? [] : [`bursts of ${burstSeconds} s`]),
  ];
  return [
    `${drive.id}: ${drive.path ?? 'empty'}`,
    `cache ${policy.cache}, discard ${policy.discard}, detection of zeros ${policy.detectZeroes ? 'on' : 'off'}`,
    `write errors: ${policy.writeErrors}, read errors: ${policy.readErrors}`,
    `limits: ${rates.join(', ') || 'none'}`,
  ].join('\n');
}

/** Adds `hypervue drive` and `hypervue grow`. */
export function addDriveVerbs(program: Command, run: RunSession): void {
  const find = (vm: VmSummary, id: DriveId): Drive => {
    const drive = vm.config?.drives.find((item) => item.id === id);
    if (drive) return drive;
    throw new HypervueError('not-found', `${vm.name} has no drive ${id}`, { object: vm.name }, 'See `hypervue info <machine>`.');
  };
  program
    .command('drive <machine> <drive>')
    .description('show or change how a drive is served, also while the machine runs')
    .addOption(new Option('--cache <mode>').choices(cacheModes))
    .addOption(new Option('--discard <mode>', 'what becomes of ranges that the guest trims').choices(discardModes))
    .addOption(new Option('--detect-zeroes <state>', 'writes of zeros take no room').choices(['on', 'off']))
    .addOption(new Option('--write-errors <what>', 'when the host can not write').choices(writeErrorPolicies))
    .addOption(new Option('--read-errors <what>', 'when the host can not read').choices(readErrorPolicies))
    .option('--iops <rate>', 'requests a second, or none')
    .option('--bandwidth <rate>', 'bytes a second, for example 20M, or none')
    .option('--burst <seconds>', 'how much of the rate may be used at once')
    .action((machine: string, drive: string, options: DriveOptions) =>
      run(true, async (session) => {
        const id = driveId(drive);
        let vm = await session.machine(machine);
        const before = find(vm, id);
        const policy = changed(before, options);
        const given = Object.keys(options).some((name) => name !== 'json');
        if (given) vm = await session.client.call('vm.setDrivePolicy', { id: vm.id, drive: id, policy });
        session.print(find(vm, id), describePolicy);
      }),
    );
  program
    .command('grow <machine> <drive> <size>')
    .description('make a disk larger, also while the machine runs')
    .action((machine: string, drive: string, size: string) =>
      run(true, async (session) => {
        const bytes = parseSize(size);
        if (bytes === undefined) throw wrong(`${size} is not a size`, 'For example 40G.');
        const { id } = await session.machine(machine);
        const sizeBytes = Math.ceil(bytes / 512) * 512;
        const vm = await session.client.call('vm.growDisk', { id, drive: driveId(drive), sizeBytes });
        session.print(vm, (summary) => `${summary.name}: ${drive} has ${readableBytes(sizeBytes)}`);
      }),
    );
}
