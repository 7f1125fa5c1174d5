import { type Command, Option } from 'commander';
import { type DiskFormat, diskFormats, type ImageFormat, imageFormats } from '../contract/vm.ts';
import { Disks, type DiskInfo } from '../manager/disks.ts';
import type { Preallocation } from '../disk/qcow2/create.ts';
import type { TaskOptions } from '../disk/task.ts';
import { imagesOfMachines } from '../manager/machineimages.ts';
import { filesIn } from '../platform/imagesontop.ts';
import { formatName } from '../platform/openimage.ts';
import { poolFolders } from '../manager/storage/pools.ts';
import { type ConvertFormat, convertFormats } from '../platform/convertimage.ts';
import { appFolders } from '../platform/folders.ts';
import { ImageLocks } from '../platform/imagelocks.ts';
import { readableBytes } from '../util/bytes.ts';
import type { VmdkSubformat } from '../disk/vmdk/write.ts';
import { HypervueError } from '../util/errors.ts';
import { addChainCommands } from './diskchain.ts';
import { byName, formatOfName } from './formatname.ts';
import { readPassphrase } from './passphrase.ts';
import { noteRaw } from './rawhint.ts';
import { EXIT_ERROR, EXIT_OK, reportError, table } from './output.ts';
import { clusterSize, refcountBits, size } from './sizes.ts';

/** Exit codes as qemu-img's: 1 not all could be checked, 2 damage found, 3 leaks only; `compare` gives 1 when the disks differ. */
const EXIT_DAMAGE = 2;
const EXIT_LEAKS = 3;
const EXIT_DIFFERENT = 1;

const sizeOrZero = (text: string): number => (text === '0' ? 0 : size(text));
const formatOption = (description: string) => new Option('--format <format>', description).choices(imageFormats);

interface CreateOptions {
  format?: DiskFormat;
  cluster?: number;
  compat: '2' | '3';
  refcountBits?: number;
  backing?: string;
  backingFormat?: ImageFormat;
  preallocation: Preallocation;
  zstd?: boolean;
  extendedL2?: boolean;
  encrypt?: boolean;
}

interface Result {
  json: unknown;
  text: string;
  code?: number;
}

/** Makes an action of what a verb does. */
export type Runner = <A extends unknown[]>(work: (disks: Disks, ...args: A) => Promise<Result>) => (...args: A) => Promise<void>;

