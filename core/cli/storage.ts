import path from 'node:path';
import { type Command, Option } from 'commander';
import { clusterSizes, preallocations, type TrashItem, type Volume, writtenFormats } from '../contract/storage.ts';
import { diskFormats, type ImageFormat, imageFormats } from '../contract/vm.ts';
import { readableBytes } from '../util/bytes.ts';
import { HypervueError } from '../util/errors.ts';
import { byName, formatOfName } from './formatname.ts';
import { EXIT_ERROR, EXIT_OK, table } from './output.ts';
import { readPassphrase } from './passphrase.ts';
import type { RunSession } from './session.ts';
import { clusterSize, size } from './sizes.ts';
import { poolOf, poolTitle, volumeLine, volumeOf } from './volumes.ts';
import { addVolumeTransfers } from './volumetransfer.ts';

function addPools(program: Command, run: RunSession): void {
  const pool = program.command('pool').description('storage pools: folders that hold disk images');
  pool
    .command('list')
    .description('pools with their free space')
    .action(() =>
      run(true, async (session) => {
        session.print(await session.client.call('storage.pools', {}), (pools) =>
          table(
            ['POOL', 'FREE', 'FOLDER'],
            pools.map((each) => [poolTitle(each), each.freeBytes === null ? 'unusable' : readableBytes(each.freeBytes), each.folder]),
          ),
        );
      }),
    );
  pool
    .command('add <name> <folder>')
    .description('make a folder a pool; nothing in it is touched')
    .option('--create', 'make the folder when there is none')
    .action((name: string, folder: string, { create }: { create?: true }) =>
      run(true, async (session) => {
        session.print(
          await session.client.call('storage.addPool', { name, folder: path.resolve(folder), ...(create && { create }) }),
          (made) => `${made.name}: ${made.folder}`,
        );
      }),
    );
  pool
    .command('rename <pool> <name>')
    .description('another name for a pool')
    .action((wanted: string, name: string) =>
      run(true, async (session) => {
        const { id } = await poolOf(session, wanted);
        session.print(await session.client.call('storage.renamePool', { id, name }), (made) => `${made.name}: ${made.folder}`);
      }),
    );
  pool
    .command('remove <pool>')
    .description('forget a pool; its files stay')
    .action((wanted: string) =>
      run(true, async (session) => {
        const { id } = await poolOf(session, wanted);
        session.print(await session.client.call('storage.removePool', { id }), () => '');
      }),
    );
  for (const command of pool.commands) command.exitOverride().option('--json', 'as JSON');
}

function volumeText(volume: Volume): string {
  const lines = [
    volume.path,
    `format   ${volume.format}`,
    `disk     ${volume.sizeBytes === null ? 'unknown' : readableBytes(volume.sizeBytes)}`,
    `on disk  ${readableBytes(volume.allocatedBytes)}`,
  ];
  for (const lower of volume.below) lines.push(`on top of ${lower.path}${lower.exists ? '' : ' (missing)'}`);
  if (volume.circular) lines.push('on top of itself');
  for (const user of volume.usedBy) lines.push(`used by  ${user.name} (${user.kind})`);
  if (volume.lockedBy !== null) lines.push(`open in  ${volume.lockedBy}`);
  if (volume.problem) lines.push(`problem  ${volume.problem.message}`);
  return lines.join('\n');
}

/** Of the options of an operation that may come upon encrypted images. */
const secret = ({ passphraseFile }: { passphraseFile?: string }) =>
  passphraseFile === undefined ? {} : { passphrase: readPassphrase(passphraseFile) };
const secretOption = () => new Option('--passphrase-file <file>', 'its first line opens encrypted images');

interface CreateOptions {
  pool: string;
  format?: (typeof diskFormats)[number];
  preallocation: (typeof preallocations)[number];
  cluster?: number;
  backing?: string;
  encrypt?: boolean;
  passphraseFile?: string;
}

interface ImportOptions {
  pool: string;
  fromFormat?: ImageFormat;
  format?: (typeof writtenFormats)[number];
  compress?: boolean;
  encrypt?: boolean;
  passphraseFile?: string;
}

