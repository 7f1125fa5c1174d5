import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { _electron } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startDesktop } from '../../electron/main/desktop.ts';
import { loadEntry } from '../../electron/testing/loadentry.ts';
import { createStandIn, type StandIn } from '../../electron/testing/standin.ts';
import { AppPage } from './pages/app.ts';
import { accessibilityProblems } from './support/accessibility.ts';
import { eventually, keepPicture, launchBrowser } from './support/browser.ts';
import { startServer } from './support/server.ts';

/** The built desktop app over a stand-in for the Electron runtime; and over the runtime itself where it is at hand. */
const root = fileURLToPath(new URL('../..', import.meta.url));
const outFolder = path.join(root, 'out');
const entry = path.join(outFolder, 'main/index.js');
const image = path.join(outFolder, 'sample/hypervue-check.img');
const NAME = 'Check floppy';
const kept = { ...process.env };
let home: string;
let browser: Browser;
let desktop: StandIn;
let page: Page;
let app: AppPage;

const log = () => {
  const file = path.join(home, 'desktop.log');
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
};

beforeAll(async () => {
  home = mkdtempSync(path.join(tmpdir(), 'hypervue-desktop-'));
  process.env.HYPERVUE_HOME = home;
  writeFileSync(path.join(home, 'settings.json'), '{"welcomed":true}');
  process.env.XDG_RUNTIME_DIR = path.join(home, 'xdg');
  browser = await launchBrowser();
  desktop = createStandIn(browser, outFolder);
  // Must come back although nothing is ready yet.
  loadEntry(entry, desktop.electron);
  expect(desktop.pages).toHaveLength(0);
  desktop.ready();
  page = await eventually('the window', () => desktop.pages[0]);
  app = new AppPage(page);
}, 60_000);

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail' && desktop.pages.includes(page)) await keepPicture(page, task.name);
});

