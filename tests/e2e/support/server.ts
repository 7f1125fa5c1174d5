import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
/** HYPERVUE_CLI runs another copy of the built program, for example an installed one. */
const cli = process.env.HYPERVUE_CLI ?? path.join(root, 'out/main/cli.js');

/** A real headless server in a process of its own, on a library of its own. */
export interface TestServer {
  /** Without token and hash. */
  url: string;
  token: string;
  /** HYPERVUE_HOME. */
  home: string;
  library: string;
  process: ChildProcess;
  /** Everything it printed so far. */
  output(): string;
  /** Runs the CLI against it; rejects with its standard error when it fails. */
  cli(...args: string[]): Promise<string>;
  /** Stops it as Ctrl+C does and removes its library. */
  stop(): Promise<void>;
}

const env = (home: string) => ({ ...process.env, HYPERVUE_HOME: home, XDG_RUNTIME_DIR: path.join(home, 'xdg') });

function runCli(home: string, args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, ...args], { env: env(home), stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.on('data', (data) => (out += data));
    child.stderr.on('data', (data) => (err += data));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(out);
      else reject(new Error(`hypervue ${args.join(' ')} ended with code ${code}: ${err}`));
    });
  });
}

/** `home` starts it on a library that exists already; `stop` then leaves it. `flags` are more options of `hypervue serve`, `inside` gives a command line that runs another one elsewhere. */
export async function startServer(
  home?: string,
  flags: string[] = [],
  inside: (...words: string[]) => [string, string[]] = (file, ...args) => [file!, args],
): Promise<TestServer> {
  if (!existsSync(cli)) throw new Error('the app is not built: run `node scripts/build.mjs`');
  const folder = home ?? mkdtempSync(path.join(tmpdir(), 'hypervue-e2e-'));
  // The first-run page has a test of its own; all others begin behind it.
  mkdirSync(folder, { recursive: true });
  const settings = path.join(folder, 'settings.json');
  if (!existsSync(settings)) writeFileSync(settings, '{"welcomed":true}');
  const [file, args] = inside(process.execPath, cli, 'serve', '--port', '0', ...flags);
  const child = spawn(file, args, { env: env(folder), stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const link = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the server printed no link within a minute: ${output}`)), 60_000);
    const take = (data: Buffer) => {
      output += data.toString();
      const found = /https?:\/\/\S+#token=[\w-]+/.exec(output);
      if (found) {
        clearTimeout(timer);
        resolve(found[0]);
      }
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('exit', (code) => reject(new Error(`the server ended with code ${code}: ${output}`)));
  });
  const [url, token] = link.split('#token=') as [string, string];
  return {
    url,
    token,
    home: folder,
    library: path.join(folder, 'machines'),
    process: child,
    output: () => output,
    cli: (...args) => runCli(folder, args),
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGINT');
        const cut = setTimeout(() => child.kill('SIGKILL'), 20_000);
        await ended;
        clearTimeout(cut);
      }
      if (home === undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}
