import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type DriveBus, driveBuses, freePlace } from '../contract/drives.ts';
import { type CpuModel, cpuModels, defaultCpuModel } from '../contract/cpumodels.ts';
import type { GdbListen } from '../contract/debug.ts';
import { type NicModel, nicModels } from '../contract/networks.ts';
import {
  type DisplayModel,
  displayModels,
  type DiskFormat,
  diskFormats,
  type Drive,
  type VmConfig,
  vmConfigSchema,
} from '../contract/vm.ts';
import type { DebugTarget } from '../debug/debugrequest.ts';
import { type GdbArchitecture, gdbArchitecture } from '../debug/registers.ts';
import { checkConfig } from '../manager/configrules.ts';
import type { TimedInput } from '../machine/inputschedule.ts';
import { filesBeside, refuseWhenBelow } from '../platform/imagesontop.ts';
import { machineFormat } from '../platform/openimage.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import type { GdbListener } from '../vmprocess/gdblistener.ts';
import type { InputMessage } from '../vmprocess/machinemessages.ts';
import { runtimePaths } from '../vmprocess/runtimepaths.ts';
import type { StateHash } from '../vmprocess/statehash.ts';
import { gdbAddress, gdbArchOption } from './debugverbs.ts';
import { writeProfile } from './profilereport.ts';
import { noteRaw } from './rawhint.ts';
import { openRunNetwork, RUN_CARD, runBoot, type RunForward, runForward } from './runnetwork.ts';
import { readRecording, writeRecording } from './recording.ts';

export interface RunOptions {
  memory: number;
  cdrom?: string;
  floppy?: string;
  disk: string[];
  kernel?: string;
  initrd?: string;
  append: string;
  readonly?: boolean;
  format?: DiskFormat;
  bus: DriveBus;
  display: DisplayModel;
  network?: boolean;
  netboot?: string;
  tftp?: string;
  nic?: NicModel;
  forward: RunForward[];
  hpet?: boolean;
  paravirt: boolean;
  clock?: 'host' | 'instructions';
  until?: number;
  hash?: boolean;
  record?: string;
  replay?: string;
  timeout?: number;
  expect?: string;
  type?: string;
  keys: string[];
  after?: string;
  screen?: boolean;
  screenshot?: string;
  cpu: CpuModel;
  accel: 'jit' | 'interp';
  cpuState?: boolean;
  quiet?: boolean;
  firmware?: string;
  /** True without a value. */
  uefi?: string | true;
  nvram?: string;
  wasm?: string;
  /** True without a value. */
  gdb?: GdbListen | true;
  gdbWait?: boolean;
  gdbArch?: GdbArchitecture;
  /** True without a file. */
  profile?: string | true;
  profileTop: number;
  symbols?: string;
  disassemble?: DisassembleRange;
  /** Linear address. */
  dumpCode?: bigint;
}

export interface DisassembleRange {
  /** Linear. */
  address: bigint;
  count: number;
}

/** Port of `--gdb` without a value, as QEMU's -s. */
const GDB_PORT = 1234;
const DEFAULT_TIMEOUT = 60;
/** Instructions listed, and places of a profile, when no number is given. */
const DEFAULT_LISTING = 20;

/** Exit codes of the runner besides the guest's own from isa-debug-exit. */
export const EXIT_TIMEOUT = 124;
export const EXIT_FAILED = 125;
export const EXIT_TRIPLE_FAULT = 126;
export const EXIT_DIVERGED = 123;

/** Everything that needs a run to be the same every time. */
function countsInstructions(options: RunOptions): boolean {
  const needs = options.record !== undefined || options.replay !== undefined || options.until !== undefined;
  if (needs && options.clock === 'host')
    throw new HypervueError('invalid-argument', '--record, --replay and --until need the clock of instructions', { operation: 'run' });
  return needs || options.clock === 'instructions';
}

/** A card, a model of one, a forward or a start from it asks for a network. */
function wantsNetwork({ network, nic, forward, netboot }: RunOptions): boolean {
  return network === true || nic !== undefined || forward.length > 0 || netboot !== undefined;
}

