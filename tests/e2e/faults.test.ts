import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { eventually } from './support/browser.ts';
import { browser, contract, server, window } from './support/session.ts';

/** Bad input as a person meets it: each has its own clear error on the page, and nothing else is disturbed. */
let media: string;

beforeAll(async () => {
  media = path.join(server.home, 'media');
  mkdirSync(media);
});

/** A raw disk whose first sector prints nothing and halts: enough to be bootable. */
function bootableDisk(name: string): string {
  const file = path.join(media, name);
  const bytes = Buffer.alloc(1024 * 1024);
  bytes.set([0xfa, 0xf4, 0xeb, 0xfd], 0); // cli; hlt; jmp back
  bytes.set([0x55, 0xaa], 510);
  writeFileSync(file, bytes);
  return file;
}

/** The summary's failed checks for a source, through the wizard. */
async function checksFor(source: 'iso' | 'disk' | 'floppy', file: string, name: string, memoryMiB?: number): Promise<string> {
  const { app } = window;
  await app.machines.create();
  await app.wizard.source(source, file);
  await app.wizard.next();
  await app.wizard.name(name);
  await app.wizard.next();
  if (memoryMiB !== undefined) await app.wizard.memory(memoryMiB);
  await app.wizard.next();
  await app.wizard.disk(null);
  await app.wizard.next();
  await app.wizard.waitForSummary();
  const failed = (await app.wizard.failedChecks()).join('\n');
  await window.page.getByTestId('wizard-cancel').click();
  await window.page.getByTestId('confirm-other').click();
  return failed;
}

test('a wrong token gets the login page, says so, and the right one goes on', async () => {
  const context = await browser.newContext({ locale: 'en-US' });
  const page = await context.newPage();
  try {
    await page.goto(`${server.url}#token=${'x'.repeat(43)}`);
    await page.getByTestId('login-token').waitFor();
    expect(await page.getByTestId('login-error').innerText()).toMatch(/token/i);
    await page.getByTestId('login-token').locator('input').fill(server.token);
    await page.getByTestId('login-submit').click();
    await page.getByTestId('nav-machines').waitFor();
  } finally {
    await context.close();
  }
});

test('missing, empty, truncated and non-bootable media are told apart', async () => {
  const missing = await checksFor('iso', path.join(media, 'gone.iso'), 'Missing');
  expect(missing).toMatch(/gone\.iso/);
  writeFileSync(path.join(media, 'empty.iso'), '');
  const empty = await checksFor('iso', path.join(media, 'empty.iso'), 'Empty');
  expect(empty).toMatch(/empty/i);
  // An ISO 9660 primary descriptor that announces more sectors than the file has.
  const truncated = Buffer.alloc(40 * 1024);
  truncated.write('\x01CD001\x01', 0x8000, 'latin1');
  truncated.writeUInt32LE(100_000, 0x8050);
  truncated.writeUInt32BE(100_000, 0x8054);
  writeFileSync(path.join(media, 'short.iso'), truncated);
  const short = await checksFor('iso', path.join(media, 'short.iso'), 'Short');
  expect(short).toMatch(/cut off/i);
  writeFileSync(path.join(media, 'plain.img'), Buffer.alloc(1024 * 1024, 0x20));
  const plain = await checksFor('disk', path.join(media, 'plain.img'), 'Plain');
  expect(plain).toMatch(/boot/i);
  expect(new Set([missing, empty, short, plain]).size).toBe(4);
  expect((await contract.call('vm.list', {})).map((vm) => vm.name)).toEqual([]);
});

test('more memory than the host has is refused with the limit', async () => {
  const { limits } = await contract.call('host.info', {});
  const error = await contract.call('vm.create', { name: 'Big', memoryMiB: 3072, source: { type: 'blank' }, newDisk: null }).then(
    (vm) => vm,
    (failure) => failure.dto,
  );
  // A large host may have room for it: then the contract's own bound is what has to hold.
  if (limits.maxMemoryMiB < 3072) expect(error).toMatchObject({ kind: 'resource-limit' });
  const beyond = await contract
    .call('vm.create', { name: 'Bigger', memoryMiB: 1_000_000, source: { type: 'blank' }, newDisk: null })
    .catch((failure) => failure.dto);
  expect(beyond).toMatchObject({ kind: 'invalid-argument', message: expect.stringContaining('memoryMiB') });
});

