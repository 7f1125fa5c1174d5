import { mkdirSync } from 'node:fs';
import { launchBrowser, openWindow } from '../tests/e2e/support/browser.ts';
import { openContract } from '../tests/e2e/support/contract.ts';
import { startServer } from '../tests/e2e/support/server.ts';

const out = '/tmp/look-blk';
mkdirSync(out, { recursive: true });
const server = await startServer();
const contract = await openContract(server);
try {
  const vm = await contract.call('vm.create', { name: 'Web server with a rather long name', memoryMiB: 32, source: { type: 'blank' }, newDisk: { sizeBytes: 4 << 20, format: 'raw' } });
  const { id } = vm;
  await contract.call('vm.start', { id });
  const browser = await launchBrowser();
  let first = true;
  for (const [name, options] of Object.entries({
    en: { colorScheme: 'light' as const },
    zh: { colorScheme: 'dark' as const, locale: 'zh-CN', viewport: { width: 900, height: 600 } },
  })) {
    const window = await openWindow(browser, server, options);
    const { page } = window;
    const shot = (what: string) => page.screenshot({ path: `${out}/${name}-${what}.png` });
    await page.getByText('Web server').first().click();
    await page.getByTestId('tab-snapshots').click();
    await page.waitForTimeout(800);
    await shot('0tab');
    await page.getByTestId('snapshot-take').click();
    await page.waitForTimeout(800);
    await shot('1take');
    await page.getByTestId('snapshot-name').fill('');
    await page.waitForTimeout(300);
    await shot('2noname');
    await page.getByTestId('snapshot-name').fill(`${name} before the upgrade of everything`);
    if (first) await page.getByTestId('snapshot-memory').click();
    await page.waitForTimeout(500);
    await shot('3nomemory');
    if (first) await page.getByTestId('snapshot-memory').click();
    await page.getByTestId('snapshot-confirm').click();
    await page.getByTestId('snapshot').first().waitFor();
    await page.waitForTimeout(1500);
    await shot('4tree');
    for (const verb of ['revert', 'clone', 'edit', 'delete']) {
      await page.getByTestId('snapshot').first().getByTestId(`snapshot-${verb}`).click();
      await page.waitForTimeout(800);
      await shot(`5${verb}`);
      if (verb === 'revert' && first) {
        await page.getByTestId('snapshot-keep').click();
        await page.waitForTimeout(600);
        await shot('5revertlose');
        await page.getByTestId('snapshot-confirm').click();
        await page.getByTestId('snapshot-dialog').waitFor({ state: 'detached' });
        await page.waitForTimeout(600);
        await shot('6reverted');
      } else {
        await page.keyboard.press('Escape');
        await page.getByTestId('snapshot-dialog').waitFor({ state: 'detached' });
      }
    }
    console.log(name, window.problems);
    first = false;
    await window.close();
  }
  console.log((await contract.call('vm.log', { id, lines: 30 })).map(({ message }: { message: string }) => message).join('\n'));
  await contract.call('vm.forceOff', { id });
  const window = await openWindow(browser, server, {});
  await window.page.getByText('Web server').first().click();
  await window.page.getByTestId('more-button').click();
  await window.page.getByTestId('menu-delete').click();
  await window.page.waitForTimeout(800);
  await window.page.screenshot({ path: `${out}/delete.png` });
  await browser.close();
} finally {
  contract.end();
  await server.stop();
}
process.exit(0);
