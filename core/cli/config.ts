import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Command } from 'commander';
import { checkConfigText } from '../contract/configtext.ts';
import type { Explanation } from '../contract/hardware.ts';
import type { VmSummary } from '../contract/vm.ts';
import { HypervueError } from '../util/errors.ts';
import { EXIT_ERROR, table } from './output.ts';
import type { RunSession, Session } from './session.ts';

const wrong = (message: string, fix: string) => new HypervueError('invalid-argument', message, { operation: 'config' }, fix);

/** Adds `hypervue config` and `hypervue explain`. */
export function addConfigCommands(program: Command, run: RunSession): void {
  const config = program.command('config').description('the configuration of a machine (vm.json)');
  const subcommand = (usage: string, description: string) => config.command(usage).description(description).option('--json', 'as JSON');
  subcommand('show <machine>', 'print it')
    .option('--backup <name>', 'a former one, see `config backups`')
    .action((machine: string, { backup }: { backup?: string }) =>
      run(true, async (session) => {
        const { id } = await session.machine(machine);
        session.print(await session.client.call('vm.configText', { id, ...(backup === undefined ? {} : { backup }) }), ({ text }) => text);
        return undefined;
      }),
    );
  subcommand('backups <machine>', 'list the former ones that are kept').action((machine: string) =>
    run(true, async (session) => {
      const { id } = await session.machine(machine);
      const { backups } = await session.client.call('vm.configText', { id });
      session.print(backups, (list) =>
        list.length
          ? table(
              ['name', 'replaced at'],
              list.map(({ name, at }) => [name, at]),
            )
          : 'none',
      );
      return undefined;
    }),
  );
  subcommand(
    'set <machine> [field] [value]',
    'change one field, for example `set Debian memoryMiB 512`; a machine that is on takes it at its next start',
  )
    .option('--file <file>', 'take the whole configuration from a file; - for standard input')
    .action((machine: string, field: string | undefined, value: string | undefined, { file }: { file?: string }) =>
      run(true, async (session) => {
        if ((file === undefined) === (field === undefined || value === undefined))
          throw wrong(
            'name a field and its value, or a file',
            'For example `hypervue config set Debian boot.menu true`, or --file vm.json.',
          );
        const vm = await session.machine(machine);
        const { text } = await session.client.call('vm.configText', { id: vm.id });
        const next = file === undefined ? withField(text, field!, value!) : readFileSync(file === '-' ? 0 : file, 'utf8');
        await store(session, vm, next, text);
        return undefined;
      }),
    );
  subcommand('edit <machine>', 'open it in $VISUAL or $EDITOR').action((machine: string) =>
    run(true, async (session) => edit(session, await session.machine(machine))),
  );
  subcommand('revert <machine>', 'take back what waits for the next start of a machine that is on').action((machine: string) =>
    run(false, async (session) => {
      const { id } = await session.machine(machine);
      session.print(await session.client.call('vm.revertPending', { id }), ({ name }) => `${name}: as it runs`);
      return undefined;
    }),
  );

  program
    .command('explain <machine>')
    .description('the machine in the terms of QEMU’s command line')
    .option('--now', 'as it runs, without what waits for its next start')
    .action((machine: string, { now }: { now?: boolean }) =>
      run(true, async (session) => {
        const { id } = await session.machine(machine);
        session.print(await session.client.call('vm.explain', { id, now: now ?? false }), explanationText);
        return undefined;
      }),
    );
}

function explanationText({ command, options, remarks }: Explanation): string {
  const notes = options.map(({ words, note }) => `#   ${words[0]}: ${note}`);
  return [
    command,
    '',
    '# What it stands for:',
    ...notes,
    '',
    '# Where QEMU’s machine is another one:',
    ...remarks.map((remark) => `#   ${remark}`),
  ].join('\n');
}

async function store(session: Session, vm: VmSummary, text: string, before: string): Promise<void> {
  const done = await session.client.call('vm.setConfigText', { id: vm.id, text, before });
  session.print(done, ({ machine, keptAs }) =>
    [
      `${machine.name}: changed${machine.runsWith ? '; its hardware changes at its next start' : ''}`,
      `The former configuration is kept as ${keptAs}.`,
    ].join('\n'),
  );
}

/** Sets a value by its path (`boot.menu`, `drives.0.readOnly`): JSON where it is such, else text. */
function withField(text: string, field: string, value: string): string {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch {
    throw wrong('the configuration is no JSON', 'Mend it with `hypervue config edit`.');
  }
  const names = field.split('.');
  const last = names.pop()!;
  let holder = config;
  for (const name of names) {
    const below: unknown =
      typeof holder === 'object' && holder !== null && Object.hasOwn(holder, name) ? (holder as Record<string, unknown>)[name] : undefined;
    if (typeof below !== 'object' || below === null) throw wrong(`there is no ${field}`, 'See `hypervue config show`.');
    holder = below;
  }
  let parsed: unknown = value;
  try {
    parsed = JSON.parse(value);
  } catch {
    // Text.
  }
  // Never the prototype, whatever the name is.
  Object.defineProperty(holder as object, last, { value: parsed, enumerable: true, configurable: true, writable: true });
  return `${JSON.stringify(config, null, 2)}\n`;
}

/** Edits a copy; one that can't be used stays where it is, so that no typing is lost. */
async function edit(session: Session, vm: VmSummary): Promise<number | undefined> {
  const editor = process.env.VISUAL || process.env.EDITOR;
  if (!editor) throw wrong('no editor is known', 'Set VISUAL or EDITOR, or use `hypervue config show` and `config set --file`.');
  const { text } = await session.client.call('vm.configText', { id: vm.id });
  const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-config-'));
  const file = path.join(folder, 'vm.json');
  writeFileSync(file, text, { mode: 0o600 });
  // As a shell does it: the variable may hold options.
  const { status, error } =
    process.platform === 'win32'
      ? spawnSync(`${editor} "${file}"`, { shell: true, stdio: 'inherit' })
      : spawnSync('sh', ['-c', `${editor} "$1"`, 'hypervue', file], { stdio: 'inherit' });
  if (error || status !== 0) {
    rmSync(folder, { recursive: true, force: true });
    throw wrong(`the editor ${editor} ended with ${error ? error.message : `code ${status}`}`, 'Nothing was changed.');
  }
  const edited = readFileSync(file, 'utf8');
  if (edited === text) {
    rmSync(folder, { recursive: true, force: true });
    process.stderr.write('Nothing was changed.\n');
    return undefined;
  }
  const { problems } = checkConfigText(edited, vm.config?.id);
  for (const { line, column, field, message } of problems)
    process.stderr.write(`${file}:${line}:${column}: ${field ? `${field}: ` : ''}${message}\n`);
  if (problems.length) {
    process.stderr.write(`Nothing was changed. What you typed is in ${file}; correct it there and use \`hypervue config set --file\`.\n`);
    return EXIT_ERROR;
  }
  try {
    await store(session, vm, edited, text);
  } catch (failure) {
    process.stderr.write(`What you typed is in ${file}.\n`);
    throw failure;
  }
  rmSync(folder, { recursive: true, force: true });
  return undefined;
}