/** The passphrase of a new image, with --encrypt. */
function encryption(options: { encrypt?: boolean; passphraseFile?: string }): { passphrase?: string } {
  if (!options.encrypt) return {};
  if (options.passphraseFile === undefined)
    throw new HypervueError(
      'invalid-argument',
      'an encrypted image wants a passphrase',
      { operation: 'create' },
      'Give a file with it: --passphrase-file FILE.',
    );
  return secret(options);
}

function addVolumes(program: Command, run: RunSession): void {
  const volume = program.command('volume').description('disk images of pools and machines, by name or path');
  const poolOption = () => new Option('--pool <pool>', 'where it is made').default('default');
  volume
    .command('list')
    .description('every image, with who uses it')
    .action(() =>
      run(true, async (session) => {
        const pools = new Map((await session.client.call('storage.pools', {})).map((pool) => [pool.id, poolTitle(pool)]));
        session.print(await session.client.call('storage.volumes', {}), (volumes) =>
          volumes.length
            ? table(
                ['NAME', 'POOL', 'FORMAT', 'DISK', 'ON DISK', 'USED BY'],
                volumes.map((each) => [
                  each.name,
                  each.machine?.name ?? pools.get(each.pool) ?? each.pool,
                  each.problem || each.circular ? 'damaged' : each.format,
                  each.sizeBytes === null ? '-' : readableBytes(each.sizeBytes),
                  readableBytes(each.allocatedBytes),
                  each.usedBy.map(({ name }) => name).join(', ') || '-',
                ]),
              )
            : 'There are no volumes. Create one with `hypervue volume create`.',
        );
      }),
    );
  volume
    .command('info <volume>')
    .description('sizes, what lies below, who uses it')
    .action((wanted: string) =>
      run(true, async (session) => {
        const { path: file } = await volumeOf(session, wanted);
        session.print(await session.client.call('storage.info', { path: file }), (details) => volumeText(details.volume));
      }),
    );
  volume
    .command('create')
    .argument('<name>')
    .argument('[size]', 'like 20G or 512M; that of the image below when absent', size)
    .description('a new image in a pool')
    .addOption(poolOption())
    .addOption(new Option('--format <format>', byName).choices(diskFormats))
    .addOption(new Option('--preallocation <how>', 'room put aside at once').choices(preallocations).default('off'))
    .option('--cluster <size>', `bytes of a cluster: ${clusterSizes[0]} to ${clusterSizes.at(-1)}`, clusterSize)
    .option('--backing <volume>', 'image that it lies on top of')
    .option('--encrypt', 'encrypt it (LUKS, qcow2)')
    .option('--passphrase-file <file>', 'with --encrypt: its first line is the passphrase')
    .action((name: string, sizeBytes: number | undefined, options: CreateOptions) =>
      run(true, async (session) => {
        const { id: pool } = await poolOf(session, options.pool);
        const backing = options.backing === undefined ? {} : { backing: (await volumeOf(session, options.backing)).path };
        const made = await session.client.call('storage.create', {
          pool,
          name,
          format: options.format ?? formatOfName(name, diskFormats),
          preallocation: options.preallocation,
          ...(sizeBytes === undefined ? {} : { sizeBytes }),
          ...(options.cluster === undefined ? {} : { clusterBytes: options.cluster }),
          ...backing,
          ...encryption(options),
        });
        session.print(made, volumeLine);
      }),
    );
  volume
    .command('import <file> <name>')
    .description('copy an image, with all that lies below it, into a pool')
    .addOption(poolOption())
    .addOption(new Option('--format <format>', `of the copy: ${byName}`).choices(writtenFormats))
    .addOption(new Option('--from-format <format>', 'what FILE is, instead of looking').choices(imageFormats))
    .option('--compress', 'compress it (qcow2)')
    .addOption(secretOption())
    .option('--encrypt', 'encrypt the copy with the same passphrase (qcow2)')
    .action((file: string, name: string, options: ImportOptions) =>
      run(true, async (session) => {
        const { id: pool } = await poolOf(session, options.pool);
        const { format = formatOfName(name, writtenFormats), compress } = options;
        session.print(
          await session.client.call('storage.convert', {
            from: path.resolve(file),
            ...(options.fromFormat === undefined ? {} : { fromFormat: options.fromFormat }),
            pool,
            name,
            format,
            compress: compress ?? false,
            ...secret(options),
            ...(options.encrypt ? { encrypt: encryption(options).passphrase! } : {}),
          }),
          volumeLine,
        );
      }),
    );
  volume
    .command('clone <volume> <name>')
    .description('a second image with the same contents; with --linked one that lies on top of the first')
    .addOption(poolOption())
    .option('--linked', 'keep only what differs')
    .addOption(secretOption())
    .action((wanted: string, name: string, options: { pool: string; linked?: boolean; passphraseFile?: string }) =>
      run(true, async (session) => {
        const { id: pool } = await poolOf(session, options.pool);
        const from = await volumeOf(session, wanted);
        const format = from.format === 'raw' ? 'raw' : 'qcow2';
        const made = options.linked
          ? await session.client.call('storage.linkedClone', { path: from.path, pool, name, ...secret(options) })
          : await session.client.call('storage.convert', {
              from: from.path,
              pool,
              name,
              format,
              ...secret(options),
              // A clone of what is secret is no less so.
              ...(from.encrypted ? { encrypt: encryption({ ...options, encrypt: true }).passphrase! } : {}),
            });
        session.print(made, volumeLine);
      }),
    );
  volume
    .command('resize')
    .argument('<volume>')
    .argument('<size>', 'like 20G', size)
    .description('a larger disk, also while its machine runs; a smaller one when only zeros are cut off')
    .addOption(secretOption())
    .action((wanted: string, sizeBytes: number, options: { passphraseFile?: string }) =>
      run(true, async (session) => {
        const { path: file } = await volumeOf(session, wanted);
        session.print(await session.client.call('storage.resize', { path: file, sizeBytes, ...secret(options) }), volumeLine);
      }),
    );
  volume
    .command('check <volume>')
    .description('look for damage and leaks')
    .addOption(new Option('--repair <what>').choices(['leaks', 'all']))
    .action((wanted: string, options: { repair?: 'leaks' | 'all' }) =>
      run(true, async (session) => {
        const { path: file } = await volumeOf(session, wanted);
        const report = await session.client.call('storage.check', { path: file, repair: options.repair ?? 'none' });
        session.print(report, () =>
          [
            ...report.messages,
            `${report.errors} errors, ${report.leaks} leaked clusters`,
            ...(report.belowProblem === null ? [] : [`not checked further: ${report.belowProblem}`]),
          ].join('\n'),
        );
        return report.errors > report.errorsFixed || report.belowProblem !== null ? EXIT_ERROR : EXIT_OK;
      }),
    );
  volume
    .command('commit <volume>')
    .description('write what an overlay holds into the image below it')
    .addOption(secretOption())
    .action((wanted: string, options: { passphraseFile?: string }) =>
      run(true, async (session) => {
        const { path: file } = await volumeOf(session, wanted);
        session.print(await session.client.call('storage.commit', { path: file, ...secret(options) }), volumeLine);
      }),
    );
  volume
    .command('rebase <volume> [below]')
    .description('put an image on another one; on none without a name')
    .option('-u, --unsafe', 'change the name only, for an image that was moved; the contents are not looked at')
    .addOption(secretOption())
    .action((wanted: string, below: string | undefined, options: { unsafe?: boolean; passphraseFile?: string }) =>
      run(true, async (session) => {
        const { path: file } = await volumeOf(session, wanted);
        const backing = below === undefined ? null : (await volumeOf(session, below)).path;
        session.print(
          await session.client.call('storage.rebase', { path: file, backing, nameOnly: options.unsafe ?? false, ...secret(options) }),
          volumeText,
        );
      }),
    );
  volume
    .command('compact <volume>')
    .description('give back the room of what reads as zeros')
    .addOption(secretOption())
    .action((wanted: string, options: { passphraseFile?: string }) =>
      run(true, async (session) => {
        const { path: file } = await volumeOf(session, wanted);
        session.print(
          await session.client.call('storage.compact', { path: file, ...secret(options) }),
          ({ beforeBytes, afterBytes }) => `${readableBytes(beforeBytes)} before, ${readableBytes(afterBytes)} now`,
        );
      }),
    );
  volume
    .command('compare <volume> <other>')
    .description('code 1 and the first byte that differs, unless both hold the same')
    .addOption(secretOption())
    .action((wanted: string, other: string, options: { passphraseFile?: string }) =>
      run(true, async (session) => {
        const [first, second] = [await volumeOf(session, wanted), await volumeOf(session, other)];
        const result = await session.client.call('storage.compare', { path: first.path, with: second.path, ...secret(options) });
        session.print(result, ({ differsAt }) => (differsAt === null ? 'Both hold the same.' : `They differ at byte ${differsAt}.`));
        return result.differsAt === null ? EXIT_OK : EXIT_ERROR;
      }),
    );
  for (const verb of ['attach', 'detach'] as const)
    volume
      .command(`${verb} <volume> <machine>`)
      .description(
        verb === 'attach'
          ? 'make it a hard disk of a machine; one that is on has it from its next start'
          : 'take it out of a machine; one that is on has it until it is turned off',
      )
      .action((wanted: string, machine: string) =>
        run(true, async (session) => {
          const { path: file } = await volumeOf(session, wanted);
          const { id } = await session.machine(machine);
          const params = { path: file, machine: id };
          if (verb === 'attach')
            session.print(await session.client.call('storage.attach', params), ({ drive, waits }) =>
              waits ? `${drive}, from the next start of ${machine} on: it is on now` : drive,
            );
          else
            session.print(await session.client.call('storage.detach', params), ({ waits }) =>
              waits ? `${machine} is on and has it until it is turned off` : '',
            );
        }),
      );
  volume
    .command('delete <volume>')
    .description('to the trash; refused while anything uses it')
    .option('--dry-run', 'only tell what would go, and what keeps it from being done')
    .action((wanted: string, options: { dryRun?: boolean }) =>
      run(true, async (session) => {
        const { path: file, name } = await volumeOf(session, wanted);
        if (options.dryRun) {
          session.print(await session.client.call('storage.planDelete', { path: file }), ({ bytes, refusal }) =>
            refusal
              ? `! Not now: ${refusal.message}. ${refusal.fix ?? ''}`.trimEnd()
              : `- ${file} goes to the trash: ${readableBytes(bytes)}`,
          );
          return;
        }
        session.print(
          await session.client.call('storage.delete', { path: file }),
          ({ trashId }) => `${name} is in the trash: hypervue trash restore ${trashId}`,
        );
      }),
    );
  addVolumeTransfers(volume, run);
  for (const command of volume.commands) command.exitOverride().option('--json', 'as JSON');
}

