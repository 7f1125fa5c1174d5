import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { VmConfig } from '../../core/contract/vm.ts';
import { accessibilityProblems } from './support/accessibility.ts';
import { eventually } from './support/browser.ts';
import { contract, server, window } from './support/session.ts';

/** The hardware of a real machine, off and running: what is set comes into vm.json, and what can't be set says why. */

let id: string;
let folder: string;
const stored = (): VmConfig => JSON.parse(readFileSync(path.join(folder, 'vm.json'), 'utf8'));

beforeAll(async () => {
  const vm = await contract.call('vm.create', {
    name: 'Workbench',
    memoryMiB: 32,
    source: { type: 'blank' },
    newDisk: { sizeBytes: 4 << 20, format: 'qcow2' },
  });
  ({ id, folder } = vm);
  const { app } = window;
  await app.machines.card('Workbench').waitFor();
  await app.machines.open('Workbench');
  await app.machine().tab('hardware');
});

test('memory and processor change in the file; unapplied changes hold back the page until it is said what becomes of them', async () => {
  const { app, page } = window;
  const machine = app.machine();
  await machine.device('memory');
  const memory = page.getByTestId('memory').locator('input');
  await memory.fill('48');
  await memory.blur();
  await page.getByTestId('device-cpu').click();
  await page.getByTestId('confirm-dialog').waitFor();
  await page.getByTestId('confirm-cancel').click();
  await machine.applyHardware();
  expect(stored().memoryMiB).toBe(48);
  await machine.device('cpu');
  await page.getByTestId('cpu-model').selectOption('x86-64-v2');
  await machine.applyHardware();
  expect(stored().cpu.model).toBe('x86-64-v2');
  // More than the host has is refused with the limit, and nothing is written.
  await machine.device('memory');
  await memory.fill('99999999');
  await memory.blur();
  expect(Number(await memory.inputValue()) * 2 ** 20).toBeLessThanOrEqual((await contract.call('host.info', {})).memoryBytes);
  await page.getByTestId('hardware-discard').click();
  expect(stored().memoryMiB).toBe(48);
});

test('a disk and a serial port are added and removed again, and the boot order is turned round', async () => {
  const { app, page } = window;
  const machine = app.machine();
  await page.getByTestId('device-add').click();
  const dialog = page.getByTestId('add-device');
  await dialog.getByTestId('add-newDisk').check({ force: true });
  await dialog.getByTestId('add-size').fill('0.01');
  await dialog.getByTestId('add-bus').selectOption('virtio');
  expect(await accessibilityProblems(page)).toEqual([]);
  await dialog.getByTestId('add-device-ok').click();
  await dialog.waitFor({ state: 'detached' });
  const added = stored().drives.find(({ id: place }) => place.startsWith('virtio'))!;
  expect(added.kind).toBe('disk');
  const size = Number(
    JSON.parse(execFileSync('qemu-img', ['info', '--output=json', path.join(folder, added.path!)], { encoding: 'utf8' }))['virtual-size'],
  );
  expect(Math.abs(size - 0.01 * 2 ** 30)).toBeLessThan(512);

  await machine.device('boot');
  const order = () =>
    page
      .getByTestId('boot-order')
      .locator('[data-place]')
      .evaluateAll((lines) => lines.map((line) => line.getAttribute('data-place')));
  const before = await order();
  for (let place = before.indexOf(added.id); place > 0; place--) await page.getByTestId(`boot-${added.id}-up`).click();
  expect((await order())[0]).toBe(added.id);
  await machine.applyHardware();
  expect(stored().boot.order[0]).toBe(added.id);

  // Both ports are there: one more can't be added, and the dialog says so.
  const ports = stored().serial.length;
  await machine.device(`serial${ports - 1}`);
  await page.getByTestId('serial-remove').click();
  await app.confirm();
  await eventually('a port less', () => stored().serial.length === ports - 1);
  await page.getByTestId('device-add').click();
  await dialog.getByTestId('add-serial').check({ force: true });
  await dialog.getByTestId('add-device-ok').click();
  await dialog.waitFor({ state: 'detached' });
  expect(stored().serial).toHaveLength(ports);
  await page.getByTestId('device-add').click();
  expect(await dialog.getByTestId('add-serial').isDisabled()).toBe(true);
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });

  await machine.device(added.id);
  await page.getByTestId('drive-remove').click();
  await page.getByTestId('confirm-dialog').waitFor();
  await app.confirm();
  await eventually('a drive less', () => stored().drives.every(({ id: place }) => place !== added.id));
});

