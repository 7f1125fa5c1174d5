import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { accessibilityProblems } from './support/accessibility.ts';
import { eventually, openWindow, type Window } from './support/browser.ts';
import { startServer } from './support/server.ts';
import { browser, contract, server, window } from './support/session.ts';

/** What is at hand on every page: palette, shortcuts, activity, errors, diagnostics, settings and the first-run page. */

const choosePalette = async (words: string, command: RegExp) => {
  const { page } = window;
  await page.keyboard.press('Control+k');
  await page.getByTestId('palette').waitFor();
  await page.keyboard.type(words);
  await eventually(`${command} in the palette`, async () =>
    command.test((await page.getByTestId('palette-row').first().getAttribute('data-command')) ?? ''),
  );
  await page.keyboard.press('Enter');
  await page.getByTestId('palette').waitFor({ state: 'detached' });
};

test('a machine is started, looked at and forced off with the keyboard alone', async () => {
  const { app, page } = window;
  const vm = await contract.call('vm.create', {
    name: 'Quick',
    memoryMiB: 32,
    source: { type: 'blank' },
    newDisk: { sizeBytes: 1 << 20, format: 'raw' },
  });
  await app.machines.card('Quick').waitFor();
  await choosePalette('start quick', /start/);
  // Its disk is empty, and nothing else is there to start from.
  await page.getByTestId('start-checks').waitFor();
  expect(await page.getByTestId('start-checks').innerText()).toContain('no boot signature');
  expect(await accessibilityProblems(page)).toEqual([]);
  await page.getByTestId('start-checks-go').focus();
  await page.keyboard.press('Enter');
  await app.machines.waitForState('Quick', 'running');
  await choosePalette('quick', new RegExp(vm.id));
  await page.getByTestId('machine-page').waitFor();
  await page.getByTestId('nav-machines').focus();
  await choosePalette('force quick', /forceOff/);
  await page.getByTestId('confirm-dialog').waitFor();
  expect(await accessibilityProblems(page)).toEqual([]);
  // A dangerous question has the harmless answer in front.
  await page.getByTestId('confirm-ok').focus();
  await page.keyboard.press('Enter');
  await app.machine().waitForState('off');
  await page.keyboard.press('?');
  await page.getByRole('dialog').waitFor();
  expect(await accessibilityProblems(page)).toEqual([]);
  await page.keyboard.press('Escape');
});

test('the devices of this computer are listed as the manager finds them, and searched', async () => {
  const { app, page } = window;
  const { pci, usb, block: all } = await contract.call('host.devices', {});
  // Other tests make loop devices, and take them away.
  const block = all.filter(({ kind }) => kind !== 'loop');
  const shown = page.locator('[data-testid="host-block-device"]:not([data-name^="loop"])');
  await app.byId('nav-host-devices').click();
  await app.byId('host-pci').waitFor();
  expect(await app.byId('host-pci-function').count()).toBe(pci.length);
  expect(await app.byId('host-usb-device').count()).toBe(usb.length);
  expect(await shown.count()).toBe(block.length);
  expect(await accessibilityProblems(page)).toEqual([]);
  if (pci.length) {
    await app.byId('host-pci-passthrough').first().click();
    const { checks } = await contract.call('host.passthrough', {
      address: pci.toSorted((a, b) => a.address.localeCompare(b.address))[0]!.address,
    });
    await app.byId('check-engine').waitFor();
    expect(await page.locator('[data-testid="passthrough"] .check').count()).toBe(checks.length);
    expect(await accessibilityProblems(page)).toEqual([]);
    await page.keyboard.press('Escape');
    await app.byId('passthrough').waitFor({ state: 'detached' });
  }
  const field = app.byId('host-devices-search').locator('input');
  await field.fill(block[0]?.path ?? '/dev/none');
  await eventually('what matches', async () => (await app.byId('host-pci-function').count()) === 0);
  expect(await shown.count()).toBe(block.filter(({ path: file }) => file.includes(block[0]!.path)).length);
  await field.fill('no such device');
  await app.byId('host-devices-nothing').waitFor();
  await app.goToMachines();
});

test('a long task shows its progress and is cancelled without leaving anything; the history says so, after a new start too', async () => {
  const home = mkdtempSync(path.join(tmpdir(), 'hypervue-e2e-tasks-'));
  let own = await startServer(home);
  let view: Window | undefined;
  try {
    const disks = path.join(home, 'disks');
    mkdirSync(disks, { recursive: true });
    // Compressing this takes long enough to be stopped.
    execFileSync('dd', ['if=/dev/urandom', `of=${path.join(disks, 'large.img')}`, 'bs=1M', 'count=512', 'status=none']);
    view = await openWindow(browser, own);
    const { app, page } = view;
    await app.storage.open();
    await app.storage.row('large.img').waitFor();
    await app.storage.choose('large.img', 'convert');
    await app.storage.fillName('small.qcow2');
    await page.getByTestId('volume-compress').check();
    await app.storage.submitButton().click();
    const dialog = page.getByTestId('volume-copy');
    await eventually('a part that is done', async () => /\d+%/.test(await dialog.getByTestId('dialog-progress').innerText()));
    expect(await accessibilityProblems(page)).toEqual([]);
    await dialog.getByTestId('dialog-stop').click();
    await dialog.getByTestId('dialog-stop').waitFor({ state: 'detached' });
    await dialog.getByTestId('dialog-cancel').click();
    expect(await app.storage.names()).toEqual(['large.img']);
    expect(readdirSync(disks)).toEqual(['large.img']);
    await view.close();
    await own.stop();

    own = await startServer(home);
    view = await openWindow(browser, own);
    await view.app.byId('nav-activity').click();
    const panel = view.app.byId('activity-panel');
    const task = panel.locator('[data-testid="task"][data-state="cancelled"]');
    await task.waitFor();
    expect(await task.innerText()).toContain('small.qcow2');
    expect(await accessibilityProblems(view.page)).toEqual([]);
    await panel.getByTestId('tasks-clear').click();
    await task.waitFor({ state: 'detached' });
    expect(view.problems).toEqual([]);
  } finally {
    await view?.close();
    await own.stop();
    rmSync(home, { recursive: true, force: true });
  }
});