/** Entries that one call removes. */
const MOST_AT_ONCE = 1000;

/** What deleting these for good takes along. */
const removal = (items: readonly TrashItem[]) => ({ items, bytes: items.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) });

const removalText = ({ items, bytes }: ReturnType<typeof removal>): string =>
  items.length
    ? [
        ...items.map(({ name, kind, sizeBytes }) => `- ${name} (${kind}) is deleted for good: ${readableBytes(sizeBytes)}`),
        `${readableBytes(bytes)} become free.`,
      ].join('\n')
    : 'The trash is empty.';

function addTrash(program: Command, run: RunSession): void {
  const trash = program.command('trash').description('deleted machines and volumes');
  const list = (items: TrashItem[]) =>
    items.length
      ? table(
          ['ID', 'NAME', 'KIND', 'DELETED', 'SIZE', 'FROM'],
          items.map((item) => [item.id, item.name, item.kind, item.deletedAt, readableBytes(item.sizeBytes), item.from]),
        )
      : 'The trash is empty.';
  trash
    .command('list')
    .description('what was deleted, when and from where')
    .action(() =>
      run(true, async (session) => {
        session.print(await session.client.call('trash.list', {}), list);
      }),
    );
  trash
    .command('restore <id>')
    .description('bring it back')
    .action((id: string) =>
      run(true, async (session) => {
        session.print(await session.client.call('trash.restore', { id }), (made) => made.path);
      }),
    );
  trash
    .command('remove <ids...>')
    .description('delete for good')
    .option('--dry-run', 'only tell what would be deleted, and how much room that gives')
    .action((ids: string[], options: { dryRun?: boolean }) =>
      run(true, async (session) => {
        if (!options.dryRun) {
          session.print(await session.client.call('trash.remove', { ids }), () => '');
          return;
        }
        const items = await session.client.call('trash.list', {});
        const gone = ids.find((id) => !items.some((item) => item.id === id));
        if (gone !== undefined)
          throw new HypervueError('not-found', `nothing in the trash is called ${gone}`, { object: gone }, 'See hypervue trash list.');
        session.print(removal(items.filter(({ id }) => ids.includes(id))), removalText);
      }),
    );
  trash
    .command('empty')
    .description('delete everything in it for good')
    .option('--dry-run', 'only tell what would be deleted, and how much room that gives')
    .action((options: { dryRun?: boolean }) =>
      run(true, async (session) => {
        const items = await session.client.call('trash.list', {});
        if (options.dryRun) {
          session.print(removal(items), removalText);
          return;
        }
        for (let at = 0; at < items.length; at += MOST_AT_ONCE)
          await session.client.call('trash.remove', { ids: items.slice(at, at + MOST_AT_ONCE).map(({ id }) => id) });
        const { bytes } = removal(items);
        session.print({ removed: items.length, bytes }, () => `${items.length} deleted for good, ${readableBytes(bytes)} free again`);
      }),
    );
  for (const command of trash.commands) command.exitOverride().option('--json', 'as JSON');
}