async function runConfig(options: RunOptions): Promise<VmConfig> {
  const networked = wantsNetwork(options);
  if (networked && countsInstructions(options))
    throw new HypervueError(
      'invalid-argument',
      'a run on a network is never the same twice',
      { operation: 'run' },
      'Leave out --network, --nic, --forward and --netboot, or --clock instructions, --record, --replay and --until.',
    );
  const drives: Drive[] = [];
  const readOnly = options.readonly ?? false;
  for (const [index, file] of options.disk.entries()) {
    // The second master is the CD drive's.
    const place = freePlace(
      options.bus,
      drives.map(({ id }) => id),
    );
    if (place === undefined || place === 'ide2')
      throw new HypervueError('invalid-argument', `there is no place for disk ${index + 1} on bus ${options.bus}`, { operation: 'run' });
    const image = path.resolve(file);
    await noteRaw(image, options.format);
    const format = options.format ?? (await machineFormat(image));
    if (!readOnly) await refuseWhenBelow(image, await filesBeside(image), 'run');
    drives.push({ id: place, kind: 'disk', path: image, format, readOnly });
  }
  if (options.cdrom) drives.push({ id: 'ide2', kind: 'cdrom', path: path.resolve(options.cdrom), format: 'raw', readOnly: true });
  if (options.floppy) drives.push({ id: 'fd0', kind: 'floppy', path: path.resolve(options.floppy), format: 'raw', readOnly });
  const config = vmConfigSchema.parse({
    schema: 1,
    id: '00000000-0000-4000-8000-000000000001',
    name: 'run',
    createdAt: new Date().toISOString(),
    cpu: { model: options.cpu, accel: options.accel },
    firmware: options.uefi ? 'uefi' : 'bios',
    memoryMiB: options.memory,
    boot: {
      order: [
        ...(options.netboot === undefined ? [] : [RUN_CARD.id]),
        ...(options.floppy ? ['floppy', 'cdrom', 'disk'] : options.cdrom ? ['cdrom', 'disk', 'floppy'] : ['disk', 'cdrom', 'floppy']),
      ],
      kernel: options.kernel
        ? { path: path.resolve(options.kernel), initrd: options.initrd ? path.resolve(options.initrd) : null, cmdline: options.append }
        : null,
    },
    drives,
    display: { model: options.display },
    network: networked ? [{ ...RUN_CARD, model: options.nic ?? 'virtio', network: 'run', connected: true }] : [],
    hpet: options.hpet ?? false,
    paravirt: options.paravirt,
    timekeeping: countsInstructions(options) ? 'instructions' : 'host',
    serial: [{ type: 'console' }, { type: 'none' }],
  });
  checkConfig(config);
  return config;
}

const json = (value: unknown) =>
  JSON.stringify(
    value,
    (_, item) =>
      typeof item === 'bigint' ? `0x${item.toString(16)}` : item instanceof Uint8Array ? Buffer.from(item).toString('hex') : item,
    2,
  );

/**
 * Boots one machine without a manager: serial output to standard output, then whatever was asked for when it ends, when `expect` shows up on
 * serial or screen, or at the time limit. Resolves with the exit code.
 */