test('a disk that another machine writes to is refused by name, and that machine goes on', async () => {
  const disk = bootableDisk('shared.img');
  for (const name of ['First', 'Second'])
    await contract.call('vm.create', { name, memoryMiB: 8, source: { type: 'disk', path: disk, copy: false }, newDisk: null });
  const { app } = window;
  await app.goToMachines();
  await app.machines.start('First');
  await app.machines.waitForState('First', 'running');
  await app.machines.start('Second');
  const problems = await app.takeStartChecks();
  expect(problems).toMatch(/shared\.img/);
  expect(problems).toMatch(/First/);
  await app.machines.waitForState('Second', 'off');
  await app.machines.waitForState('First', 'running');
});

test('a start is looked at beforehand: a medium that is gone is ejected from the list, and the machine starts', async () => {
  const iso = path.join(media, 'leaving.iso');
  const disc = Buffer.alloc(40 * 1024);
  disc.write('\x01CD001\x01', 0x8000, 'latin1');
  disc.writeUInt32LE(20, 0x8050);
  disc.writeUInt32BE(20, 0x8054);
  writeFileSync(iso, disc);
  const { id } = await contract.call('vm.create', {
    name: 'Leaving',
    memoryMiB: 8,
    source: { type: 'iso', path: iso },
    newDisk: null,
    attach: { path: bootableDisk('staying.img'), copy: false },
  });
  rmSync(iso);
  const { app } = window;
  await app.goToMachines();
  await app.machines.start('Leaving');
  const dialog = app.byId('start-checks');
  await dialog.waitFor();
  expect(await dialog.locator('li[data-ok="false"]').allInnerTexts()).toEqual([expect.stringContaining('leaving.iso')]);
  expect(await dialog.getByTestId('start-checks-go').isDisabled()).toBe(true);
  await dialog.getByTestId('fix-ide2').click();
  await eventually('that nothing is wrong', async () => (await dialog.locator('li[data-ok="false"]').count()) === 0);
  await dialog.getByTestId('start-checks-go').click();
  await app.machines.waitForState('Leaving', 'running');
  await contract.call('vm.forceOff', { id });
});

test('a disk that is marked as damaged keeps a machine from starting, and is checked and repaired from the list', async () => {
  const { id, folder, config } = await contract.call('vm.create', {
    name: 'Marked',
    memoryMiB: 8,
    source: { type: 'blank' },
    newDisk: { format: 'qcow2', sizeBytes: 1 << 20 },
  });
  const disk = path.join(folder, config!.drives.find(({ kind }) => kind === 'disk')!.path!);
  // Incompatible feature bit 1 (QEMU's docs/interop/qcow2.txt, "Corrupt bit"), of a big-endian word at 72.
  const bytes = readFileSync(disk);
  bytes[79]! |= 2;
  writeFileSync(disk, bytes);
  const { app, page } = window;
  await app.goToMachines();
  await app.machines.start('Marked');
  const dialog = app.byId('start-checks');
  await dialog.waitFor();
  await dialog.locator('[data-testid^="fix-"]').click();
  const check = app.byId('volume-check');
  await check.getByTestId('dialog-submit').click();
  await check.getByTestId('check-marked').waitFor();
  await check.getByTestId('repair-all').click();
  await check.getByTestId('check-marked').waitFor({ state: 'detached' });
  await check.getByTestId('dialog-cancel').click();
  expect(new URL(page.url()).hash + new URL(page.url()).search).not.toContain('check=');
  await app.goToMachines();
  await app.machines.start('Marked');
  // Only that nothing on it can be booted is left.
  await dialog.getByTestId('start-checks-go').click();
  await app.machines.waitForState('Marked', 'running');
  await contract.call('vm.forceOff', { id });
});

