import path from 'node:path';
import { type Command, Option } from 'commander';
import { type CpuModel, cpuModels, defaultCpuModel } from '../contract/cpumodels.ts';
import { type DriveBus, driveBuses } from '../contract/drives.ts';
import { type DiskFormat, type DisplayModel, diskFormats, displayModels, type VmCreate, vncListenSchema } from '../contract/vm.ts';
import { DEFAULT_NETWORK, type NicModel, nicModels } from '../contract/networks.ts';
import { HypervueError } from '../util/errors.ts';
import { EXIT_ERROR, parseSize } from './output.ts';
import { readPassphrase } from './passphrase.ts';
import type { RunSession } from './session.ts';

interface CreateOptions {
  name?: string;
  memory?: string;
  cpu?: CpuModel;
  uefi?: boolean;
  iso?: string;
  floppy?: string;
  disk?: string;
  copy?: boolean;
  readonly?: boolean;
  kernel?: string;
  initrd?: string;
  cmdline: string;
  sample?: boolean;
  netboot?: boolean;
  blank?: boolean;
  newDisk?: string;
  diskFormat?: DiskFormat;
  bus?: DriveBus;
  display?: DisplayModel;
  network?: string;
  nic?: NicModel;
  encrypt?: boolean;
  passphraseFile?: string;
  vnc?: string;
  vncPassword?: string;
  start?: boolean;
}

const wrong = (message: string, fix: string) => new HypervueError('invalid-argument', message, { operation: 'create' }, fix);

function source(options: CreateOptions): VmCreate['source'] {
  const given = (['iso', 'floppy', 'disk', 'kernel', 'netboot', 'sample', 'blank'] as const).filter((name) => options[name] !== undefined);
  if (given.length !== 1)
    throw wrong(
      given.length ? `--${given.join(' and --')} exclude each other` : 'nothing to boot from was named',
      'Give one of --iso, --floppy, --disk, --kernel, --netboot, --sample and --blank.',
    );
  const at = (file: string) => path.resolve(file);
  switch (given[0]!) {
    case 'iso':
      return { type: 'iso', path: at(options.iso!) };
    case 'floppy':
      return { type: 'floppy', path: at(options.floppy!) };
    case 'disk':
      return { type: 'disk', path: at(options.disk!), copy: options.copy ?? false, readOnly: options.readonly ?? false };
    case 'kernel':
      return { type: 'kernel', path: at(options.kernel!), initrd: options.initrd ? at(options.initrd) : null, cmdline: options.cmdline };
    case 'netboot':
      return { type: 'network' };
    case 'sample':
      return { type: 'sample' };
    case 'blank':
      return { type: 'blank' };
  }
}

/** `127.0.0.1:5` (a display number) or `unix:/path`. */
function listen(options: CreateOptions): VmCreate['listen'] {
  if (options.vnc === undefined) return undefined;
  const password = options.vncPassword === undefined ? {} : { password: options.vncPassword };
  const tcp = /^(.*):(\d+)$/.exec(options.vnc);
  const parsed = vncListenSchema.safeParse(
    options.vnc.startsWith('unix:')
      ? { type: 'unix', path: path.resolve(options.vnc.slice('unix:'.length)), ...password }
      : { type: 'tcp', host: tcp?.[1] ?? '', display: Number(tcp?.[2]), ...password },
  );
  if (!parsed.success)
    throw wrong(
      `--vnc ${options.vnc} is neither host:display nor unix:path, or its password is longer than 8 characters`,
      'For example --vnc 127.0.0.1:5',
    );
  return parsed.data;
}

function cards({ network = DEFAULT_NETWORK, nic }: CreateOptions): NonNullable<VmCreate['network']> {
  if (network !== 'none') return [{ id: 'net0', network, connected: true, ...(nic ? { model: nic } : {}) }];
  if (nic) throw wrong('--nic is of no use without a network card', 'Leave out --network none.');
  return [];
}

function passphraseOf({ passphraseFile }: CreateOptions): string {
  if (passphraseFile === undefined) throw wrong('an encrypted disk wants a passphrase', 'Give a file with it: --passphrase-file FILE.');
  return readPassphrase(passphraseFile);
}

function bytes(text: string, option: string): number {
  const size = parseSize(text);
  if (size === undefined) throw wrong(`${option} ${text} is not a size`, 'For example 512M or 20G.');
  return size;
}

