import { type Command, InvalidArgumentError } from 'commander';
import { type Settings, settingsPatchSchema } from '../contract/host.ts';
import { HypervueError } from '../util/errors.ts';
import { table } from './output.ts';
import type { RunSession } from './session.ts';

const names = Object.keys(settingsPatchSchema.shape) as (keyof Settings)[];

function settingName(text: string): keyof Settings {
  const name = names.find((each) => each.toLowerCase() === text.toLowerCase());
  if (name) return name;
  throw new InvalidArgumentError(`there is no setting ${text}; \`hypervue settings list\` shows all`);
}

/** The value as the setting has it: on and off for what is true or false, numbers, else text. Throws 'invalid-argument' saying what it can be. */
function patchOf(name: keyof Settings, text: string): Partial<Settings> {
  const words: Record<string, unknown> = { on: true, off: false, true: true, false: false };
  const field = settingsPatchSchema.shape[name];
  for (const value of [text, words[text], text.trim() === '' ? undefined : Number(text)]) {
    if (value === undefined) continue;
    const parsed = field.safeParse(value);
    if (parsed.success) return { [name]: parsed.data };
  }
  const { error } = field.safeParse(words[text] ?? text);
  throw new HypervueError(
    'invalid-argument',
    `${name} can't be "${text}": ${error?.issues[0]?.message ?? 'no such value'}`,
    { field: name },
    'True or false is said as on or off; `hypervue settings list` shows what is set.',
  );
}

const shown = (value: unknown): string => (typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value));

/** `hypervue settings …`: the settings that the window has, also those that concern the command line, as automaticSnapshots. */
export function addSettingsCommand(program: Command, run: RunSession): void {
  const group = program.command('settings').description('settings of this library, as in the window');
  group
    .command('list')
    .description('all of them')
    .option('--json', 'as JSON')
    .action(() =>
      run(true, async (session) => {
        session.print(await session.client.call('settings.get', {}), (settings) =>
          table(
            ['SETTING', 'VALUE'],
            names.map((name) => [name, shown(settings[name])]),
          ),
        );
      }),
    );
  group
    .command('get')
    .argument('<setting>', 'its name', settingName)
    .description('one of them')
    .option('--json', 'as JSON')
    .action((name: keyof Settings) =>
      run(true, async (session) => {
        session.print((await session.client.call('settings.get', {}))[name], shown);
      }),
    );
  group
    .command('set')
    .argument('<setting>', 'its name', settingName)
    .argument('<value>', 'on, off, a number or text')
    .description('change one, for example `set automaticSnapshots on`: a snapshot is taken before risky changes')
    .option('--json', 'as JSON')
    .action((name: keyof Settings, text: string) =>
      run(true, async (session) => {
        const now = await session.client.call('settings.set', patchOf(name, text));
        session.print(now, (settings) => `${name}: ${shown(settings[name])}`);
      }),
    );
}