function addMachines(program: Command, run: RunSession): void {
  program
    .command('clone <machine> <name>')
    .description('a machine like one that is off; of a template, a machine made from it')
    .option('--linked', 'disks that keep only what differs from those of the original')
    .addOption(secretOption())
    .action((machine: string, name: string, options: { linked?: boolean; passphraseFile?: string }) =>
      run(true, async (session) => {
        const { id } = await session.machine(machine);
        session.print(
          await session.client.call('vm.clone', { id, name, linked: options.linked ?? false, ...secret(options) }),
          (vm) => `${vm.name}: ${vm.folder}`,
        );
      }),
    );
  program
    .command('template <machine>')
    .description('mark a machine as a template, which never starts')
    .option('--off', 'make it a machine again')
    .action((machine: string, options: { off?: boolean }) =>
      run(true, async (session) => {
        const { id } = await session.machine(machine);
        session.print(
          await session.client.call('vm.setTemplate', { id, template: !options.off }),
          (vm) => `${vm.name}: ${vm.config?.template ? 'template' : 'machine'}`,
        );
      }),
    );
  const notes = (lines: readonly string[]) => lines.map((line) => `\n${line}`).join('');
  program
    .command('export <machine> <to>')
    .description('copy a machine that is off, with every disk it needs, into a new folder there, or into an OVA file; never overwrites')
    .addOption(secretOption())
    .action((machine: string, to: string, options: { passphraseFile?: string }) =>
      run(true, async (session) => {
        const { id } = await session.machine(machine);
        const place = path.resolve(to);
        if (/\.ova$/i.test(to))
          session.print(
            await session.client.call('vm.exportOva', { id, file: place, ...secret(options) }),
            (made) => `${made.file}${notes(made.notes)}`,
          );
        else session.print(await session.client.call('vm.export', { id, folder: place }), (made) => `${made.folder}${notes(made.notes)}`);
      }),
    );
  program
    .command('import <from>')
    .description("a new machine from a machine's folder, an OVA file, or an OVF descriptor with its files beside it")
    .addOption(new Option('--move', 'move the folder instead of copying it').conflicts('copyDisks'))
    .option('--copy-disks', 'copy disks that lie outside the folder too; without it the new machine has the very same ones')
    .action((from: string, options: { move?: boolean; copyDisks?: boolean }) =>
      run(true, async (session) => {
        const place = path.resolve(from);
        const how = options.move ? 'move' : options.copyDisks ? 'copyDisks' : 'copy';
        const result = /\.ov[af]$/i.test(from)
          ? await session.client.call('vm.importOva', { file: place })
          : await session.client.call('vm.import', { folder: place, how });
        session.print(result, ({ machine, notes: lines }) => `${machine.name}: ${machine.folder}${notes(lines)}`);
      }),
    );
}

/** Pools, volumes, the trash, and copies of whole machines. */
export function addStorageVerbs(program: Command, run: RunSession): void {
  addMachines(program, run);
  addPools(program, run);
  addVolumes(program, run);
  addTrash(program, run);
}