afterAll(async () => {
  for (const { pid } of desktop?.utilities ?? []) if (pid !== undefined) process.kill(pid, 'SIGKILL');
  await browser?.close();
  process.env = kept;
  rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

async function consoleShowsMenu(): Promise<void> {
  const machine = app.machine();
  await machine.tab('console');
  await machine.focusConsole();
  await eventually('the menu of the check image', async () => {
    const { width, height, data } = await machine.pixels();
    // The blue bar of its title.
    const at = (8 * width + width / 2) * 4;
    return height > 300 && data[at] === 0 && data[at + 2]! > 100;
  });
}

test('the window opens on the library, without a login, and keeps its profile apart', async () => {
  await app.byId('machines-empty').waitFor({ timeout: 20_000 });
  expect(await page.evaluate('Object.keys(window.hypervue).sort().join()')).toBe(
    'connect,onClose,onMessage,openChannel,pathForFile,platform,send,servers,showOpenDialog',
  );
  expect(desktop.profile).toBe(path.join(home, 'browser'));
});

test('the menu speaks the language of the settings', async () => {
  const labels = () => desktop.menu.flatMap(({ submenu }) => submenu ?? []).map(({ label }) => label);
  const choose = (language: string) =>
    page.evaluate(`window.hypervue.send({ type: 'call', id: 1000001, method: 'settings.set', params: { language: '${language}' } })`);
  expect(labels()).toContain('New machine');
  await choose('zh-CN');
  await eventually('a Chinese menu', () => labels().includes('新建虚拟机'));
  await choose('en');
  await eventually('an English menu', () => labels().includes('New machine'));
});

const machineProcesses = () => desktop.utilities.filter(({ serviceName }) => serviceName.startsWith('Hypervue machine: '));

test('a machine is created through the page and the system’s file dialog, and runs in a utility process', async () => {
  const item = desktop.menu.flatMap(({ submenu }) => submenu ?? []).find(({ label }) => label === 'New machine');
  item!.click!();
  await app.byId('wizard').waitFor();
  await app.wizard.source('floppy');
  await app.byId('source-browse').click();
  expect(await page.getByTestId('source-path').locator('input').inputValue()).toBe('');
  desktop.chosen.push(image);
  await app.byId('source-browse').click();
  await eventually('the chosen file', async () => (await page.getByTestId('source-path').locator('input').inputValue()) === image);
  await page.locator('[data-testid="inspection"] p').first().waitFor();
  await app.wizard.next();
  await app.wizard.name(NAME);
  await app.wizard.next();
  await app.wizard.next();
  await app.wizard.disk(null);
  await app.wizard.next();
  await app.wizard.waitForSummary();
  await app.wizard.create(true);
  await app.byId('machine-page').waitFor();
  await app.machine().waitForState('running');
  // The wizard gives it a card, so its network has a process, too.
  expect(desktop.utilities.map(({ serviceName }) => serviceName).sort()).toEqual([
    `Hypervue machine: ${NAME}`,
    'Hypervue network: Default',
  ]);
  expect(desktop.dialogs).toHaveLength(2);
}, 60_000);

test('picture and serial line arrive over message ports, and what is typed reaches the guest', async () => {
  const machine = app.machine();
  await consoleShowsMenu();
  await machine.tab('serial');
  await eventually('its serial output', async () => (await machine.serialText()).includes('HYPERVUE-CHECK READY'));
  await machine.tab('console');
  await machine.press('9');
  await machine.tab('serial');
  await eventually('the page that the key chose', async () => (await machine.serialText()).includes('PAGE 9'));
  await machine.typeSerial('over a port');
  await eventually('the echo', async () => (await machine.serialText()).includes('over a port'));
}, 60_000);

test('a console window can be detached; pages of others are neither opened nor visited', async () => {
  await app.machine().tab('console');
  await app.byId('detach').click();
  const detached = await eventually('the console window', () => desktop.pages[1]);
  expect(detached.url()).toContain('#/console/');
  await detached.getByTestId('console-canvas').waitFor();
  expect(await detached.evaluate('typeof window.hypervue.send')).toBe('function');
  await detached.close();

  await page.evaluate("void window.open('https://hypervue.test/index.html#/settings')");
  await eventually('the refusal', () => desktop.refused.length === 1);
  await page.evaluate("location.href = 'https://example.org/'");
  await eventually('the second refusal', () => desktop.refused.includes('https://example.org/'));
  expect(desktop.pages).toHaveLength(1);
  await app.goToMachines();
  await app.machines.waitForState(NAME, 'running');
}, 60_000);

test('a page that crashed comes back and connects again, and the machine has gone on', async () => {
  desktop.crash(page);
  await page.waitForEvent('load');
  await app.goToMachines();
  await app.machines.waitForState(NAME, 'running');
  await app.machines.open(NAME);
  await consoleShowsMenu();
  expect(log()).toContain("a window's page ended: crashed");
}, 60_000);

test('a machine whose process is killed is told apart, and starts again', async () => {
  process.kill(machineProcesses()[0]!.pid!, 'SIGKILL');
  await app.machine().waitForState('crashed');
  await app.machine().verb('start');
  await app.machine().waitForState('running');
  expect(machineProcesses()).toHaveLength(2);
  await consoleShowsMenu();
}, 60_000);

test('a server over TLS is compared, attached and opened beside this computer; who may only look there finds its fields disabled', async () => {
  const remote = await startServer(undefined, ['--tls']);
  try {
    await remote.cli('create', '--name', 'Far away', '--memory', '16', '--blank');
    const { secret } = JSON.parse(await remote.cli('token', 'create', 'Desk', '--role', 'view', '--json')) as { secret: string };
    await page.evaluate("location.hash = '#/servers'");
    await page.getByTestId('server-address').locator('input').fill(remote.url);
    await page.getByTestId('server-token').locator('input').fill(secret);
    await page.getByTestId('server-name').locator('input').fill('Rack 3');
    await page.getByTestId('server-next').click();
    const shown = (await page.getByTestId('server-fingerprint').textContent())!.trim();
    expect(remote.output()).toContain(shown);
    expect(await accessibilityProblems(page)).toEqual([]);
    expect(await page.getByTestId('server-next').isDisabled()).toBe(true);
    await page.getByTestId('server-same').click();
    await page.getByTestId('server-next').click();
    const entry = page.getByTestId('server');
    await eventually('it is ready', async () => (await entry.getAttribute('data-state')) === 'ready');
    expect(await entry.textContent()).toContain('Rack 3');

    await entry.getByRole('link').click();
    await app.byId('own-role').waitFor();
    await app.machines.open('Far away');
    await app.machine().tab('hardware');
    expect(await app.byId('hardware-locked').textContent()).toContain('View');
    expect(await app.byId('device-add').isDisabled()).toBe(true);
    await app.byId('device-memory').click();
    const fields = page.locator('[data-device="memory"] :is(input, select, button)');
    await fields.first().waitFor();
    for (const field of await fields.all()) expect(await field.isDisabled()).toBe(true);

    // Its token ends, and with it the way there; this computer goes on.
    await remote.cli('token', 'revoke', 'Desk');
    await app.byId('nav-servers').getByRole('link').first().click();
    await app.machines.waitForState(NAME, 'running');
    await page.evaluate("location.hash = '#/servers'");
    await eventually('it is signed out', async () => (await entry.getAttribute('data-state')) === 'signedOut');
    await entry.getByRole('button', { name: 'Remove' }).click();
    await app.confirm();
    await entry.waitFor({ state: 'detached' });
  } finally {
    await remote.stop();
  }
}, 60_000);

test('quitting asks about the running machine, can be cancelled, and then shuts it down', async () => {
  // Save, shut down, force off, keep in the tray, cancel.
  desktop.answers.push(4);
  await page.close();
  await eventually('the question', () => desktop.asked.length === 1);
  expect(desktop.asked[0]!.message).toBe(`${NAME} is running`);
  // Closing the last window meant quitting; cancelling brings it back.
  page = await eventually('the window', () => desktop.pages[0]);
  app = new AppPage(page);
  await app.byId('nav-machines').waitFor();
  await app.machines.waitForState(NAME, 'running');

  desktop.answers.push(1);
  desktop.electron.app.quit();
  const late = new Promise<never>((_, reject) => setTimeout(() => reject(new Error('the app did not quit')), 45_000).unref());
  expect(await Promise.race([desktop.quit, late])).toBe(0);
  expect(desktop.asked).toHaveLength(2);
  expect(desktop.utilities.filter(({ pid }) => pid !== undefined)).toEqual([]);
  const errors = log()
    .split('\n')
    .filter((line) => line.includes('[error]') && !line.includes('page ended: crashed'));
  expect(errors).toEqual([]);
}, 90_000);

test('a second instance quits at once and leaves the first to come to the front', async () => {
  const second = createStandIn(undefined, outFolder, { firstInstance: false });
  await startDesktop(second.electron, { entry: pathToFileURL(entry).href, outFolder });
  expect(await second.quit).toBe(0);
  expect(second.asked).toEqual([]);
});

test('a library that can’t be opened is said in a box and in the log', async () => {
  const file = path.join(home, 'no folder');
  writeFileSync(file, '');
  process.env.HYPERVUE_LIBRARY = file;
  const broken = createStandIn(undefined, outFolder);
  const started = startDesktop(broken.electron, { entry: pathToFileURL(entry).href, outFolder });
  broken.ready();
  await started;
  delete process.env.HYPERVUE_LIBRARY;
  expect(await broken.quit).toBe(1);
  expect(broken.asked[0]!.message).toMatch(/can’t open its library/);
  expect(broken.asked[0]!.detail).toContain(file);
  expect(log()).toContain('can’t open its library');
});

test('another library is chosen in the window: the app starts anew with it, and asks when its drive is away', async () => {
  const own = path.join(home, 'own');
  const vms = path.join(home, 'drive', 'vms');
  mkdirSync(own);
  writeFileSync(path.join(own, 'settings.json'), '{"welcomed":true}');
  process.env.HYPERVUE_HOME = own;
  const start = async (answers: number[] = []) => {
    const one = createStandIn(browser, outFolder);
    one.answers.push(...answers);
    const started = startDesktop(one.electron, { entry: pathToFileURL(entry).href, outFolder });
    one.ready();
    await started;
    return one;
  };
  try {
    const first = await start();
    const view = new AppPage(first.pages[0]!);
    await view.goToSettings();
    await view.byId('change-library').click();
    await view.byId('library-folder-path').locator('input').fill(vms);
    await view.byId('dialog-submit').click();
    await view.byId('library-plan').waitFor();
    await view.byId('dialog-submit').click();
    expect(await first.quit).toBe(0);
    expect(first.relaunched).toBe(true);
    for (const each of [...first.pages]) await each.close();

    renameSync(path.join(home, 'drive'), path.join(home, 'unplugged'));
    // Try again, which changes nothing; then quit.
    const away = await start([0, 2]);
    expect(await away.quit).toBe(1);
    expect(away.asked).toHaveLength(2);
    expect(away.asked[0]!.detail).toContain(vms);
    expect(existsSync(vms)).toBe(false);
    // Back to the usual folder.
    const usual = await start([1]);
    await new AppPage(usual.pages[0]!).goToSettings();
    await eventually('the usual folder', async () =>
      (await usual.pages[0]!.getByTestId('setting-folder-library').innerText()).includes(path.join(own, 'machines')),
    );
    usual.electron.app.quit();
    expect(await usual.quit).toBe(0);
    for (const each of [...usual.pages]) await each.close();
  } finally {
    process.env.HYPERVUE_HOME = home;
  }
}, 60_000);

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
    mkdirSync(path.join(home, 'electron'));
    writeFileSync(path.join(home, 'electron', 'settings.json'), '{"welcomed":true}');
    const electron = await _electron.launch({
      executablePath: path.join(root, 'node_modules/electron/dist', readFileSync(runtimePath, 'utf8').trim()),
      args: [root, ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
      env: { ...(process.env as Record<string, string>), HYPERVUE_HOME: path.join(home, 'electron') },
    });
    const window = await electron.firstWindow();
    const real = new AppPage(window);
    await real.byId('machines-empty').waitFor();
    await real.machines.trySample();
    await real.machine().waitForState('running');
    app = real;
    await consoleShowsMenu();
    await real.machine().menu('forceOff');
    await real.confirm();
    await real.machine().waitForState('off');
    await electron.close();
  },
  120_000,
);
