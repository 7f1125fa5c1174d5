// `npm run screenshots`: takes the pictures in docs/screenshots from the built app, with real machines running.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { eventually, launchBrowser, openWindow } from '../tests/e2e/support/browser.ts';
import { openContract } from '../tests/e2e/support/contract.ts';
import { startServer } from '../tests/e2e/support/server.ts';
import { grubCdrom, linuxIso, memtestIso } from '../tests/guests/support/images.ts';

const folder = fileURLToPath(new URL('../docs/screenshots', import.meta.url));
mkdirSync(folder, { recursive: true });
const shoot = async (page: Page, name: string) => {
  // Transitions are short; a toast would tell of the script, not of the app.
  await page.waitForTimeout(600);
  await page.screenshot({ path: path.join(folder, `${name}.png`) });
  console.log(name);
};

const server = await startServer();
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
  const linux = await create('Debian kernel 6.1', { type: 'iso', path: linuxIso() }, 256, true);
  const memtest = await create('Memory test', { type: 'iso', path: memtestIso() }, 64);
  const grub = await create('GRUB rescue', { type: 'iso', path: grubCdrom() }, 64);
  await create('Blank machine', { type: 'blank' }, 512, true);
  for (const id of [check, linux, memtest, grub]) await contract.call('vm.start', { id });
  const text = async (id: string) => (await contract.call('vm.screenText', { id }))?.rows.join('\n') ?? '';
  await eventually('the shell', async () => /GUEST READY/.test(await text(linux)), 300_000);
  await contract.call('vm.typeText', { id: linux, text: '\nuname -a\ncat /proc/cpuinfo | head -8\n' });
  await contract.call('vm.pause', { id: memtest });
  await new Promise((resolve) => setTimeout(resolve, 3000));

  for (const theme of ['light', 'dark'] as const) {
    await contract.call('settings.set', { theme });
    const { page, app, close } = await openWindow(browser, server);
    await page.waitForTimeout(2500);
    await shoot(page, `machines-${theme}`);
    await app.machines.open('Debian kernel 6.1');
    await shoot(page, `machine-${theme}`);
    await app.machine().tab('console');
    await app.machine().focusConsole();
    await shoot(page, `console-${theme}`);
    if (theme === 'light') {
      await app.machine().tab('serial');
      await shoot(page, 'serial');
      await app.machine().tab('hardware');
      await shoot(page, 'hardware');
      await app.machine().tab('log');
      await shoot(page, 'log');
      await app.goToMachines();
      await app.machines.create();
      await app.wizard.source('iso', linuxIso());
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
  const phone = await openWindow(browser, server, { viewport: { width: 420, height: 800 } });
  await phone.page.waitForTimeout(2500);
  await shoot(phone.page, 'machines-narrow');
  await phone.close();
} finally {
  contract.end();
  await browser.close();
  await server.stop();
}