/** Adds `hypervue create`. */
export function addCreateCommand(program: Command, run: RunSession): void {
  program
    .command('create')
    .description('create a machine')
    .option('--name <name>', 'its name; a free one is made up otherwise')
    .option('--memory <size>', 'guest RAM, for example 512M; plain numbers are MiB')
    .addOption(new Option('--cpu <model>', `processor; ${defaultCpuModel} otherwise`).choices(cpuModels))
    .option('--uefi', 'UEFI for x86-64 (OVMF) instead of BIOS')
    .option('--iso <file>', 'boot from a CD image')
    .option('--floppy <file>', 'boot from a floppy image')
    .option('--disk <file>', 'boot from an existing raw or qcow2 disk, used where it is')
    .option('--copy', 'with --disk: put a copy into the machine instead')
    .option('--readonly', 'with --disk: never write to it')
    .option('--kernel <file>', 'boot a bzImage or multiboot image directly')
    .option('--initrd <file>', 'with --kernel')
    .option('--cmdline <text>', 'with --kernel: its command line', '')
    .option('--netboot', 'boot what its network hands out; see `hypervue network set --boot`')
    .option('--sample', 'the check image of Hypervue')
    .option('--blank', 'nothing to boot from')
    .option('--new-disk <size>', 'a new disk, which takes room as it fills, for example 20G')
    .addOption(new Option('--disk-format <format>', 'with --new-disk; otherwise that of the settings, qcow2').choices(diskFormats))
    .addOption(
      new Option('--bus <bus>', 'what its disks are attached to; otherwise the quickest that its system knows').choices(driveBuses),
    )
    .addOption(
      new Option('--display <model>', 'virtio: a driver in the guest can follow the size of the window; vga otherwise').choices(
        displayModels,
      ),
    )
    .option('--network <id>', 'what its network card is plugged into, or none for no card; the default network otherwise')
    .addOption(new Option('--nic <model>', 'its network card; otherwise the quickest that its system knows').choices(nicModels))
    .option('--encrypt', 'with --new-disk: encrypt it (LUKS, qcow2)')
    .option('--passphrase-file <file>', 'with --encrypt: its first line is the passphrase')
    .option('--vnc <place>', 'listen for VNC clients at host:display or unix:path')
    .option('--vnc-password <text>', 'with --vnc: at most 8 characters')
    .option('--start', 'start it; needs a running server')
    .action((options: CreateOptions) =>
      run(!options.start, async (session) => {
        const from = source(options);
        const file =
          'path' in from ? path.basename(from.path).replace(/\.[^.]*$/, '') : from.type === 'sample' ? 'Hypervue check' : 'Machine';
        const name = options.name ?? (await session.client.call('vm.suggestName', { hint: file }));
        let memoryMiB = from.type === 'sample' ? 32 : (await session.client.call('settings.get', {})).defaultMemoryMiB;
        if (options.memory !== undefined)
          memoryMiB = /^\d+$/.test(options.memory) ? Number(options.memory) : Math.round(bytes(options.memory, '--memory') / 1024 ** 2);
        const newDisk =
          options.newDisk === undefined
            ? null
            : {
                sizeBytes: bytes(options.newDisk, '--new-disk'),
                ...(options.diskFormat ? { format: options.diskFormat } : {}),
                ...(options.encrypt ? { passphrase: passphraseOf(options) } : {}),
              };
        const create: VmCreate = {
          name,
          cpuModel: options.cpu,
          ...(options.uefi ? { firmware: 'uefi' as const } : {}),
          memoryMiB,
          source: from,
          newDisk,
          ...(options.bus ? { bus: options.bus } : {}),
          ...(options.display ? { displayModel: options.display } : {}),
          listen: listen(options),
          network: cards(options),
        };
        for (const check of await session.client.call('vm.preflight', create))
          if (!check.ok && check.severity === 'warning')
            process.stderr.write(`warning: ${check.message}${check.fix ? `\n${check.fix}` : ''}\n`);
        let vm = await session.client.call('vm.create', create);
        if (options.start)
          vm = await session.client.call('vm.start', { id: vm.id, ...(options.encrypt ? { passphrase: passphraseOf(options) } : {}) });
        session.print(vm, () => `${vm.name}: ${vm.state}\n${vm.id}`);
        return vm.state === 'crashed' ? EXIT_ERROR : undefined;
      }),
    );
}