test('a disk on USB brings the controller along, which has a tablet when it is told so and goes when nothing is on it', async () => {
  const { app, page } = window;
  const machine = app.machine();
  await page.getByTestId('device-add').click();
  const dialog = page.getByTestId('add-device');
  await dialog.getByTestId('add-newDisk').check({ force: true });
  await dialog.getByTestId('add-size').fill('0.01');
  await dialog.getByTestId('add-bus').selectOption('usb');
  await dialog.getByTestId('add-device-ok').click();
  await dialog.waitFor({ state: 'detached' });
  expect(stored()).toMatchObject({ usb: { tablet: false }, drives: expect.arrayContaining([expect.objectContaining({ id: 'usb0' })]) });
  await machine.device('usb');
  expect(await page.getByTestId('usb-remove').isDisabled()).toBe(true);
  await page.getByTestId('usb-tablet').click();
  expect(await accessibilityProblems(page)).toEqual([]);
  await machine.applyHardware();
  expect(stored().usb).toEqual({ tablet: true });
  await machine.device('explain');
  await eventually('the controller in QEMU’s words', async () =>
    /qemu-xhci[\s\S]*usb-tablet[\s\S]*usb-storage/.test((await page.getByTestId('explain-command').textContent()) ?? ''),
  );
  // While it is on, disks on USB come and go.
  await contract.call('vm.start', { id });
  const now = async () => {
    const { config, runsWith } = await contract.call('vm.get', { id });
    return (runsWith ?? config)!.drives.map((drive) => drive.id).filter((place) => place.startsWith('usb'));
  };
  await page.getByTestId('device-add').click();
  await dialog.getByTestId('add-newDisk').check({ force: true });
  await dialog.getByTestId('add-size').fill('0.01');
  await dialog.getByTestId('add-bus').selectOption('usb');
  await dialog.getByTestId('add-device-ok').click();
  await dialog.waitFor({ state: 'detached' });
  await eventually('another disk, at once', async () => (await now()).join() === 'usb0,usb1');
  const toggle = page.getByTestId('drive-plug-toggle');
  await machine.device('usb0');
  expect(await page.getByTestId('drive-plug').textContent()).toContain('Plugged in');
  await toggle.click();
  await app.confirm();
  await eventually('one is pulled out', async () => (await now()).join() === 'usb1');
  await page.getByTestId('pending').waitFor();
  expect(await accessibilityProblems(page)).toEqual([]);
  await toggle.click();
  await eventually('and plugged in again', async () => (await now()).join() === 'usb0,usb1');
  await page.getByTestId('pending').waitFor({ state: 'detached' });
  await machine.device('usb1');
  await page.getByTestId('drive-remove').click();
  await app.confirm();
  await eventually(
    'a drive less, at once',
    async () => (await now()).join() === 'usb0' && stored().drives.every(({ id: place }) => place !== 'usb1'),
  );
  await contract.call('vm.forceOff', { id });
  await machine.device('usb0');
  await page.getByTestId('drive-plug').waitFor({ state: 'detached' });
  await page.getByTestId('drive-remove').click();
  await app.confirm();
  await eventually('a drive less', () => stored().drives.every(({ id: place }) => place !== 'usb0'));
  await machine.device('usb');
  await page.getByTestId('usb-remove').click();
  await app.confirm();
  await eventually('no controller', () => stored().usb === null);
});

test('a disk that is there is attached as what it is, never before that is known; what is no disk for a machine can’t be added', async () => {
  const { app, page } = window;
  const machine = app.machine();
  const foreign = Buffer.alloc(1 << 20);
  foreign.write('KDMV');
  foreign.writeUInt32LE(1, 4);
  writeFileSync(path.join(server.home, 'foreign.img'), foreign);
  writeFileSync(path.join(server.home, 'notes.txt'), 'hello world');
  await server.cli('disk', 'create', path.join(server.home, 'there.img'), '8M', '--format', 'qcow2');
  await machine.device('memory');
  await page.getByTestId('device-add').click();
  const dialog = page.getByTestId('add-device');
  const ok = dialog.getByTestId('add-device-ok');
  await dialog.getByTestId('add-disk').check({ force: true });
  for (const name of ['foreign.img', 'notes.txt', 'nowhere.img']) {
    await dialog.getByTestId('add-medium-path').locator('input').fill(path.join(server.home, name));
    await eventually(`that ${name} is refused`, async () => (await ok.getAttribute('title')) === 'This file can’t be used');
    expect(await ok.isDisabled()).toBe(true);
  }
  await dialog.getByTestId('add-medium-path').locator('input').fill(path.join(server.home, 'there.img'));
  expect(await ok.isDisabled()).toBe(true);
  await ok.click();
  await dialog.waitFor({ state: 'detached' });
  const drive = stored().drives.find(({ path: file }) => file?.endsWith('there.img'))!;
  expect(drive.format).toBe('qcow2');
  await machine.device(drive.id);
  await page.getByTestId('drive-remove').click();
  await app.confirm();
  await eventually('a drive less', () => stored().drives.every(({ id }) => id !== drive.id));
});