test('a corrupt vm.json shows as a problem, stays as it is, and the others work', async () => {
  const folder = path.join(server.library, 'broken');
  mkdirSync(folder);
  const file = path.join(folder, 'vm.json');
  writeFileSync(file, '{"schema":1,"name":"half');
  await contract.call('vm.list', {});
  const { app, page } = window;
  await app.goToMachines();
  const card = page.locator('[data-testid="machine-card"][data-name="broken"]');
  await card.waitFor();
  expect(await card.textContent()).toMatch(/vm\.json|can.t be read|damaged|problem/i);
  expect(readFileSync(file, 'utf8')).toBe('{"schema":1,"name":"half');
  await app.machines.waitForState('First', 'running');
});

test('garbage on a VNC port disturbs neither the machine nor another viewer', async () => {
  const disk = bootableDisk('vnc.img');
  const created = await contract.call('vm.create', {
    name: 'Listening',
    memoryMiB: 8,
    source: { type: 'disk', path: disk, copy: false },
    newDisk: null,
    listen: { type: 'tcp', host: '127.0.0.1', display: 23 },
  });
  await contract.call('vm.start', { id: created.id });
  const { app } = window;
  await app.goToMachines();
  await app.machines.open('Listening');
  const machine = app.machine();
  await machine.tab('console');
  await machine.focusConsole();
  for (let round = 0; round < 5; round++)
    await new Promise<void>((resolve, reject) => {
      const socket = connect(5923, '127.0.0.1', () =>
        socket.write(Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * 7919 + round) & 0xff))),
      );
      socket.on('error', () => {});
      // The server hangs up on what is no RFB.
      socket.on('close', () => resolve());
      socket.on('data', () => {});
      setTimeout(() => reject(new Error('the server kept a garbage connection')), 30_000).unref();
    });
  await machine.waitForState('running');
  expect((await contract.call('vm.screenshot', { id: created.id })).width).toBeGreaterThan(0);
  await machine.focusConsole();
});

test('a killed VM process marks its machine crashed, harms no other, and it starts again', async () => {
  const { app } = window;
  await app.goToMachines();
  const log = path.join(server.library);
  expect(existsSync(log)).toBe(true);
  const children = readFileSync(`/proc/${server.process.pid}/task/${server.process.pid}/children`, 'utf8').trim().split(' ').map(Number);
  // Machines that run: First and Listening. The killed one is Listening, started last.
  process.kill(Math.max(...children), 'SIGKILL');
  await app.machines.waitForState('Listening', 'crashed');
  await app.machines.waitForState('First', 'running');
  const crashed = (await contract.call('vm.list', {})).find((vm) => vm.name === 'Listening');
  expect(crashed?.problem?.message).toMatch(/SIGKILL|killed/i);
  await app.machines.start('Listening');
  await app.machines.waitForState('Listening', 'running');
});

test('eight machines run at once', async () => {
  const ids: string[] = [];
  for (let index = 0; index < 8; index++) {
    const { id } = await contract.call('vm.create', {
      name: `Crowd ${index + 1}`,
      memoryMiB: 8,
      source: { type: 'disk', path: bootableDisk(`crowd${index}.img`), copy: false },
      newDisk: null,
    });
    ids.push(id);
  }
  await Promise.all(ids.map((id) => contract.call('vm.start', { id })));
  const running = await eventually(
    'eight running machines',
    async () => {
      const list = (await contract.call('vm.list', {})).filter((vm) => ids.includes(vm.id) && vm.state === 'running');
      return list.length === 8 ? list : undefined;
    },
    60_000,
  );
  expect(running).toHaveLength(8);
  // Each has its own picture and answers on its own.
  for (const id of ids) expect((await contract.call('vm.screenshot', { id })).width).toBeGreaterThan(0);
  await contract.call('vm.pause', { id: ids[0]! });
  expect((await contract.call('vm.get', { id: ids[1]! })).state).toBe('running');
  await Promise.all(ids.map((id) => contract.call('vm.forceOff', { id })));
  await eventually('eight machines off', async () =>
    (await contract.call('vm.list', {})).filter((vm) => ids.includes(vm.id)).every((vm) => vm.state === 'off'),
  );
}, 180_000);
