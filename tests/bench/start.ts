import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { openContract } from '../e2e/support/contract.ts';
import { type Bench, fixed } from './support/report.ts';

/**
 * From `npm start` to a usable page: the link is printed, the page answers with 200, the contract answers its first call. Everything is built
 * already, so this is what a second start takes. `npm` itself is not in it (some tenths of a second).
 */
const script = fileURLToPath(new URL('../../scripts/start.mjs', import.meta.url));
const LIMIT_MS = 120_000;

async function once(): Promise<{ link: number; page: number; contract: number }> {
  const home = mkdtempSync(path.join(tmpdir(), 'hypervue-bench-'));
  const begun = performance.now();
  const child: ChildProcess = spawn(process.execPath, [script, '--headless', '--port', '0'], {
    env: { ...process.env, HYPERVUE_HOME: home, XDG_RUNTIME_DIR: path.join(home, 'xdg') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  try {
    let output = '';
    const found = await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no link within ${LIMIT_MS / 1000} s: ${output}`)), LIMIT_MS);
      const take = (data: Buffer) => {
        output += data.toString();
        const match = /http:\/\/\S+#token=[\w-]+/.exec(output);
        if (!match) return;
        clearTimeout(timer);
        resolve(match[0]);
      };
      child.stdout!.on('data', take);
      child.stderr!.on('data', take);
      child.once('exit', (code) => reject(new Error(`start ended with code ${code}: ${output}`)));
    });
    const link = performance.now() - begun;
    const [url, token] = found.split('#token=') as [string, string];
    const response = await fetch(url);
    if (response.status !== 200) throw new Error(`the page answers ${response.status}`);
    await response.text();
    const page = performance.now() - begun;
    const contract = await openContract({ url, token });
    await contract.call('vm.list', {});
    const answered = performance.now() - begun;
    contract.end();
    return { link, page, contract: answered };
  } finally {
    if (child.exitCode === null && child.pid !== undefined) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGINT');
      await ended;
    }
    rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

export const start: Bench = async () => {
  // The first brings the build up to date and the files into the cache.
  await once();
  const { link, page, contract } = await once();
  const time = (ms: number) => `${fixed(ms / 1000, 2)} s`;
  return [
    {
      what: 'start: second start to a usable page',
      ours: time(page),
      note: `link printed after ${time(link)}, first contract answer ${time(contract)}`,
    },
  ];
};
