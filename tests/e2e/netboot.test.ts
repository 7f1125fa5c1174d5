import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { VmConfig } from '../../core/contract/vm.ts';
import { findNetworkRom } from '../../core/platform/firmware.ts';
import { accessibilityProblems } from './support/accessibility.ts';
import { eventually } from './support/browser.ts';
import { contract, window } from './support/session.ts';

/** A machine that starts from the network, made by a person in the wizard, to the script of the network on its screen; and its boot order. */
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-given-'));
mkdirSync(path.join(folder, 'tftp'));
writeFileSync(path.join(folder, 'tftp', 'hello.ipxe'), '#!ipxe\necho SCRIPT OF THE GATEWAY\nsleep 1000\n');
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const ipxe = findNetworkRom('', 'e1000', 'bios') !== undefined;
if (!ipxe) console.log('skipped: a start from the network needs iPXE (Debian: apt-get install ipxe-qemu)');

const NAME = 'From the network';
const machine = async () => (await contract.call('vm.list', {})).find(({ name }) => name === NAME)!;
const order = async () => (JSON.parse(readFileSync(path.join((await machine()).folder, 'vm.json'), 'utf8')) as VmConfig).boot.order;

test.skipIf(!ipxe)('the wizard says what the network hands out, lets it be set, and makes a machine that starts it', async () => {
  const { app, page } = window;
  const { wizard, networks } = app;
  await app.machines.create();
  await wizard.source('network');
  await eventually('that nothing is handed out', async () => (await wizard.handsOut()).includes('hands out nothing'));
  await wizard.network('');
  expect(await page.getByTestId('wizard-next').getAttribute('aria-disabled')).toBe('true');
  await wizard.network('default');
  expect(await accessibilityProblems(page)).toEqual([]);

  await wizard.setHandsOut();
  await networks.fill('boot-file', 'hello.ipxe');
  expect(await page.getByTestId('boot-problem').innerText()).toMatch(/A file is in a folder/);
  await networks.fill('boot-folder-path', path.join(folder, 'none'));
  expect(await accessibilityProblems(page)).toEqual([]);
  await page.getByTestId('dialog-submit').click();
  await eventually('the refusal', async () => /does not exist/.test(await page.getByTestId('network-dialog').innerText()));
  await networks.fill('boot-folder-path', path.join(folder, 'tftp'));
  await networks.submit('network-dialog');
  await eventually('what is handed out', async () => (await wizard.handsOut()).includes(`hello.ipxe in ${path.join(folder, 'tftp')}`));

  await wizard.next();
  await wizard.name(NAME);
  await wizard.next();
  await wizard.memory(64);
  await wizard.next();
  await wizard.disk(1);
  await wizard.next();
  await wizard.waitForSummary();
  expect(await page.getByTestId('summary-source').innerText()).toContain('Network boot');
  expect(await page.getByTestId('summary-handsOut').innerText()).toContain('hello.ipxe');
  expect(await page.getByTestId('summary-order').innerText()).toContain('The disk, then the network');
  await eventually('good checks', async () => (await wizard.failedChecks()).length === 0);
  expect(await accessibilityProblems(page)).toEqual([]);
  // Back to the first step and on again: every answer is still there.
  await page.getByTestId('wizard-go-source').click();
  expect(await wizard.handsOut()).toContain('hello.ipxe');
  await page.getByTestId('wizard-go-summary').click();
  await wizard.waitForSummary();
  await wizard.create(true);
  await page.getByTestId('machine-page').waitFor();
  const { id } = await machine();
  expect(await order()).toEqual(['disk', 'net0', 'cdrom', 'floppy']);
  const screen = async () => (await contract.call('vm.screenText', { id }))?.rows.join('\n') ?? '';
  await eventually(
    'the script of the network on the screen',
    async () => {
      const text = await screen();
      if (!text.includes('SCRIPT OF THE GATEWAY')) throw new Error(text);
      return text;
    },
    240_000,
  );
  await contract.call('vm.forceOff', { id });
});

test.skipIf(!ipxe)(
  'the boot order of its Hardware page has the card among the drives; without what is handed out, the start warns',
  async () => {
    const { app, page } = window;
    const { id } = await machine();
    await page.goto(`${page.url().replace(/#.*$/, '')}#/machines/${id}/hardware?device=boot`);
    await page.getByTestId('boot-net0').waitFor();
    expect(await page.locator('[data-place="net0"]').innerText()).toMatch(/Network card 1\s+Default/);
    await page.getByTestId('boot-net0-up').click();
    expect(await accessibilityProblems(page)).toEqual([]);
    await app.machine().applyHardware();
    expect((await order())[0]).toBe('net0');
    // Taken back where networks are, which the details show.
    await app.networks.open();
    await app.networks.details('Default');
    expect(await page.getByTestId('network-fact-boot').innerText()).toContain('hello.ipxe');
    await page.getByTestId('network-edit').click();
    await app.networks.fill('boot-file', '');
    await app.networks.fill('boot-folder-path', '');
    await app.networks.submit('network-dialog');
    await page.getByTestId('network-fact-boot').waitFor({ state: 'detached' });
    await app.goToMachines();
    await app.machines.open(NAME);
    await app.machine().verb('start');
    const checks = page.getByTestId('start-checks');
    await checks.waitFor();
    expect(await checks.innerText()).toMatch(/Default hands out nothing to start from/);
    expect(await accessibilityProblems(page)).toEqual([]);
  },
);
