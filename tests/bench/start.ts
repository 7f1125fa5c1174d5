import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { launchBrowser, openWindow } from '../e2e/support/browser.ts';
import { openContract } from '../e2e/support/contract.ts';
import { type Bench, fixed, type Row } from './support/report.ts';

/**
 * From typing `npm start` to a usable page when everything is built already: the link is printed, the page answers with 200, the contract
 * answers its first call, and a browser that was open before shows the empty library.
 */
const root = fileURLToPath(new URL('../..', import.meta.url));
const LIMIT_MS = 120_000;

interface Times {
  link: number;
  page: number;
  contract: number;
  drawn: number;
}

function printedLink(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
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
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`npm start ended with code ${code}: ${output}`)));
  });
}

async function once(browser: Browser): Promise<Times> {
  const home = mkdtempSync(path.join(tmpdir(), 'hypervue-bench-'));
  writeFileSync(path.join(home, 'settings.json'), '{"welcomed":true}');
  const begun = performance.now();
  const child = spawn('npm', ['start', '--', '--headless', '--port', '0'], {
    cwd: root,
    env: { ...process.env, HYPERVUE_HOME: home, XDG_RUNTIME_DIR: path.join(home, 'xdg') },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A process group of its own, so that all of npm, the script and the server can be told to end.
    detached: true,
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const since = () => performance.now() - begun;
  try {
    const found = await printedLink(child);
    const link = since();
    const [url, token] = found.split('#token=') as [string, string];
    const response = await fetch(url);
    if (response.status !== 200) throw new Error(`the page answers ${response.status}`);
    await response.text();
    const page = since();
    const contract = await openContract({ url, token });
    await contract.call('vm.list', {});
    const answered = since();
    contract.end();
    const window = await openWindow(browser, { url, token });
    await window.page.getByTestId('machines-empty').waitFor({ timeout: LIMIT_MS });
    const drawn = since();
    await window.close();
    return { link, page, contract: answered, drawn };
  } finally {
    if (child.pid !== undefined && child.exitCode === null) {
      process.kill(-child.pid, 'SIGINT');
      await ended;
    }
    rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

export const start: Bench = async () => {
  const browser = await launchBrowser();
  try {
    // The first brings the build up to date and the files into the cache.
    await once(browser);
    const times = await once(browser);
    const row = (what: string, ms: number): Row => ({ what: `start: ${what}`, ours: `${fixed(ms / 1000, 2)} s` });
    return [
      row('npm start to the printed link', times.link),
      row('to HTTP 200', times.page),
      row('to the first contract answer', times.contract),
      row('to the library drawn in Chromium', times.drawn),
    ];
  } finally {
    await browser.close();
  }
};
