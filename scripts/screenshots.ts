// `npm run screenshots`: takes the pictures in docs/screenshots from the built app, with real machines running.
import { copyFileSync, cpSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { eventually, launchBrowser, openWindow } from '../tests/e2e/support/browser.ts';
import { openContract } from '../tests/e2e/support/contract.ts';
import { grubCdrom, linuxIso, memtestIso } from '../tests/guests/support/images.ts';

const folder = fileURLToPath(new URL('../docs/screenshots', import.meta.url));
mkdirSync(folder, { recursive: true });
const shoot = async (page: Page, name: string) => {
  // Transitions are short; a toast would tell of the script, not of the app.
  await page.waitForTimeout(600);
  await page.screenshot({ path: path.join(folder, `${name}.png`) });
  console.log(name);
};

// Installed aside, so that the pictures show no path of this checkout.
const stage = path.join(tmpdir(), 'hypervue');
rmSync(stage, { recursive: true, force: true });
const root = fileURLToPath(new URL('..', import.meta.url));
for (const part of ['out/main', 'out/renderer', 'out/wasm', 'out/sample', 'resources/firmware', 'package.json'])
  cpSync(path.join(root, part), path.join(stage, 'app', part), { recursive: true });
mkdirSync(path.join(stage, 'images'));
const image = (from: string, name: string) => {
  const to = path.join(stage, 'images', name);
  copyFileSync(from, to);
  return to;
};
const linuxImage = image(linuxIso(), 'linux-6.1-i386.iso');
const memtestImage = image(memtestIso(), 'memtest86+.iso');
const grubImage = image(grubCdrom(), 'grub-rescue.iso');
process.env.HYPERVUE_CLI = path.join(stage, 'app/out/main/cli.js');
const { startServer } = await import('../tests/e2e/support/server.ts');

const server = await startServer(path.join(stage, 'home'));
const browser = await launchBrowser();
const contract = await openContract(server);
try {
  const empty = await openWindow(browser, server);
  await empty.app.byId('machines-empty').waitFor();
  await shoot(empty.page, 'machines-empty');
  await empty.close();

  const create = async (
    name: string,
    source: Parameters<typeof contract.call<'vm.create'>>[1]['source'],
    memoryMiB: number,
    disk = false,
  ) => (await contract.call('vm.create', { name, memoryMiB, source, newDisk: disk ? { sizeBytes: 8 * 1024 ** 3 } : null })).id;
  const check = await create('Hypervue check', { type: 'sample' }, 32);
  const linux = await create('Debian kernel 6.1', { type: 'iso', path: linuxImage }, 256, true);
  const memtest = await create('Memory test', { type: 'iso', path: memtestImage }, 64);
  const grub = await create('GRUB rescue', { type: 'iso', path: grubImage }, 64);
  await create('Blank machine', { type: 'blank' }, 512, true);
  for (const id of [check, linux, memtest, grub]) await contract.call('vm.start', { id });
  const text = async (id: string) => (await contract.call('vm.screenText', { id }))?.rows.join('\n') ?? '';
  await eventually('the shell', async () => /^\/ #/m.test(await text(linux)), 300_000);
  await contract.call('vm.typeText', { id: linux, text: '\nuname -a\ncat /proc/cpuinfo | head -8\n' });
  await contract.call('vm.sendKeys', { id: grub, keys: ['c'] });
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await contract.call('vm.typeText', { id: grub, text: 'ls\n' });
  await contract.call('vm.pause', { id: memtest });
  await new Promise((resolve) => setTimeout(resolve, 3000));

  const volume = (name: string, changes: object = {}) =>
    contract.call('storage.create', { pool: 'default', name, format: 'qcow2', sizeBytes: 20 * 1024 ** 3, ...changes });
  const base = await volume('debian-12.qcow2');
  await volume('web.qcow2', { sizeBytes: undefined, backing: base.path });
  await volume('scratch.img', { format: 'raw' });
  await contract.call('storage.delete', { path: (await volume('old.qcow2')).path });

  for (const theme of ['light', 'dark'] as const) {
    await contract.call('settings.set', { theme });
    const { page, app, close } = await openWindow(browser, server);
    await page.waitForTimeout(2500);
    await shoot(page, `machines-${theme}`);
    await app.machines.open('Debian kernel 6.1');
    await app.machine().tab('machine');
    await shoot(page, `machine-${theme}`);
    await app.machine().tab('console');
    await app.machine().focusConsole();
    await shoot(page, `console-${theme}`);
    await app.storage.open();
    await app.byId('volume-table').waitFor();
    await shoot(page, `storage-${theme}`);
    if (theme === 'light') {
      await app.storage.details('web.qcow2');
      await page.getByTestId('volume-map').waitFor();
      await shoot(page, 'storage-details');
      await app.storage.closeDetails();
      await app.byId('new-volume').click();
      await app.byId('volume-options').click();
      await shoot(page, 'storage-new-disk');
      await app.byId('dialog-cancel').click();
      await app.trash.open();
      await app.trash.row('old.qcow2').waitFor();
      await shoot(page, 'trash');
      await app.goToMachines();
      await app.machines.open('Debian kernel 6.1');
      await app.machine().tab('serial');
      await shoot(page, 'serial');
      await app.machine().tab('hardware');
      await shoot(page, 'hardware');
      await app.machine().tab('performance');
      await shoot(page, 'performance');
      await app.machine().tab('log');
      await shoot(page, 'log');
      await app.goToMachines();
      await app.machines.create();
      await app.wizard.source('iso', linuxImage);
      await shoot(page, 'wizard-source');
      await app.wizard.next();
      await shoot(page, 'wizard-system');
      await app.wizard.next();
      await shoot(page, 'wizard-disk');
      await app.wizard.next();
      await app.wizard.waitForSummary();
      await shoot(page, 'wizard-summary');
    } else {
      await app.goToSettings();
      await shoot(page, 'settings');
      await app.byId('nav-about').click();
      await shoot(page, 'about');
    }
    await close();
  }
  await contract.call('settings.set', { theme: 'light', language: 'zh-CN' });
  const chinese = await openWindow(browser, server);
  await chinese.page.waitForTimeout(2500);
  await shoot(chinese.page, 'machines-zh-CN');
  await chinese.close();
  await contract.call('settings.set', { language: 'en' });
  const phone = await openWindow(browser, server, { viewport: { width: 420, height: 800 } });
  await phone.page.waitForTimeout(2500);
  await shoot(phone.page, 'machines-narrow');
  await phone.app.storage.open();
  await phone.app.byId('volume-table').waitFor();
  await shoot(phone.page, 'storage-narrow');
  await phone.close();
} finally {
  contract.end();
  await browser.close();
  await server.stop();
  rmSync(stage, { recursive: true, force: true });
}
