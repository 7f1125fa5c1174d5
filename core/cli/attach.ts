import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { appFolders } from '../platform/folders.ts';
import { fileError } from '../platform/nodefile.ts';
import { HypervueError } from '../util/errors.ts';
import { EXIT_ERROR, reportError } from './output.ts';

/** The system's way to open a link of the app. */
const OPENERS: Partial<Record<NodeJS.Platform, string[]>> = {
  darwin: ['open'],
  win32: ['cmd', '/c', 'start', ''],
  linux: ['xdg-open'],
};

function callApp(): Promise<boolean> {
  const [command, ...args] = OPENERS[process.platform] ?? [];
  if (!command) return Promise.resolve(false);
  return new Promise((resolve) => {
    const child = spawn(command, [...args, 'hypervue://attach'], { stdio: 'ignore', timeout: 10_000 });
    child.on('error', () => resolve(false));
    child.on('exit', (code) => resolve(code === 0));
  });
}

function tokenFrom(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8').trim();
  } catch (error) {
    throw fileError(error, file, 'read');
  }
}

/** A fingerprint that somebody confirms: the given one, or the one shown, after a look. */
async function confirmed(shown: string, given: string | undefined, host: string): Promise<string> {
  const plain = (text: string) => text.replace(/[^0-9a-f]/gi, '').toUpperCase();
  if (given !== undefined) {
    if (plain(given) === plain(shown)) return shown;
    throw new HypervueError(
      'permission-denied',
      `the certificate of ${host} has another fingerprint: ${shown}`,
      { object: host, operation: 'attach' },
      'Compare it with the one that the server prints when it starts.',
    );
  }
  process.stderr.write(`Nobody vouches for the certificate of ${host}. Its fingerprint (SHA-256) is\n\n  ${shown}\n\n`);
  if (!process.stdin.isTTY)
    throw new HypervueError('invalid-argument', 'the fingerprint has to be confirmed', { object: host }, `Give it with --fingerprint.`);
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await lines.question('Is it the one that the server printed? [y/N] ');
  lines.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new HypervueError('cancelled', 'the server was not attached', { object: host });
  return shown;
}

/** Adds `hypervue attach`: hands a remote server to the desktop app, which keeps its token in the system's key store. */
export function addAttachCommand(program: Command): void {
  program
    .command('attach <url>')
    .description('show a remote server beside the local library in the desktop app; the printed link works too')
    .option('--token-file <file>', 'read the access token from a file, or from standard input (-)')
    .option('--fingerprint <sha256>', 'the certificate’s fingerprint, as the server printed it')
    .option('--name <name>', 'what to call it')
    .action(async (address: string, options: { tokenFile?: string; fingerprint?: string; name?: string }) => {
      try {
        const [{ parseServer, signIn }, { probeCertificate }, { leavePending }] = await Promise.all([
          import('../server/remote/client.ts'),
          import('../server/pinned.ts'),
          import('../server/remote/pending.ts'),
        ]);
        const { url, token: linked } = parseServer(address);
        const token = options.tokenFile === undefined ? linked : tokenFrom(options.tokenFile);
        // A link that was cut off on its way, or took a character more along.
        if (!token && address.includes('token='))
          throw new HypervueError(
            'invalid-argument',
            'the token in the link is not whole',
            { object: url },
            'Copy the whole link as `hypervue serve` prints it (in quotation marks), or use --token-file.',
          );
        if (!token)
          throw new HypervueError(
            'invalid-argument',
            'there is no access token',
            { object: url },
            'Give the link with #token=…, or --token-file.',
          );
        const { host, protocol } = new URL(url);
        const certificate = protocol === 'https:' ? await probeCertificate(new URL(url)) : null;
        const fingerprint =
          certificate && !certificate.trusted ? await confirmed(certificate.fingerprint, options.fingerprint, host) : null;
        // What does not work now would not work in the app either.
        (await signIn({ url, token, fingerprint })).close();
        await leavePending(appFolders().config, { url, token, fingerprint, name: options.name ?? '' });
        const called = await callApp();
        process.stdout.write(
          called ? `${host} is handed to the desktop app.\n` : `${host} is ready for the desktop app, which takes it in when it starts.\n`,
        );
      } catch (error) {
        reportError(error, false);
        process.exitCode = EXIT_ERROR;
      }
    });
}
