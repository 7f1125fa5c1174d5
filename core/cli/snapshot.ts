import { type Command, Option } from 'commander';
import type { PlanStep, Snapshot } from '../contract/snapshots.ts';
import { HypervueError } from '../util/errors.ts';
import { readableBytes } from '../util/bytes.ts';
import { readPassphrase } from './passphrase.ts';
import type { RunSession, Session } from './session.ts';

/** The snapshot of this id or name. */
async function find(session: Session, id: string, wanted: string): Promise<Snapshot> {
  const { snapshots } = await session.client.call('snapshot.list', { id });
  const found = snapshots.filter((snapshot) => snapshot.id === wanted || snapshot.name === wanted);
  if (found.length === 1) return found[0]!;
  if (found.length > 1)
    throw new HypervueError(
      'invalid-argument',
      `${found.length} snapshots are named ${wanted}`,
      { object: wanted },
      `Use an id: ${found.map((snapshot) => snapshot.id).join(', ')}`,
    );
  throw new HypervueError(
    'not-found',
    `there is no snapshot named ${wanted}`,
    { object: wanted },
    'See `hypervue snapshot list <machine>`.',
  );
}

/** The tree as text, each below the one it was taken after. */
function tree(snapshots: readonly Snapshot[], current: string | null): string {
  const lines: string[] = [];
  const walk = (parent: string | null, depth: number) => {
    for (const snapshot of snapshots) {
      if (snapshot.parent !== parent) continue;
      const facts = [snapshot.kind === 'memory' ? `memory ${readableBytes(snapshot.memoryBytes)}` : 'disks', snapshot.createdAt];
      if (snapshot.pauseMs !== null) facts.push(`stood ${snapshot.pauseMs} ms`);
      lines.push(`${'  '.repeat(depth)}${snapshot.id === current ? '* ' : '  '}${snapshot.name}  ${snapshot.id}  ${facts.join(', ')}`);
      walk(snapshot.id, depth + 1);
    }
  };
  walk(null, 0);
  return lines.join('\n');
}

const planText = (steps: readonly PlanStep[]) => steps.map(({ text, destructive }) => `${destructive ? '!' : '-'} ${text}`).join('\n');
const dryRun = () => new Option('--dry-run', 'only tell what would happen');

export function addSnapshotCommand(program: Command, run: RunSession): void {
  const group = program.command('snapshot').description('snapshots of whole machines: memory, devices and disks of one moment');
  const verb = (usage: string, description: string) => group.command(usage).description(description).option('--json', 'as JSON');

  verb('list <machine>', 'snapshots as a tree; * is the one the machine went on from').action((machine: string) =>
    run(true, async (session) => {
      const { id } = await session.machine(machine);
      session.print(await session.client.call('snapshot.list', { id }), ({ snapshots, current }) =>
        snapshots.length ? tree(snapshots, current) : 'There are no snapshots. Take one with `hypervue snapshot take`.',
      );
    }),
  );
  verb('take <machine> <name>', 'take one, while the machine runs or is off')
    .option('--disks-only', 'without the memory of a machine that is on')
    .option('--description <text>', 'what it is for')
    .addOption(dryRun())
    .action((machine: string, name: string, options: { disksOnly?: boolean; description?: string; dryRun?: boolean }) =>
      run(true, async (session) => {
        const { id } = await session.machine(machine);
        if (options.dryRun) {
          const steps = await session.client.call('snapshot.planTake', { id, memory: !options.disksOnly });
          session.print(steps, (all) => (all.length ? planText(all) : '- A snapshot of its disks'));
          return;
        }
        const taken = await session.client.call('snapshot.take', {
          id,
          name,
          memory: !options.disksOnly,
          description: options.description ?? '',
        });
        session.print(taken, (one) => `${one.id}: ${one.name}${one.pauseMs === null ? '' : `, the guest stood for ${one.pauseMs} ms`}`);
      }),
    );
  verb('revert <machine> <snapshot>', 'make the machine what it was then, also while it runs')
    .option('--keep <name>', 'take a snapshot of the present first')
    .option('--passphrase-file <file>', 'its first line opens encrypted disks, where the machine has to start for this')
    .addOption(dryRun())
    .action((machine: string, wanted: string, options: { keep?: string; dryRun?: boolean; passphraseFile?: string }) =>
      run(options.dryRun === true, async (session) => {
        const vm = await session.machine(machine);
        const snapshot = (await find(session, vm.id, wanted)).id;
        if (options.dryRun)
          session.print(
            await session.client.call('snapshot.plan', { id: vm.id, snapshot, operation: 'revert', keep: options.keep !== undefined }),
            planText,
          );
        else
          session.print(
            await session.client.call('snapshot.revert', {
              id: vm.id,
              snapshot,
              keep: options.keep ?? null,
              ...(options.passphraseFile === undefined ? {} : { passphrase: readPassphrase(options.passphraseFile) }),
            }),
            ({ name, state }) => `${name}: ${state}`,
          );
      }),
    );
  verb('delete <machine> <snapshot>', 'delete one; those taken after it stay')
    .addOption(dryRun())
    .action((machine: string, wanted: string, options: { dryRun?: boolean }) =>
      run(true, async (session) => {
        const { id } = await session.machine(machine);
        const found = await find(session, id, wanted);
        if (options.dryRun)
          session.print(await session.client.call('snapshot.plan', { id, snapshot: found.id, operation: 'delete' }), planText);
        else session.print(await session.client.call('snapshot.delete', { id, snapshot: found.id }), () => `${found.name} is deleted`);
      }),
    );
  verb('edit <machine> <snapshot>', 'rename or describe one')
    .option('--name <name>', 'another name')
    .option('--description <text>', 'what it is for')
    .action((machine: string, wanted: string, options: { name?: string; description?: string }) =>
      run(true, async (session) => {
        const { id } = await session.machine(machine);
        const { id: snapshot } = await find(session, id, wanted);
        session.print(await session.client.call('snapshot.update', { id, snapshot, ...options }), ({ name }) => name);
      }),
    );
  verb('clone <machine> <snapshot> <name>', 'a new machine with copies of the disks as they were then')
    .option('--linked', 'with disks on top of them instead: small, and sharing them with other linked clones of the snapshot')
    .option('--passphrase-file <file>', 'its first line opens encrypted disks, and those of the new machine')
    .addOption(dryRun())
    .action((machine: string, wanted: string, name: string, options: { dryRun?: boolean; linked?: boolean; passphraseFile?: string }) =>
      run(true, async (session) => {
        const { id } = await session.machine(machine);
        const { id: snapshot } = await find(session, id, wanted);
        const linked = options.linked === true;
        if (options.dryRun)
          session.print(await session.client.call('snapshot.plan', { id, snapshot, operation: 'clone', linked }), planText);
        else {
          const secret = options.passphraseFile === undefined ? {} : { passphrase: readPassphrase(options.passphraseFile) };
          session.print(
            await session.client.call('snapshot.clone', { id, snapshot, name, linked, ...secret }),
            (vm) => `${vm.name}: ${vm.folder}`,
          );
        }
      }),
    );
}