export async function runMachine(options: RunOptions): Promise<number> {
  // The emulator is large, and no other command needs it in this process.
  const { VmHost } = await import('../vmprocess/vmhost.ts');
  const { record } = options;
  if (record && options.replay) throw new HypervueError('invalid-argument', 'a run is either recorded or a replay', { operation: 'run' });
  if (options.nvram && !options.uefi)
    throw new HypervueError('invalid-argument', 'only UEFI keeps variables', { operation: 'run' }, 'Add --uefi, or leave --nvram out.');
  const replay = options.replay ? await readRecording(options.replay) : undefined;
  let fingerprint = '';
  const inputs: TimedInput<InputMessage>[] = [];
  const stopAt = replay?.end ?? (options.until === undefined ? undefined : Math.ceil(options.until * 1e9));
  let finish!: (code: number) => void;
  const finished = new Promise<number>((resolve) => {
    finish = resolve;
  });
  const config = await runConfig(options);
  const boot = await runBoot(options);
  const folder = await mkdtemp(path.join(tmpdir(), 'hypervue-run-'));
  const paths = runtimePaths(import.meta.url);
  const network = wantsNetwork(options)
    ? await openRunNetwork(config.id, folder, { forwards: options.forward, boot }, (error) => {
        process.stderr.write(`${error.message}\n${error.fix}\n`);
        finish(EXIT_FAILED);
      })
    : undefined;
  const vm = new VmHost({
    start: {
      config,
      ...(network ? { cables: { [RUN_CARD.id]: network.socket } } : {}),
      folder,
      firmwareFolder: options.firmware ?? paths.firmwareFolder,
      ...(typeof options.uefi === 'string' ? { uefiImage: path.resolve(options.uefi) } : {}),
      ...(options.nvram ? { nvramFile: path.resolve(options.nvram) } : {}),
      cpuWasmPath: options.wasm ?? paths.cpuWasm,
      channelSocket: '',
    },
    machineThread: paths.machineThread,
    debugExit: true,
    unpaced: true,
    startPaused: options.gdbWait ?? false,
    ...(countsInstructions(options)
      ? {
          rerun: {
            record: record !== undefined,
            ...(replay ? { replay: replay.inputs } : {}),
            ...(stopAt === undefined ? {} : { stopAt }),
          },
        }
      : {}),
    checkMachine: (found) => {
      fingerprint = found;
      if (replay && replay.machine !== found)
        throw new HypervueError(
          'invalid-argument',
          `${options.replay} was recorded on another machine`,
          { operation: 'replay' },
          'Give the same options and the same images as for the recording.',
        );
    },
  });
  vm.onApplied.on((timed) => inputs.push(timed));
  let stopped: StateHash | undefined;
  vm.onStopped.on((state) => {
    stopped = state;
    finish(replay && state.hash !== replay.hash ? EXIT_DIVERGED : 0);
  });
  let gdb: GdbListener | undefined;
  let serial = '';
  vm.onLog.on((entry) => {
    if (!options.quiet && entry.level !== 'debug') process.stderr.write(`[${entry.level}] ${entry.scope}: ${entry.message}\n`);
  });
  vm.onDebugExit.on((code) => finish(code));
  vm.onTripleFault.on(() => finish(EXIT_TRIPLE_FAULT));
  vm.onHalted.on(() => {
    if (options.cpuState) finish(0);
  });
  vm.onState.on(({ state, error }) => {
    if (state === 'off') finish(0);
    if (state === 'crashed') {
      process.stderr.write(`${error?.message ?? 'the machine crashed'}\n`);
      finish(EXIT_FAILED);
    }
  });
  const seen = () => {
    if (options.expect && (serial.includes(options.expect) || vm.screenText()?.rows.some((row) => row.includes(options.expect!))))
      finish(0);
  };
  // Nobody debugs against the clock.
  const seconds = options.timeout ?? (options.gdb === undefined ? DEFAULT_TIMEOUT : undefined);
  const limit = seconds === undefined ? undefined : setTimeout(() => finish(options.expect ? EXIT_TIMEOUT : 0), seconds * 1000);
  const poll = setInterval(seen, 100);
  try {
    await vm.start();
    if (options.gdb !== undefined) {
      const { GdbListener } = await import('../vmprocess/gdblistener.ts');
      const address = options.gdb === true ? { type: 'tcp' as const, port: GDB_PORT } : options.gdb;
      gdb = await GdbListener.open(address, vm.debug, options.gdbArch ?? gdbArchitecture(vm.config.cpu.model));
      process.stderr.write(`${options.gdbWait ? 'waiting for gdb' : 'gdb can attach'}: ${gdb.command}\n`);
    }
    if (options.profile !== undefined) {
      await vm.debug.request({ op: 'countRegions', on: true });
      await vm.debug.request({ op: 'profile' });
    }
    vm.serial[0]!.onOutput = (bytes) => {
      process.stdout.write(bytes);
      serial = (serial + Buffer.from(bytes).toString('latin1')).slice(-65_536);
      seen();
    };
    if (options.type !== undefined || options.keys.length) {
      const gate = options.after;
      if (gate)
        while (!serial.includes(gate) && !vm.screenText()?.rows.some((row) => row.includes(gate)))
          await new Promise((resolve) => setTimeout(resolve, 50));
      for (const chord of options.keys) await vm.sendKeys(chord.split('+'));
      if (options.type !== undefined) await vm.typeText(options.type.replaceAll('\\n', '\n'), 30);
    }
    const code = await finished;
    const alive = vm.state === 'running' || vm.state === 'paused';
    if (options.hash || record) stopped ??= alive ? await vm.stateHash() : vm.lastState;
    if (stopped && record) await writeRecording(record, { machine: fingerprint, inputs, end: stopped.at, hash: stopped.hash });
    if (stopped && options.hash) process.stdout.write(`${json(stopped)}\n`);
    if (code === EXIT_DIVERGED) process.stderr.write('the replay came to another state than the recording\n');
    if (options.screen)
      process.stdout.write(
        `${
          vm
            .screenText()
            ?.rows.map((row) => row.trimEnd())
            .join('\n') ?? '[graphics mode]'
        }\n`,
      );
    if (options.screenshot) writeFileSync(options.screenshot, vm.screenshot().png);
    if (options.disassemble && alive) process.stdout.write(await disassembleGuest(vm.debug, options.disassemble));
    if (options.dumpCode !== undefined && alive) process.stdout.write(await generatedCode(vm.debug, options.dumpCode));
    if (options.profile !== undefined) {
      const { readProfile } = await import('../debug/readprofile.ts');
      if (alive)
        await writeProfile(options.profile, await readProfile(vm.debug, { top: options.profileTop, lines: 4 }), {
          top: options.profileTop,
          symbols: options.symbols,
        });
      else process.stderr.write('the machine turned itself off before its profile could be read\n');
    }
    if (options.cpuState && alive) process.stdout.write(`${json(await vm.cpuState())}\n`);
    if (alive) await vm.forceOff();
    return code;
  } catch (error) {
    const failure = asHypervueError(error);
    process.stderr.write(`${failure.message}${failure.fix ? `\n${failure.fix}` : ''}\n`);
    return EXIT_FAILED;
  } finally {
    clearTimeout(limit);
    clearInterval(poll);
    await gdb?.close();
    network?.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function disassembleGuest(target: DebugTarget, { address, count }: DisassembleRange): Promise<string> {
  const { dumpMemory } = await import('../debug/memorydump.ts');
  return dumpMemory(target, 'linear', address, { count, letter: 'i', size: 1 });
}

async function generatedCode(target: DebugTarget, address: bigint): Promise<string> {
  const { readGenerated } = await import('../debug/readgenerated.ts');
  return `${(await readGenerated(target, address)).join('\n') || `nothing compiled at 0x${address.toString(16)}`}\n`;
}

/** `0xc0100000` or `0xc0100000,40`. */
function disassembleRange(text: string): DisassembleRange {
  const match = /^(0x[0-9a-fA-F]{1,16}|\d{1,19})(?:,(\d{1,4}))?$/.exec(text);
  if (!match) throw new InvalidArgumentError('must be an address, or an address and a count: 0xc0100000,40');
  return { address: BigInt(match[1]!), count: Number(match[2] ?? DEFAULT_LISTING) };
}

/** Adds `hypervue run` to the command line. */
export function addRunCommand(program: Command): void {
  const collect = (value: string, list: string[]) => [...list, value];
  const number = (value: string) => {
    const parsed = Number(value);
    if (!Number.isFinite(parsed) || parsed <= 0) throw new InvalidArgumentError('must be a number above 0');
    return parsed;
  };
  program
    .command('run')
    .description('boot one machine without a library: serial output on standard output, for tests and scripts')
    .option('-m, --memory <MiB>', 'guest RAM', number, 256)
    .addOption(new Option('--cpu <model>', 'processor').choices(cpuModels).default(defaultCpuModel))
    .addOption(new Option('--accel <kind>', 'jit compiles hot code, interp only interprets').choices(['jit', 'interp']).default('jit'))
    .option('--cdrom <iso>', 'CD image')
    .option('--floppy <image>', 'floppy image')
    .option('--disk <image>', 'raw disk image; may be repeated', collect, [])
    .addOption(new Option('--bus <bus>', 'what the disks are attached to').choices(driveBuses).default('ide'))
    .addOption(new Option('--display <model>', 'virtio: a VGA that is a VirtIO display too').choices(displayModels).default('vga'))
    .option('--network', 'a network card, on a NAT network of its own')
    .addOption(new Option('--nic <model>', 'with --network: virtio otherwise').choices(nicModels))
    .option(
      '--forward <ports>',
      'a port of 127.0.0.1 that leads to one of the machine, as 2222:22 or udp:5353:53; may be repeated; with --network',
      (value: string, list: RunForward[]) => [...list, runForward(value)],
      [],
    )
    .option('--netboot <file>', 'starts from the network, with iPXE: a file of the --tftp folder, or a URL; with --network')
    .option('--tftp <folder>', 'with --netboot: the machine can read the files of it by TFTP')
    .option('--kernel <file>', 'bzImage or multiboot ELF to boot directly')
    .option('--initrd <file>', 'initial RAM disk or multiboot module')
    .option('--append <text>', 'kernel command line', '')
    .option('--no-paravirt', 'without what guests under KVM make use of: its clock, known frequencies')
    .option('--hpet', 'with a high precision event timer')
    .addOption(
      new Option('--clock <kind>', 'what time is made of: the same instructions executed make every run the same').choices([
        'host',
        'instructions',
      ]),
    )
    .option('--until <seconds>', 'stop at this time of the machine; with the clock of instructions', number)
    .option('--hash', 'print a hash of the state at the end')
    .option('--record <file>', 'note every input and when it came, for a replay; with the clock of instructions')
    .option('--replay <file>', 'do again what was recorded, ignoring keyboard and serial input; ends with 123 when it came out differently')
    .option('--readonly', 'do not write to disks and floppies')
    .addOption(new Option('--format <format>', 'of the disks; found out when absent').choices(diskFormats))
    .option('--timeout <seconds>', `stop after this long; ${DEFAULT_TIMEOUT} unless --gdb is given`, number)
    .option('--expect <text>', 'end with code 0 once this shows on serial or screen, with 124 when it does not in time')
    .option('--after <text>', 'wait for this on serial or screen before typing')
    .option('--keys <chord>', 'press keys, for example ctrl+alt+delete; may be repeated', collect, [])
    .option('--type <text>', 'type text, \\n is Enter')
    .option('--screen', 'print the text screen at the end')
    .option('--screenshot <png>', 'save the picture at the end')
    .option('--cpu-state', 'print the CPU state as JSON at HLT with interrupts off, at debug-exit or at the end')
    .option(
      '--gdb [port|socket]',
      `let gdb attach at this port of this computer (${GDB_PORT}; 0 takes a free one) or Unix socket`,
      gdbAddress,
    )
    .option('-S, --gdb-wait', 'stop before the first instruction until gdb continues; with --gdb')
    .addOption(gdbArchOption())
    .option(
      '--profile [file]',
      'at the end, where the time of the guest went: on standard error or into a file, as JSON when that ends in .json',
    )
    .option('--profile-top <count>', 'places and ports of a profile', number, DEFAULT_LISTING)
    .option('--symbols <file>', 'System.map or ELF file that names the addresses of a profile')
    .option('--disassemble <address,count>', 'at the end, list guest code at a linear address', disassembleRange)
    .option(
      '--dump-code <address>',
      'at the end, list what the recompiler made of the code at a linear address',
      (text) => disassembleRange(text).address,
    )
    .option('--quiet', 'no log on standard error')
    .option('--uefi [image]', 'UEFI for x86-64 (OVMF) instead of BIOS: this image, or the one that is installed')
    .option('--nvram <file>', 'keep the UEFI variables in this file; without it they are lost at the end')
    .option('--firmware <folder>', 'folder with bios-256k.bin and vgabios-stdvga.bin')
    .option('--wasm <file>', 'compiled interpreter')
    .addHelpText(
      'after',
      '\nExit code: (value << 1) | 1 when the guest writes value to port 0xF4, 0 when it turned itself off, 123 replay came out differently, 124 time limit with --expect, 125 failure, 126 triple fault.',
    )
    .action(async (options: RunOptions) => {
      process.exit(await runMachine(options));
    });
}
