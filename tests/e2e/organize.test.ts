import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { Organizing } from './pages/organizing.ts';
import { accessibilityProblems } from './support/accessibility.ts';
import { eventually, openWindow } from './support/browser.ts';
import { browser, contract, server, window } from './support/session.ts';

/** A library of several machines kept in order, on a real manager: what is set here is in the files, in other windows and after a new start. */

const names = ['Alpha', 'Beta', 'Gamma', 'Delta'];
let organizing: Organizing;
const machine = async (name: string) => (await contract.call('vm.list', {})).find((vm) => vm.name === name)!;
const states = async () => Object.fromEntries((await contract.call('vm.list', {})).map((vm) => [vm.name, vm.state]));
/** vm.json as it is on the disk. */
const stored = async (name: string) => JSON.parse(readFileSync(path.join((await machine(name)).folder, 'vm.json'), 'utf8'));

beforeAll(async () => {
  for (const name of names)
    await contract.call('vm.create', { name, memoryMiB: 32, source: { type: 'blank' }, newDisk: { sizeBytes: 1 << 20, format: 'qcow2' } });
  organizing = new Organizing(window.page);
  await window.app.machines.card('Delta').waitFor();
});

test('several machines get a tag and a folder at once, which their files keep and filters find', async () => {
  const { app, page } = window;
  await organizing.choose('Alpha', 'Gamma');
  await organizing.tag('lab');
  await organizing.choose('Alpha', 'Beta');
  await organizing.move('work/servers');
  await organizing.folder('work/servers').waitFor();
  await eventually('the files', async () => (await stored('Beta')).group === 'work/servers' && (await stored('Gamma')).tags[0] === 'lab');
  expect((await stored('Alpha')).tags).toEqual(['lab']);
  expect((await stored('Delta')).group).toBe('');
  expect(await accessibilityProblems(page)).toEqual([]);

  await organizing.filterByTag('lab');
  expect(await organizing.shown()).toEqual(['Alpha', 'Gamma']);
  await organizing.folder('work/servers').click();
  expect(await organizing.shown()).toEqual(['Alpha']);
  await app.machines.search('nothing like it');
  await page.getByTestId('no-match').waitFor();
  await page.getByTestId('no-match').getByRole('button').click();
  await eventually('all machines', async () => (await organizing.shown()).length === 4);
});

test('a saved view brings back filter, order and layout, in another window as well', async () => {
  const { page } = window;
  await organizing.filterByTag('lab');
  await page.getByTestId('view-table').click();
  await page.getByTestId('machine-table').waitFor();
  await page.getByTestId('sort-direction').click();
  expect(await organizing.shown()).toEqual(['Gamma', 'Alpha']);
  expect(await accessibilityProblems(page)).toEqual([]);
  await organizing.saveView('Lab, from the end');
  await page.getByTestId('view-grid').click();
  await organizing.filterByTag('lab');
  await page.getByTestId('sort-direction').click();
  await eventually('all machines in the grid', async () => (await organizing.shown()).join() === 'Alpha,Beta,Delta,Gamma');

  const other = await openWindow(browser, server);
  try {
    const there = new Organizing(other.page);
    await there.view('Lab, from the end');
    await other.page.getByTestId('machine-table').waitFor();
    expect(await there.shown()).toEqual(['Gamma', 'Alpha']);
    expect(other.problems).toEqual([]);
  } finally {
    await other.close();
  }
  await page.getByTestId('view-grid').click();
});

test('a verb for several starts real machines, leaves out those that are on, and forces all off', async () => {
  const { app, page } = window;
  await eventually('the grid', () => app.machines.card('Beta').isVisible());
  await app.machines.start('Delta');
  // Their disks are empty.
  await app.byId('start-checks-go').click();
  await app.machines.waitForState('Delta', 'running');
  await organizing.choose('Alpha', 'Beta', 'Delta');
  const question = await organizing.bulk('start');
  expect(await question.getByTestId('bulk-names').locator('li').allInnerTexts()).toEqual(['Alpha', 'Beta']);
  expect(await question.getByTestId('bulk-left').innerText()).toContain('Delta');
  expect(await accessibilityProblems(page)).toEqual([]);
  await question.getByTestId('bulk-ok').click();
  for (const name of ['Alpha', 'Beta']) await app.byId(`start-checks-${name}`).getByText('no boot signature').waitFor();
  expect(await accessibilityProblems(page)).toEqual([]);
  await app.byId('start-checks-go').click();
  for (const name of ['Alpha', 'Beta']) await app.machines.waitForState(name, 'running');
  await organizing.choose('Alpha', 'Beta', 'Delta');
  await organizing.bulkNow('pause');
  for (const name of ['Alpha', 'Beta', 'Delta']) await app.machines.waitForState(name, 'paused');
  await organizing.choose('Alpha', 'Beta', 'Delta');
  await organizing.bulkNow('forceOff');
  await eventually('all off', async () => Object.values(await states()).every((state) => state === 'off'));
});

test('a machine is renamed, and gets notes and a place among those that start by themselves', async () => {
  const { app, page } = window;
  await app.machines.open('Gamma');
  await app.machine().rename('Gamma & <Söhne>');
  await eventually('the new name', async () => (await machine('Gamma & <Söhne>')) !== undefined);
  const notes = page.getByTestId('description').locator('textarea').first();
  await notes.fill('Holds the ledger.\nAsk before it is deleted.');
  await page.getByTestId('description-save').click();
  await page.getByTestId('autostart').click();
  const delay = page.getByTestId('autostart-delay').locator('input');
  await delay.fill('3');
  await delay.blur();
  await eventually('the file', async () => {
    const config = await stored('Gamma & <Söhne>');
    return config.autostart?.delaySeconds === 3 && config.description.includes('\nAsk before');
  });
  expect(await accessibilityProblems(page)).toEqual([]);
  await page.getByTestId('autostart').click();
  await eventually('no autostart', async () => (await stored('Gamma & <Söhne>')).autostart === null);
  await app.goToMachines();
  await app.machines.search('ledger');
  expect(await organizing.shown()).toEqual(['Gamma & <Söhne>']);
  await app.machines.search('');
});

test('several machines go to the trash with the space they take, and come back whole', async () => {
  const { app, page } = window;
  const folder = (await machine('Alpha')).folder;
  const before = await stored('Alpha');
  await organizing.choose('Alpha', 'Beta');
  await organizing.bulkNow('delete');
  await eventually('two machines left', async () => (await organizing.shown()).length === 2);
  expect(existsSync(folder)).toBe(false);
  await app.trash.open();
  expect(await app.trash.row('Alpha').innerText()).toMatch(/\d+ KiB/);
  await app.trash.restore('Alpha');
  await app.trash.remove('Beta');
  expect(await page.getByTestId('confirm-dialog').innerText()).toContain('Beta');
  await app.confirm();
  await app.goToMachines();
  await app.machines.card('Alpha').waitFor();
  // As it was: tag, folder and disk.
  expect(before.tags).toEqual(['lab']);
  expect(await stored('Alpha')).toEqual(before);
  expect(existsSync(path.join(folder, 'disk.qcow2'))).toBe(true);
  expect(window.problems).toEqual([]);
});
