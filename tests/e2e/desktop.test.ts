import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { _electron } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startDesktop } from '../../electron/main/desktop.ts';
import { createStandIn, type StandIn } from '../../electron/testing/standin.ts';
import { AppPage } from './pages/app.ts';
import { eventually, launchBrowser } from './support/browser.ts';

/** The desktop's main process and preload, over a stand-in for the Electron runtime; and over the runtime itself where it is at hand. */
const root = fileURLToPath(new URL('../..', import.meta.url));
const outFolder = path.join(root, 'out');
const kept = { ...process.env };
let home: string;
let browser: Browser;
let desktop: StandIn;
let page: Page;
let app: AppPage;

beforeAll(async () => {
  home = mkdtempSync(path.join(tmpdir(), 'hypervue-desktop-'));
  process.env.HYPERVUE_HOME = home;
  process.env.XDG_RUNTIME_DIR = path.join(home, 'xdg');
  browser = await launchBrowser();
  desktop = createStandIn(browser, outFolder);
  await startDesktop(desktop.electron, { entry: pathToFileURL(path.join(outFolder, 'main/index.js')).href, outFolder });
  page = desktop.pages[0]!;
  app = new AppPage(page);
}, 60_000);

afterAll(async () => {
  await browser?.close();
  process.env = kept;
  rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

test('the window opens on the library, without a login', async () => {
  await app.byId('machines-empty').waitFor({ timeout: 20_000 });
  expect(await page.evaluate('typeof window.hypervue.send')).toBe('function');
});

test('the sample is created and runs in a utility process; its console arrives over a message port', async () => {
  await app.machines.trySample();
  await page.getByTestId('machine-page').waitFor({ timeout: 20_000 });
  const machine = app.machine();
  await machine.waitForState('running');
  await machine.tab('console');
  await machine.focusConsole();
  await eventually('the menu of the check image', async () => {
    const { width, height, data } = await machine.pixels();
    // The blue bar of its title.
    const at = (8 * width + width / 2) * 4;
    return height > 300 && data[at] === 0 && data[at + 2]! > 100;
  });
  await machine.tab('serial');
  await eventually('its serial output', async () => (await machine.serialText()).includes('HYPERVUE-CHECK READY'));
  await machine.typeSerial('x');
}, 60_000);

test('IPC from a page of another origin is not heard', async () => {
  const stranger = await browser.newPage();
  await stranger.goto('data:text/html,<p>nothing of ours</p>');
  expect(await stranger.evaluate('typeof window.hypervue')).toBe('undefined');
  await stranger.close();
});

test('a reloaded window connects again', async () => {
  await page.reload();
  await app.byId('nav-machines').waitFor();
  await app.goToMachines();
  expect(await app.machines.names()).toHaveLength(1);
});

test('quitting asks about the running machine, can be cancelled, and then shuts it down', async () => {
  desktop.answers.push(2);
  desktop.electron.app.quit();
  await eventually('the question', () => desktop.asked.length === 1);
  expect(desktop.asked[0]!.message).toMatch(/is running/);
  const [name] = await app.machines.names();
  await app.machines.waitForState(name!, 'running');

  desktop.answers.push(0);
  desktop.electron.app.quit();
  await Promise.race([desktop.quit, new Promise((_, reject) => setTimeout(() => reject(new Error('the app did not quit')), 60_000))]);
  expect(desktop.asked).toHaveLength(2);
  const log = path.join(home, 'desktop.log');
  expect(existsSync(log) ? readFileSync(log, 'utf8') : '').not.toContain('[error]');
}, 90_000);

const runtimePath = path.join(root, 'node_modules/electron/path.txt');
const missing = !existsSync(runtimePath)
  ? 'the Electron runtime could not be downloaded here'
  : !process.env.DISPLAY && process.platform === 'linux'
    ? 'there is no display'
    : undefined;
if (missing) console.log(`skipped: the desktop app in the Electron runtime (${missing})`);

test.skipIf(missing)(
  'the app starts in the Electron runtime',
  async () => {
    const electron = await _electron.launch({
      executablePath: path.join(root, 'node_modules/electron/dist', readFileSync(runtimePath, 'utf8').trim()),
      args: [root, ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
      env: { ...(process.env as Record<string, string>), HYPERVUE_HOME: path.join(home, 'electron') },
    });
    const window = await electron.firstWindow();
    await window.getByTestId('machines-empty').waitFor();
    await electron.close();
  },
  60_000,
);
