import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { tagColors, type TagColor } from '../contract/library.ts';
import { EXIT_OK, table } from './output.ts';
import type { RunSession } from './session.ts';
import { doWithSeveral, refuseNone, type Selection, select, selecting } from './several.ts';

const whole = (value: string) => {
  if (!/^\d{1,6}$/.test(value)) throw new InvalidArgumentError('must be a whole number');
  return Number(value);
};

function addTags(program: Command, run: RunSession): void {
  const tag = program.command('tag').description('words by which machines are found');
  tag
    .command('list')
    .description('tags with their colours and machines')
    .action(() =>
      run(true, async (session) => {
        const { tags } = await session.client.call('library.get', {});
        const machines = await session.client.call('vm.list', {});
        const rows = tags.map(({ name, color }) => ({
          name,
          color,
          machines: machines
            .filter(({ config }) => (config?.tags ?? []).some((each) => each.toLowerCase() === name.toLowerCase()))
            .map((vm) => vm.name),
        }));
        session.print(rows, (all) =>
          all.length
            ? table(
                ['TAG', 'COLOUR', 'MACHINES'],
                all.map((row) => [row.name, row.color, row.machines.join(', ')]),
              )
            : 'There are no tags.',
        );
      }),
    );
  for (const [verb, description, done] of [
    ['add', 'give machines a tag', 'tagged'],
    ['remove', 'take a tag off machines', 'no longer tagged'],
  ] as const) {
    const command = selecting(tag.command(`${verb} <name> [machines...]`).description(description));
    command.action((name: string, machines: string[], options: Selection) => {
      refuseNone(command, machines, options);
      return run(true, async (session) => {
        const [add, remove] = verb === 'add' ? [[name], []] : [[], [name]];
        return doWithSeveral(session, await select(session, machines, options), { type: 'tags', add, remove }, done);
      });
    });
  }
  tag
    .command('color <name> <color>')
    .description(`give a tag a colour: ${tagColors.join(', ')}`)
    .action((name: string, color: string) =>
      run(true, async (session) => {
        session.print(await session.client.call('library.setTag', { name, color: color as TagColor }), () => `${name}: ${color}`);
      }),
    );
  tag
    .command('rename <name> <new>')
    .description('give a tag another name, on all machines')
    .action((name: string, rename: string) =>
      run(true, async (session) => {
        session.print(await session.client.call('library.setTag', { name, rename }), () => `${name} is ${rename} now`);
      }),
    );
  tag
    .command('delete <name>')
    .description('take a tag off all machines')
    .action((name: string) =>
      run(true, async (session) => {
        session.print(await session.client.call('library.removeTag', { name }), () => `${name} is gone`);
      }),
    );
  finish(tag);
}

function addFolders(program: Command, run: RunSession): void {
  const folder = program
    .command('folder')
    .description('folders that machines are shown in, as servers/web; their files stay where they are');
  folder
    .command('list')
    .description('folders and how many machines are in each')
    .action(() =>
      run(true, async (session) => {
        const { groups } = await session.client.call('library.get', {});
        const machines = await session.client.call('vm.list', {});
        const rows = groups.map((path) => ({
          path,
          machines: machines.filter(({ config }) => config?.group === path).map(({ name }) => name),
        }));
        session.print(rows, (all) =>
          all.length
            ? table(
                ['FOLDER', 'MACHINES'],
                all.map((row) => [row.path, row.machines.join(', ')]),
              )
            : 'There are no folders.',
        );
      }),
    );
  folder
    .command('create <path>')
    .description('make an empty folder')
    .action((path: string) =>
      run(true, async (session) => {
        session.print(await session.client.call('library.addGroup', { path }), () => path);
      }),
    );
  folder
    .command('move <path> <to>')
    .description('rename or move a folder with all that is in it')
    .action((path: string, to: string) =>
      run(true, async (session) => {
        session.print(await session.client.call('library.moveGroup', { path, to }), () => `${path} is ${to} now`);
      }),
    );
  folder
    .command('delete <path>')
    .description('remove a folder; what is in it goes one up')
    .action((path: string) =>
      run(true, async (session) => {
        session.print(await session.client.call('library.removeGroup', { path }), () => `${path} is gone`);
      }),
    );
  const put = selecting(folder.command('put <path> [machines...]').description('put machines into a folder; - is none'));
  put.action((path: string, machines: string[], options: Selection) => {
    refuseNone(put, machines, options);
    return run(true, async (session) => {
      const to = path === '-' ? '' : path;
      return doWithSeveral(
        session,
        await select(session, machines, options),
        { type: 'group', path: to },
        to === '' ? 'in no folder' : `in ${to}`,
      );
    });
  });
  finish(folder);
}