/** `hypervue disk …`: works on image files, with or without a running server, and locks them against machines. */
export function addDiskCommand(program: Command): void {
  const disk = program.command('disk').description('create, convert, check and snapshot disk images');
  const run: Runner =
    <A extends unknown[]>(work: (disks: Disks, ...args: A) => Promise<Result>) =>
    async (...args: A): Promise<void> => {
      const json = [program, disk, ...disk.commands].some((command) => Boolean(command.opts<{ json?: boolean }>().json));
      let code = EXIT_OK;
      const folders = appFolders();
      // The work ends at its next piece and removes what it had begun.
      const stop = () => stopped.abort(new HypervueError('cancelled', 'interrupted'));
      process.once('SIGINT', stop).once('SIGTERM', stop);
      try {
        const named = disk.commands
          .map((command) => command.opts<{ passphraseFile?: string }>().passphraseFile)
          .find((name) => name !== undefined);
        passphrase = named === undefined ? undefined : readPassphrase(named);
        const known = async () => {
          const pools = await poolFolders(folders.config, folders.library);
          return [await imagesOfMachines(folders.library), ...(await Promise.all(pools.map(filesIn)))].flat();
        };
        const result = await work(new Disks(new ImageLocks(folders.locks), known, passphrase), ...args);
        if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
        const output = json ? JSON.stringify(result.json) : result.text;
        if (output) process.stdout.write(`${output}\n`);
        code = result.code ?? EXIT_OK;
      } catch (error) {
        reportError(error, json);
        code = EXIT_ERROR;
      }
      process.off('SIGINT', stop).off('SIGTERM', stop);
      process.exitCode = code;
    };
  let passphrase: string | undefined;
  const stopped = new AbortController();
  const progress = (done: number, total: number) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${Math.floor((done / total) * 100)} %`);
  };
  const task: TaskOptions = { signal: stopped.signal, progress };
  const told = (text: string): Result => ({ json: {}, text });

  disk
    .command('info <image>')
    .description('format, sizes, images below, snapshots')
    .addOption(formatOption('instead of looking'))
    .action(
      run(async (disks, image: string, options: { format?: ImageFormat }) => {
        await noteRaw(image, options.format);
        const info = await disks.info(image, options.format);
        return { json: info, text: infoText(info) };
      }),
    );
  disk
    .command('create')
    .argument('<image>')
    .argument('<size>', 'like 20G or 512M; 0 with --backing', sizeOrZero)
    .description('a new image; takes room as it fills')
    .addOption(new Option('--format <format>', byName).choices(diskFormats))
    .option('--cluster <size>', 'bytes of a cluster: 512 to 2M', clusterSize)
    .addOption(new Option('--compat <version>', 'version of qcow2').choices(['2', '3']).default('3'))
    .option('--refcount-bits <bits>', '1 to 64', refcountBits)
    .option('--backing <image>', 'image below, relative to the new one; the size may be 0 to take its own')
    .addOption(new Option('--backing-format <format>', 'its format; found out when absent').choices(imageFormats))
    .addOption(new Option('--preallocation <how>', 'room put aside at once').choices(['off', 'metadata', 'falloc', 'full']).default('off'))
    .option('--zstd', 'compress with zstd where something is compressed')
    .option('--extended-l2', 'allocate in 32nds of a cluster')
    .option('--encrypt', 'encrypt it (LUKS) with the passphrase of --passphrase-file')
    .action(
      run(async (disks, image: string, bytes: number, options: CreateOptions) => {
        const format = options.format ?? formatOfName(image, diskFormats);
        let sizeBytes = bytes;
        let backingFormat = options.backingFormat && formatName(options.backingFormat);
        if (options.backing) {
          const { dirname, resolve } = await import('node:path');
          const base = resolve(dirname(image), options.backing);
          await noteRaw(base, options.backingFormat);
          const below = await disks.info(base, options.backingFormat);
          backingFormat = formatName(below.format);
          sizeBytes ||= below.sizeBytes;
        }
        await disks.create(image, {
          format,
          sizeBytes,
          ...(options.cluster ? { clusterSize: options.cluster } : {}),
          version: options.compat === '2' ? 2 : 3,
          ...(options.refcountBits !== undefined ? { refcountBits: options.refcountBits } : {}),
          ...(options.backing ? { backingFile: options.backing } : {}),
          ...(backingFormat ? { backingFormat } : {}),
          ...(options.encrypt ? { passphrase: wanted(passphrase, image) } : {}),
          preallocation: options.preallocation,
          ...(options.zstd ? { compression: 'zstd' as const } : {}),
          ...(options.extendedL2 ? { extendedL2: true } : {}),
          ...task,
        });
        return told(`${image}: ${readableBytes(sizeBytes)}, ${format}`);
      }),
    );
  disk
    .command('convert <from> <to>')
    .description('a copy in another format, with all that lies below; overwrites nothing but a device, when told so')
    .addOption(new Option('--format <format>', `of the new image: ${byName}`).choices(convertFormats))
    .addOption(
      new Option('--subformat <kind>', 'of VMDK: compressed for exchange, or one that VMware runs from')
        .choices(['streamOptimized', 'monolithicSparse'])
        .default('streamOptimized'),
    )
    .addOption(new Option('--from-format <format>', 'instead of looking').choices(imageFormats))
    .option('--overwrite-device', 'TO is a device of this computer, as /dev/sdb: what is on it is lost (raw)')
    .option('--compress', 'compress it (qcow2)')
    .option('--zstd', 'with --compress: zstd instead of zlib')
    .option('--cluster <size>', 'bytes of a cluster', clusterSize)
    .option('--encrypt', 'encrypt the new image (LUKS) with the passphrase of --passphrase-file')
    .action(
      run(
        async (
          disks,
          from: string,
          to: string,
          options: {
            format?: ConvertFormat;
            subformat: VmdkSubformat;
            fromFormat?: ImageFormat;
            overwriteDevice?: boolean;
            encrypt?: boolean;
            compress?: boolean;
            zstd?: boolean;
            cluster?: number;
          },
        ) => {
          await noteRaw(from, options.fromFormat);
          await disks.convert({
            from: { path: from, format: options.fromFormat },
            to: {
              path: to,
              format: options.format ?? (options.overwriteDevice ? 'raw' : formatOfName(to, convertFormats)),
              subformat: options.subformat,
              device: options.overwriteDevice,
              ...(options.encrypt ? { passphrase: wanted(passphrase, to) } : {}),
              ...(options.cluster ? { clusterSize: options.cluster } : {}),
              ...(options.zstd ? { compression: 'zstd' as const } : {}),
            },
            compress: options.compress ?? false,
            ...task,
          });
          return told('');
        },
      ),
    );
  disk
    .command('resize')
    .argument('<image>')
    .argument('<size>', 'like 20G or 512M', size)
    .description('a larger disk, or with --shrink a smaller one')
    .addOption(formatOption('instead of looking'))
    .option('--shrink', 'make it smaller; done only when nothing but zeros is cut off')
    .action(
      run(async (disks, image: string, bytes: number, options: { format?: ImageFormat; shrink?: boolean }) => {
        await noteRaw(image, options.format);
        await disks.resize(image, bytes, { ...options, ...task });
        return told(`${image}: ${readableBytes(bytes)}`);
      }),
    );
  disk
    .command('check <image>')
    .description('look for damage (code 2) and leaks (code 3) of a qcow2 image; code 1 when one below it is missing')
    .addOption(new Option('--repair <what>', 'put right: leaks, or all that can be').choices(['leaks', 'all']))
    .action(
      run(async (disks, image: string, options: { repair?: 'leaks' | 'all' }) => {
        const report = await disks.check(image, options.repair ?? 'none', task);
        const lines = [...report.messages];
        lines.push(`${report.errors} errors, ${report.leaks} leaked clusters`);
        if (options.repair) lines.push(`repaired: ${report.errorsFixed} errors, ${report.leaksFixed} leaks`);
        const errors = report.errors - report.errorsFixed;
        const leaks = report.leaks - report.leaksFixed;
        if (report.belowProblem !== null) lines.push(`not checked further: ${report.belowProblem}`);
        const sound = report.belowProblem === null ? EXIT_OK : EXIT_ERROR;
        const { saidMessages: _, saidBelow: _below, ...json } = report;
        return { json, text: lines.join('\n'), code: errors ? EXIT_DAMAGE : leaks ? EXIT_LEAKS : sound };
      }),
    );
  disk
    .command('map <image>')
    .description('which parts of the disk are in the file, and where')
    .addOption(formatOption('instead of looking'))
    .action(
      run(async (disks, image: string, options: { format?: ImageFormat }) => {
        await noteRaw(image, options.format);
        const ranges = await disks.map(image, options.format);
        const rows = ranges.map(({ offset, length, kind, host }) => [
          String(offset),
          String(length),
          kind,
          host === undefined ? '' : String(host),
        ]);
        return { json: ranges, text: table(['offset', 'length', 'kind', 'in the file at'], rows) };
      }),
    );
  disk
    .command('compare <a> <b>')
    .description('whether two disks hold the same, whatever their formats; code 1 when not')
    .action(
      run(async (disks, a: string, b: string) => {
        const at = await disks.compare(a, b, task);
        return at === undefined
          ? { json: { same: true }, text: 'the same' }
          : { json: { same: false, offset: at }, text: `different at byte ${at}`, code: EXIT_DIFFERENT };
      }),
    );
  addChainCommands(disk, run, task);
  disk
    .command('snapshot <image> <name>')
    .description('take a snapshot inside a qcow2 image')
    .action(
      run(async (disks, image: string, name: string) => {
        const id = await disks.takeSnapshot(image, name);
        return { json: { id }, text: id };
      }),
    );
  disk
    .command('revert <image> <snapshot>')
    .description('the disk as it was; what it holds now is lost unless a snapshot has it')
    .action(run(async (disks, image: string, snapshot: string) => told((await disks.revert(image, snapshot)) ?? '')));
  disk
    .command('delete-snapshot <image> <snapshot>')
    .description('forget a snapshot and give its room back')
    .action(run(async (disks, image: string, snapshot: string) => told((await disks.deleteSnapshot(image, snapshot)) ?? '')));
  disk
    .command('rename-snapshot <image> <snapshot> <name>')
    .description('another name for a snapshot')
    .action(
      run(async (disks, image: string, snapshot: string, name: string) => told((await disks.renameSnapshot(image, snapshot, name)) ?? '')),
    );
  for (const command of disk.commands)
    command.exitOverride().option('--json', 'as JSON').option('--passphrase-file <file>', 'file with the passphrase of an encrypted image');
}

function wanted(passphrase: string | undefined, image: string): string {
  if (passphrase) return passphrase;
  throw new HypervueError(
    'invalid-argument',
    '--encrypt wants a passphrase',
    { path: image },
    'Put it into a file and name that with --passphrase-file.',
  );
}

function infoText(info: DiskInfo): string {
  const lines = [
    `${info.path}`,
    `format     ${info.format}${info.version ? `, version ${info.version}` : ''}`,
    `disk       ${readableBytes(info.sizeBytes)} (${info.sizeBytes} bytes)`,
    `on disk    ${readableBytes(info.allocatedBytes)}`,
  ];
  if (info.clusterBytes)
    lines.push(
      `clusters   ${readableBytes(info.clusterBytes)}, refcounts of ${info.refcountBits} bits, ${info.compression}${info.extendedL2 ? ', extended L2 entries' : ''}`,
    );
  if (info.encryption && info.encryption !== 'none') lines.push(`encrypted  ${info.encryption}`);
  if (info.dirty || info.damaged) lines.push(`state      ${info.damaged ? 'marked as damaged' : 'was not closed properly'}`);
  for (const below of info.below) lines.push(`${below === info.dataFile ? 'data in  ' : 'on top of'}  ${below}`);
  if (info.snapshots?.length)
    lines.push(
      '',
      table(
        ['id', 'snapshot', 'taken', 'disk'],
        info.snapshots.map(({ id, name, date, sizeBytes }) => [id, name, date, readableBytes(sizeBytes)]),
      ),
    );
  return lines.join('\n');
}
