import { type Command, InvalidArgumentError } from 'commander';
import { appFolders } from '../platform/folders.ts';
import { appVersion } from '../server/appversion.ts';
import type { TlsFiles } from '../server/tls.ts';
import { HypervueError } from '../util/errors.ts';
import { createLogger } from '../util/logger.ts';
import { EXIT_ERROR, EXIT_OK, reportError } from './output.ts';

const DEFAULT_PORT = 6880;

interface ServeFlags {
  host: string;
  port?: number;
  tls?: boolean;
  tlsCert?: string;
  tlsKey?: string;
  name: string[];
  saveOnStop?: boolean;
  autostart: boolean;
}

const NAME = /^(\*\.)?[a-z0-9_]([a-z0-9_.-]{0,252})$/;

function collect(value: string, before: string[]): string[] {
  const name = value.toLowerCase();
  if (!NAME.test(name)) throw new InvalidArgumentError('must be a host name, without scheme and port');
  return [...before, name];
}

function tlsOf({ tls, tlsCert, tlsKey }: ServeFlags): TlsFiles | 'self-signed' | undefined {
  if (tlsCert !== undefined && tlsKey !== undefined) return { certFile: tlsCert, keyFile: tlsKey };
  if (tlsCert !== undefined || tlsKey !== undefined)
    throw new HypervueError(
      'invalid-argument',
      `--tls-${tlsCert === undefined ? 'key' : 'cert'} was given alone`,
      { operation: 'serve' },
      'Give both --tls-cert and --tls-key, or --tls alone for a certificate of our own making.',
    );
  return tls ? 'self-signed' : undefined;
}

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
    .option('--tls', 'encrypt with a certificate of our own making; its fingerprint is printed')
    .option('--tls-cert <file>', 'encrypt with this certificate (PEM, the server’s first); read again when it changes')
    .option('--tls-key <file>', 'its private key (PEM, without a passphrase)')
    .option('--name <host>', 'a name that people reach this server by, such as a proxy’s; may be given several times', collect, [])
    .option('--save-on-stop', 'save the state of running machines when this is stopped, instead of turning them off')
    .option('--no-autostart', 'leave machines off that start by themselves')
    .action(async (options: ServeFlags) => {
      const log = createLogger((level, scope, message) => {
        if (level !== 'debug') process.stderr.write(`[${level}] ${scope ? `${scope}: ` : ''}${message}\n`);
      });
      // Only here: every other command starts quicker without the manager.
      const [{ exposureWarning }, { serve }] = await Promise.all([import('../server/headlessserver.ts'), import('../server/serve.ts')]);
      try {
        const tls = tlsOf(options);
        const start = (number: number) =>
          serve({
            folders: appFolders(),
            host: options.host,
            port: number,
            tls,
            names: options.name,
            autostart: options.autostart,
            onGone: () => process.exit(EXIT_ERROR),
            log,
            entry,
            version: appVersion(entry),
          });
        const running = await start(options.port ?? DEFAULT_PORT).catch((error) => {
          // Only a port of the user's own choice is worth failing for.
          if (options.port === undefined && error?.kind === 'in-use' && error.context?.operation === 'listen') return start(0);
          throw error;
        });
        const warning = tls ? undefined : exposureWarning(options.host);
        if (warning) log.warn(warning);
        const certificate = running.fingerprint ? `The certificate’s fingerprint (SHA-256) is\n\n  ${running.fingerprint}\n\n` : '';
        process.stdout.write(
          `Hypervue is running. Open this link, which holds the access token:\n\n  ${running.link}\n\n${certificate}Ctrl+C stops it.\n`,
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
