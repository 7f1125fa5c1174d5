import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { appVersion } from '../server/appversion.ts';
import { addConfigCommands } from './config.ts';
import { addConsoleCommand } from './console.ts';
import { addLibraryCommand } from './library.ts';
import { addDebugVerbs } from './debugverbs.ts';
import { addDeviceCommand } from './device.ts';
import { addDiskCommand } from './disk.ts';
import { addDoctorCommand } from './doctor.ts';
import { addCreateCommand } from './create.ts';
import { HypervueError } from '../util/errors.ts';
import { addOrganizing } from './organize.ts';
import { EXIT_ERROR, EXIT_OK, EXIT_USAGE, reportError } from './output.ts';
import { addRunCommand } from './run.ts';
import { addServeCommand } from './serve.ts';
import { addHistoryCommand } from './history.ts';
import { addHostCommand } from './host.ts';
import { addNetworkCommand } from './network.ts';
import { addSettingsCommand } from './settings.ts';
import { addSnapshotCommand } from './snapshot.ts';
import { sessionRunner } from './session.ts';
import { addStorageVerbs } from './storage.ts';
import { addAttachCommand } from './attach.ts';
import { addServiceCommand } from './service.ts';
import { addTokenCommand } from './token.ts';
import { addVerbs } from './verbs.ts';

/** The `hypervue` command. */
const entry = import.meta.url;
// Before anything is parsed, for what can't be: usage errors are JSON as well.
const json = process.argv.includes('--json');
// `hypervue events | head` has seen enough: no failure, and nobody is left to tell.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(EXIT_OK);
});
const program = new Command('hypervue')
  .description('Virtual machines with a hypervisor of their own.')
  .version(appVersion(entry))
  .option('--json', 'results as JSON on standard output, errors as JSON on standard error')
  .option('--home <folder>', 'library, settings and runtime files below this folder (or set HYPERVUE_HOME)')
  .option('--library <folder>', 'folder of the machines, when it is not the usual one (or set HYPERVUE_LIBRARY)')
  .showHelpAfterError('See `hypervue help <command>`.')
  .enablePositionalOptions(false)
  .exitOverride()
  .configureOutput({ writeErr: (text) => void (json || process.stderr.write(text)) })
  .hook('preAction', (_program, action) => {
    const { home, library } = action.optsWithGlobals<{ home?: string; library?: string }>();
    if (home !== undefined) process.env.HYPERVUE_HOME = home;
    if (library !== undefined) process.env.HYPERVUE_LIBRARY = library;
  });
const run = sessionRunner(program, entry);
addServeCommand(program, entry);
addServiceCommand(program, process.argv[1] ?? fileURLToPath(entry));
addVerbs(program, run);
addOrganizing(program, run);
addDoctorCommand(program, run, entry);
addStorageVerbs(program, run);
addSnapshotCommand(program, run);
addSettingsCommand(program, run);
addNetworkCommand(program, run);
addHistoryCommand(program, run);
addHostCommand(program, run);
addLibraryCommand(program, run);
addTokenCommand(program, run);
addAttachCommand(program);
addDebugVerbs(program, run);
addCreateCommand(program, run);
addConsoleCommand(program, run);
addConfigCommands(program, run);
addDeviceCommand(program, run);
addRunCommand(program);
addDiskCommand(program);
// `--json` may stand before or after the verb.
for (const command of program.commands) {
  command.exitOverride();
  if (
    ![
      'serve',
      'run',
      'events',
      'disk',
      'pool',
      'volume',
      'trash',
      'snapshot',
      'settings',
      'network',
      'host',
      'token',
      'config',
      'device',
      'tag',
      'folder',
      'autostart',
      'service',
      'attach',
      'library',
    ].includes(command.name())
  )
    command.option('--json', 'as JSON');
}

try {
  await program.parseAsync(process.argv);
} catch (error) {
  if (error instanceof HypervueError) {
    reportError(error, json);
    process.exit(EXIT_ERROR);
  }
  if (!(error instanceof CommanderError)) throw error;
  if (error.exitCode === EXIT_OK) process.exit(EXIT_OK);
  if (json)
    reportError(
      new HypervueError(
        'invalid-argument',
        error.code === 'commander.help' ? 'no command was given' : error.message.replace(/^error: /, ''),
        { operation: 'parse' },
        'See `hypervue help`.',
      ),
      true,
    );
  process.exit(EXIT_USAGE);
}