test('a name that is taken is told while it is typed; why applying failed is in view in a small window too', async () => {
  const { app, page } = window;
  const machine = app.machine();
  const other = await contract.call('vm.create', { name: 'Taken', memoryMiB: 16, source: { type: 'blank' }, newDisk: null });
  await page.setViewportSize({ width: 900, height: 600 });
  try {
    await machine.device('machine');
    await page.getByTestId('hardware-name').locator('input').fill('taken');
    expect(await page.getByTestId('name-problem').innerText()).toBe('Another machine has this name.');
    await page.getByTestId('hardware-save').click();
    const fix = page.getByTestId('error-fix');
    await fix.waitFor();
    const seen = await fix.evaluate((element) => {
      const own = element.getBoundingClientRect();
      const shown = element.ownerDocument.elementFromPoint(own.left + 5, own.bottom - 3);
      return shown !== null && element.contains(shown);
    });
    expect(seen).toBe(true);
    await page.getByTestId('hardware-discard').click();
  } finally {
    await page.setViewportSize({ width: 1280, height: 800 });
    await contract.call('vm.delete', { id: other.id });
  }
});

test('vm.json is edited as text: what is wrong is named with its line, what is right is applied and the former kept', async () => {
  const { app, page } = window;
  const machine = app.machine();
  await machine.device('config');
  const editor = page.locator('.cm-content');
  await editor.waitFor();
  const write = async (text: string) => {
    await editor.fill(text);
  };
  const good = readFileSync(path.join(folder, 'vm.json'), 'utf8');
  await write(good.replace('"memoryMiB": 48', '"memoryMiB": "plenty"'));
  const problems = page.getByTestId('config-problems');
  await problems.waitFor();
  expect(await problems.innerText()).toMatch(/line \d+[\s\S]*memoryMiB/i);
  expect(await page.getByTestId('hardware-save').isDisabled()).toBe(true);
  expect(await accessibilityProblems(page)).toEqual([]);
  await write('{ this is not JSON');
  await eventually('another problem', async () => !(await problems.innerText()).includes('memoryMiB'));
  await write(good.replace('"memoryMiB": 48', '"memoryMiB": 40'));
  await page.getByTestId('config-fine').waitFor();
  await machine.applyHardware();
  expect(stored().memoryMiB).toBe(40);
  expect(await page.getByTestId('config-backup').locator('option').count()).toBeGreaterThan(1);
});

test('the machine in the terms of QEMU: its command line starts QEMU', async () => {
  const { app, page } = window;
  await app.machine().device('explain');
  const command = await page.getByTestId('explain-command').innerText();
  expect(command).toMatch(/^qemu-system-x86_64\b/);
  expect(command).toContain('-m 40');
  // QEMU takes all of it, opens the disk and stops before the first instruction. `-display none` and the rest only turn windows off.
  const output = execFileSync('bash', ['-c', `${command.replaceAll('\\\n', ' ')} -S -display none -monitor stdio`], {
    cwd: folder,
    input: 'info block\nquit\n',
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect(output).toContain('disk.qcow2');
});

test('of a running machine, what waits for the next start is shown beside what is, and can be taken back', async () => {
  const { app, page } = window;
  const machine = app.machine();
  await contract.call('vm.start', { id });
  await machine.waitForState('running');
  await machine.device('memory');
  const memory = page.getByTestId('memory').locator('input');
  await memory.fill('64');
  await memory.blur();
  await machine.applyHardware();
  const pending = page.getByTestId('pending');
  expect(await pending.innerText()).toMatch(/40 MiB[\s\S]*64 MiB/);
  expect(await accessibilityProblems(page)).toEqual([]);
  await page.getByTestId('pending-revert').click();
  await app.confirm();
  await pending.waitFor({ state: 'detached' });
  expect(stored().memoryMiB).toBe(40);
  await contract.call('vm.forceOff', { id });
  await machine.waitForState('off');
  expect(window.problems).toEqual([]);
});