test('a failure names the object, the cause and the way out, and can be copied as a report', async () => {
  const { app, page } = window;
  const vm = (await contract.call('vm.list', {})).find(({ name }) => name === 'Quick')!;
  // What only the machine itself finds: the checks before the start read no kernels.
  const kernel = path.join(vm.folder, 'no kernel');
  writeFileSync(kernel, 'nothing to boot');
  const boot = { ...vm.config!.boot, kernel: { path: kernel, initrd: null, cmdline: '' } };
  await contract.call('vm.update', { id: vm.id, patch: { boot } });
  await app.goToMachines();
  await app.machines.start('Quick');
  const dialog = page.getByTestId('error-dialog');
  await dialog.waitFor();
  expect(await dialog.getByRole('heading').innerText()).toContain('Quick');
  expect(await dialog.getByTestId('error-message').innerText()).toContain(path.basename(kernel));
  expect(await dialog.getByTestId('error-fix').innerText()).not.toBe('');
  await dialog.locator('summary').click();
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await dialog.getByTestId('error-copy').click();
  const report = await page.evaluate<string>('navigator.clipboard.readText()');
  expect(report).toContain(path.basename(kernel));
  expect(report).toMatch(/Hypervue \d/);
  expect(await accessibilityProblems(page)).toEqual([]);
  await dialog.getByTestId('error-close').click();
  await contract.call('vm.update', { id: vm.id, patch: { boot: vm.config!.boot } });
  // Its doubt was told when it was started first, and is not told again.
  await app.machines.start('Quick');
  await app.machines.waitForState('Quick', 'running');
  await contract.call('vm.forceOff', { id: vm.id });
});

test('diagnostics say what was looked at, how, and what was found', async () => {
  const { app, page } = window;
  await app.byId('nav-diagnostics').click();
  await page.getByTestId('diagnose-summary').waitFor();
  const rows = page.getByTestId('diagnostic');
  expect(await rows.count()).toBeGreaterThan(4);
  for (const row of await rows.all()) expect(await row.innerText()).toMatch(/\S+\n[\s\S]*\S/);
  const how = page.getByTestId('diagnostic-how').first();
  if (await how.count()) {
    await how.click();
    expect(await how.getAttribute('aria-expanded')).toBe('true');
  }
  expect(await accessibilityProblems(page)).toEqual([]);
});

test('settings count at once in every window, and after a reload', async () => {
  const { app, page } = window;
  const other = await openWindow(browser, server);
  const dark = (where: typeof page) => where.evaluate<string>('getComputedStyle(document.body).backgroundColor');
  try {
    await app.goToSettings();
    const before = await dark(other.page);
    await page.getByTestId('setting-theme').selectOption('dark');
    await eventually('another colour in the other window', async () => (await dark(other.page)) !== before);
    expect(await accessibilityProblems(page)).toEqual([]);
    await page.reload();
    await app.byId('settings').waitFor();
    expect(await page.getByTestId('setting-theme').inputValue()).toBe('dark');
    expect(JSON.parse(readFileSync(path.join(server.home, 'settings.json'), 'utf8')).theme).toBe('dark');
    expect(other.problems).toEqual([]);
  } finally {
    await other.close();
  }
  await page.getByTestId('setting-theme').selectOption('light');
});

test('a new library begins with the first-run page, which finds no fault and is not shown again', async () => {
  const home = mkdtempSync(path.join(tmpdir(), 'hypervue-e2e-first-'));
  writeFileSync(path.join(home, 'settings.json'), '{}');
  const fresh = await startServer(home);
  const view = await openWindow(browser, fresh);
  try {
    const { app, page } = view;
    await app.byId('welcome').waitFor();
    await app.byId('welcome-checks').waitFor();
    expect(await accessibilityProblems(page)).toEqual([]);
    await page.getByTestId('welcome-language').selectOption('zh-CN');
    await eventually('Chinese', async () => /[\u4e00-\u9fff]/.test(await page.getByRole('heading', { level: 1 }).innerText()));
    await page.getByTestId('welcome-language').selectOption('en');
    await page.getByTestId('welcome-start').click();
    await app.byId('machines-empty').waitFor();
    await page.goto(fresh.url);
    await app.byId('machines-empty').waitFor();
    expect(view.problems).toEqual([]);
  } finally {
    await view.close();
    await fresh.stop();
    rmSync(home, { recursive: true, force: true });
  }
  expect(window.problems).toEqual([]);
});
