import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CDPSession } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from './support/browser.ts';
import { contract, server, window } from './support/session.ts';

/** Files of the disk dragged from the system onto the window, as Chromium itself delivers them: a disc, disk images, a machine's folder. */
const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-drop-'));
const at = (name: string): string => path.join(folder, name);
let input: CDPSession;

beforeAll(() => {
  copyFileSync(path.join(root, 'out/sample/hypervue-check.img'), at('check image.img'));
  // A volume descriptor is all that tells a disc.
  const disc = Buffer.alloc(64 * 2048);
  disc.write('\x01CD001\x01', 16 * 2048, 'latin1');
  disc.write('DROPPED DISC'.padEnd(32), 16 * 2048 + 40, 'latin1');
  disc.write('\xffCD001\x01', 17 * 2048, 'latin1');
  writeFileSync(at('拖放.iso'), disc);
  execFileSync(process.execPath, [path.join(root, 'core/cli/main.ts'), 'disk', 'create', at('disk.qcow2'), '64M'], { stdio: 'pipe' });
  mkdirSync(at('Machine'));
  writeFileSync(at('Machine/vm.json'), '{}');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Drags files over the middle of the window, and lets them fall. */
async function drag(...files: string[]): Promise<void> {
  const { page } = window;
  input ??= await page.context().newCDPSession(page);
  const data = { items: [], files: files.map(at), dragOperationsMask: 1 };
  const event = (type: 'dragEnter' | 'dragOver' | 'drop') => input.send('Input.dispatchDragEvent', { type, x: 640, y: 400, data });
  await event('dragEnter');
  await event('dragOver');
  await page.getByTestId('drop-host').waitFor();
  await event('drop');
  await page.getByTestId('drop-host').waitFor({ state: 'detached' });
}

const uploads = async () => (await contract.call('task.list', {})).filter(({ kind }) => kind === 'disk.upload');

/** The wizard asks before entries are lost. */
async function toMachines(): Promise<void> {
  const { page } = window;
  await page.getByTestId('nav-machines').click();
  const leave = page.getByTestId('confirm-ok');
  await page
    .getByTestId('wizard')
    .or(leave)
    .first()
    .waitFor({ timeout: 1000 })
    .catch(() => {});
  if (await leave.isVisible()) await leave.click();
  await page.getByTestId('wizard').waitFor({ state: 'detached' });
}

const uploaded = (name: string): string => path.join(server.home, 'disks', name);
const sourcePath = (): Promise<string> => window.page.getByTestId('source-path').locator('input').inputValue();

test.each([
  ['拖放.iso', 'iso'],
  ['disk.qcow2', 'disk'],
  ['check image.img', 'disk'],
] as const)('%s opens the wizard with it as its source', async (name, source) => {
  const { app, page } = window;
  await toMachines();
  await drag(name);
  await app.byId('wizard').waitFor();
  await eventually('the file in the wizard', async () => (await sourcePath()) === uploaded(name));
  expect(await page.getByTestId(`source-${source}`).isChecked()).toBe(true);
  expect(statSync(uploaded(name)).size).toBe(statSync(at(name)).size);
});

test('of several files the first is taken, and a folder is not sent but asked about', async () => {
  const { app, page } = window;
  await toMachines();
  await drag('disk.qcow2', 'check image.img');
  await app.byId('wizard').waitFor();
  // Its own name was taken.
  await eventually('the first file in the wizard', async () => (await sourcePath()) === uploaded('disk 2.qcow2'));
  expect(existsSync(uploaded('check image 2.img'))).toBe(false);
  await toMachines();
  await drag('Machine');
  await page.getByTestId('confirm-dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByTestId('confirm-dialog').waitFor({ state: 'detached' });
  expect(existsSync(uploaded('Machine'))).toBe(false);
});

test('a drag that goes out of the window or is given up leaves no zone, sends nothing and opens nothing', async () => {
  const { page } = window;
  await toMachines();
  const before = (await uploads()).length;
  const data = { items: [], files: [at('disk.qcow2')], dragOperationsMask: 1 };
  const event = (type: 'dragEnter' | 'dragOver' | 'dragCancel') => input.send('Input.dispatchDragEvent', { type, x: 640, y: 400, data });
  await event('dragEnter');
  await event('dragOver');
  await page.getByTestId('drop-host').waitFor();
  await page.evaluate("document.body.dispatchEvent(new DragEvent('dragleave', { bubbles: true, relatedTarget: null }))");
  await page.getByTestId('drop-host').waitFor({ state: 'detached', timeout: 500 });
  // Given up without a word: Chromium tells the page nothing of this one.
  await event('dragEnter');
  await event('dragOver');
  await page.getByTestId('drop-host').waitFor();
  await event('dragCancel');
  await page.getByTestId('drop-host').waitFor({ state: 'detached', timeout: 5000 });
  expect(await page.getByTestId('wizard').count()).toBe(0);
  expect(await uploads()).toHaveLength(before);
});

test('sending a file that was dropped can be cancelled: nothing of it stays, no page opens, and no error is shown', async () => {
  const { page } = window;
  await toMachines();
  truncateSync(at('拖放.iso'), 8 * 2 ** 30);
  await drag('拖放.iso');
  const { id: sent } = await eventually('the transfer', async () => (await uploads()).find(({ state }) => state === 'running')!);
  await page.locator(`[data-testid="task"][data-state="running"]`).getByTestId('task-cancel').click();
  await eventually('that it is over', async () => (await uploads()).find(({ id }) => id === sent)?.state === 'cancelled');
  await eventually('no part of it', () => readdirSync(path.join(server.home, 'disks')).every((name) => !name.includes('拖放 2')));
  expect(readdirSync(path.join(server.home, 'disks')).filter((name) => name.startsWith('.') && name !== '.trash')).toEqual([]);
  expect(await page.getByTestId('wizard').count()).toBe(0);
  expect(await page.getByTestId('error-dialog').allInnerTexts()).toEqual([]);
}, 60_000);
