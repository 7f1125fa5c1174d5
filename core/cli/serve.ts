import { type Command, InvalidArgumentError } from 'commander';
import { appFolders } from '../platform/folders.ts';
import { appVersion } from '../server/appversion.ts';
import { createLogger } from '../util/logger.ts';
import { EXIT_ERROR, EXIT_OK, reportError } from './output.ts';

const DEFAULT_PORT = 6880;

/** Adds `hypervue serve`. `entry` is import.meta.url of the program. */
export function addServeCommand(program: Command, entry: string): void {
  const port = (value: string) => {
    const parsed = Number(value);
    if (!Number.isInteger(parsed) || parsed < 0 || parsed > 65_535)
      throw new InvalidArgumentError('must be a whole number from 0 to 65535');
    return parsed;
  };
  program
    .command('serve')
    .description('run Hypervue without a window and print the link to open in a browser')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <number>', 'TCP port; 0 takes a free one. Without it: 6880, or a free one when that is taken', port)
    .option('--save-on-stop', 'save the state of running machines when this is stopped, instead of turning them off')
    .action(async (options: { host: string; port?: number; saveOnStop?: boolean }) => {
      const log = createLogger((level, scope, message) => {
        if (level !== 'debug') process.stderr.write(`[${level}] ${scope ? `${scope}: ` : ''}${message}\n`);
      });
      // Only here: every other command starts quicker without the manager.
      const [{ exposureWarning }, { serve }] = await Promise.all([import('../server/headlessserver.ts'), import('../server/serve.ts')]);
      const start = (number: number) =>
        serve({ folders: appFolders(), host: options.host, port: number, log, entry, version: appVersion(entry) });
      try {
        const running = await start(options.port ?? DEFAULT_PORT).catch((error) => {
          // Only a port of the user's own choice is worth failing for.
          if (options.port === undefined && error?.kind === 'in-use' && error.context?.operation === 'listen') return start(0);
          throw error;
        });
        const warning = exposureWarning(options.host);
        if (warning) log.warn(warning);
        process.stdout.write(
          `Hypervue is running. Open this link, which holds the access token:\n\n  ${running.link}\n\nCtrl+C stops it.\n`,
        );
        let stopping = false;
        const stop = async () => {
          // A second Ctrl+C does not wait for machines.
          if (stopping) process.exit(EXIT_ERROR);
          stopping = true;
          const names = running.manager.running().map((vm) => vm.name);
          if (names.length && options.saveOnStop) {
            process.stderr.write(`saving ${names.join(', ')}\n`);
            for (const { name, reason } of await running.manager.saveAll())
              process.stderr.write(`${name} could not be saved and is turned off: ${reason}\n`);
          } else if (names.length) process.stderr.write(`turning off ${names.join(', ')}\n`);
          const left = await running.close();
          process.exit(left.length ? EXIT_ERROR : EXIT_OK);
        };
        for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop());
      } catch (error) {
        reportError(error, false);
        process.exit(EXIT_ERROR);
      }
    });
}