function addAutostart(program: Command, run: RunSession): void {
  const group = program.command('autostart').description('machines that start with the desktop app or `hypervue serve`');
  group
    .command('list')
    .description('the machines in the order in which they start, and those that could not be started')
    .action(() =>
      run(true, async (session) => {
        const { autostartFailures } = await session.client.call('library.get', {});
        const machines = (await session.client.call('vm.list', {}))
          .flatMap(({ id, name, config }) => (config?.autostart ? [{ id, name, ...config.autostart }] : []))
          .sort((a, b) => a.order - b.order || (a.name < b.name ? -1 : 1))
          .map((row) => ({ ...row, failure: autostartFailures.find(({ id }) => id === row.id)?.error.message ?? null }));
        session.print(machines, (all) =>
          all.length
            ? table(
                ['MACHINE', 'ORDER', 'DELAY', 'LAST TIME'],
                all.map((row) => [row.name, String(row.order), `${row.delaySeconds} s`, row.failure ?? '']),
              )
            : 'No machine starts by itself.',
        );
      }),
    );
  const on = selecting(group.command('on [machines...]').description('let machines start by themselves'))
    .addOption(new Option('--order <number>', 'lower ones start first').argParser(whole).default(100))
    .addOption(new Option('--delay <seconds>', 'wait as long after the one before').argParser(whole).default(0));
  on.action((machines: string[], options: Selection & { order: number; delay: number }) => {
    refuseNone(on, machines, options);
    return run(true, async (session) => {
      const autostart = { order: options.order, delaySeconds: options.delay };
      return doWithSeveral(session, await select(session, machines, options), { type: 'autostart', autostart }, 'starts by itself');
    });
  });
  const off = selecting(group.command('off [machines...]').description('start machines only when somebody says so'));
  off.action((machines: string[], options: Selection) => {
    refuseNone(off, machines, options);
    return run(true, async (session) =>
      doWithSeveral(
        session,
        await select(session, machines, options),
        { type: 'autostart', autostart: null },
        'no longer starts by itself',
      ),
    );
  });
  finish(group);
}

/** Tags, folders, notes, names, and what starts by itself. */
export function addOrganizing(program: Command, run: RunSession): void {
  addTags(program, run);
  addFolders(program, run);
  addAutostart(program, run);
  program
    .command('note <machine> [text]')
    .description("print a machine's notes, or write them")
    .option('--file <file>', 'take them from a file; - is standard input')
    .action((machine: string, text: string | undefined, options: { file?: string }) =>
      run(true, async (session) => {
        const vm = await session.machine(machine);
        const description =
          options.file === undefined ? text : options.file === '-' ? await readAll(process.stdin) : await readFile(options.file, 'utf8');
        if (description === undefined) session.print({ notes: vm.config?.description ?? '' }, ({ notes }) => notes);
        else {
          const after = await session.client.call('vm.update', { id: vm.id, patch: { description } });
          session.print({ notes: after.config?.description ?? '' }, () => '');
        }
        return EXIT_OK;
      }),
    );
  program
    .command('rename <machine> <name>')
    .description('give a machine another name')
    .action((machine: string, name: string) =>
      run(true, async (session) => {
        const { id } = await session.machine(machine);
        session.print(await session.client.call('vm.update', { id, patch: { name } }), (vm) => vm.name);
      }),
    );
}

function finish(group: Command): void {
  for (const command of group.commands) command.exitOverride().option('--json', 'as JSON');
}
