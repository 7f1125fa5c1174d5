import { Command, CommanderError } from 'commander';
import { appVersion } from '../server/openmanager.ts';
import { addConsoleCommand } from './console.ts';
import { addCreateCommand } from './create.ts';
import { EXIT_OK, EXIT_USAGE } from './output.ts';
import { addRunCommand } from './run.ts';
import { addServeCommand } from './serve.ts';
import { sessionRunner } from './session.ts';
import { addVerbs } from './verbs.ts';

/** The `hypervue` command. */
const entry = import.meta.url;
const program = new Command('hypervue')
  .description('Virtual machines with a hypervisor of their own.')
  .version(appVersion(entry))
  .option('--json', 'results as JSON on standard output, errors as JSON on standard error')
  .option('--home <folder>', 'library, settings and runtime files below this folder (or set HYPERVUE_HOME)')
  .showHelpAfterError('See `hypervue help <command>`.')
  .enablePositionalOptions(false)
  .exitOverride()
  .hook('preAction', (_program, action) => {
    const home = action.optsWithGlobals<{ home?: string }>().home;
    if (home !== undefined) process.env.HYPERVUE_HOME = home;
  });
const run = sessionRunner(program, entry);
addServeCommand(program, entry);
addVerbs(program, run);
addCreateCommand(program, run);
addConsoleCommand(program, run);
addRunCommand(program);
// `--json` may stand before or after the verb.
for (const command of program.commands) {
  command.exitOverride();
  if (!['serve', 'run', 'events'].includes(command.name())) command.option('--json', 'as JSON');
}

try {
  await program.parseAsync(process.argv);
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exit(error.exitCode === EXIT_OK ? EXIT_OK : EXIT_USAGE);
}
