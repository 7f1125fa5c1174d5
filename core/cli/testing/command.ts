import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

const main = fileURLToPath(new URL('../main.ts', import.meta.url));

export interface CommandResult {
  code: number | null;
  out: string;
  err: string;
}

/** The `hypervue` command as processes of their own, with a library of this test file; its machines are the fake VM process. */
export function testCommand() {
  const home = mkdtempSync(path.join(tmpdir(), 'hv-cli-'));
  const env = { ...process.env, HYPERVUE_HOME: home, XDG_RUNTIME_DIR: path.join(home, 'xdg'), HYPERVUE_FAKE_VM: '1' };
  const servers: ChildProcess[] = [];
  afterAll(() => {
    for (const server of servers) server.kill('SIGKILL');
    rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  });

  const run = (...args: string[]): Promise<CommandResult> =>
    new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [main, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
      let [out, err] = ['', ''];
      child.stdout.on('data', (data) => (out += data));
      child.stderr.on('data', (data) => (err += data));
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, out, err }));
    });

  /** `hypervue serve` for the commands that follow: resolves with its process when it listens. Killed after the tests. */
  async function serve(): Promise<ChildProcess> {
    const server = spawn(process.execPath, [main, 'serve', '--port', '0'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    servers.push(server);
    let out = '';
    await new Promise<void>((resolve, reject) => {
      server.stdout.on('data', (data) => {
        out += data;
        if (/#token=[\w-]+/.test(out)) resolve();
      });
      server.on('exit', (code) => reject(new Error(`the server ended with ${code}`)));
    });
    return server;
  }

  /** What it printed as JSON. Rejects when it fails. */
  async function json<T = { id: string; name: string; state: string }>(...args: string[]): Promise<T> {
    const { code, out, err } = await run(...args, '--json');
    if (code !== 0) throw new Error(`${args.join(' ')}: code ${code}, ${err}`);
    return JSON.parse(out) as T;
  }

  return { main, home, env, run, json, serve };
}
