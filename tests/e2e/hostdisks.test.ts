import { afterAll, expect, test } from 'vitest';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { type LoopDevice, loopDevice, noLoopDevices } from '../../core/platform/testing/loopdevice.ts';
import { accessibilityProblems } from './support/accessibility.ts';
import { eventually } from './support/browser.ts';
import { contract, window } from './support/session.ts';

/** A disk of this computer in a machine, in the window: given, shown on both pages, started with, and taken back. */
let loop: LoopDevice | undefined;
afterAll(() => loop?.dispose());

test.skipIf(noLoopDevices)(
  'a device is given to a machine, which starts with it and gives it back; one that is mounted is not',
  async () => {
    const { app, page } = window;
    loop = loopDevice(16 << 20);
    writeFileSync(loop.path, Buffer.alloc(1 << 20, 7), { flag: 'r+' });
    const name = loop.path.replace('/dev/', '');
    const vm = await contract.call('vm.create', { name: 'Taker', memoryMiB: 32, source: { type: 'blank' }, newDisk: null });
    const folder = loop.mount();
    await app.machines.card('Taker').waitFor();
    await app.byId('nav-host-devices').click();
    const row = page.locator(`[data-testid="host-block-device"][data-name="${name}"]`);
    const give = row.getByTestId('host-block-give');
    await row.waitFor();
    const late = loopDevice(8 << 20);
    const lateRow = page.locator(`[data-testid="host-block-device"][data-name="${late.path.replace('/dev/', '')}"]`);
    await lateRow.waitFor({ timeout: 15_000 });
    late.dispose();
    await lateRow.waitFor({ state: 'detached', timeout: 15_000 });
    expect(await give.getAttribute('aria-description')).toContain(folder);
    await give.click({ force: true });
    expect(await page.getByTestId('give-device').count()).toBe(0);
    loop.unmount();
    const before = loop.content();
    // Nobody has to ask: the list follows.
    await eventually('the device is free', async () => (await give.getAttribute('aria-disabled')) === null);
    await give.click();
    const dialog = page.getByTestId('give-device');
    await dialog.waitFor();
    expect(await dialog.getByTestId('give-device-warning').innerText()).toContain('may be lost');
    expect(await dialog.getByTestId('give-device-facts').innerText()).toContain(loop.path);
    await eventually('what is on it was looked at', async () =>
      (await dialog.getByTestId('give-device-content').innerText()).includes('recognized'),
    );
    expect(await accessibilityProblems(page)).toEqual([]);
    await dialog.getByTestId('give-device-bus').selectOption('virtio');
    await dialog.getByTestId('dialog-submit').click();
    await dialog.waitFor({ state: 'detached' });
    await eventually('the row says whose it is', async () => (await row.innerText()).includes('Disk of Taker (virtio0)'));
    expect((await contract.call('vm.get', { id: vm.id })).config!.drives.find(({ id }) => id === 'virtio0')).toEqual({
      id: 'virtio0',
      kind: 'disk',
      path: loop.path,
      format: 'raw',
      readOnly: false,
    });
    expect(await accessibilityProblems(page)).toEqual([]);

    // A real machine holds it while it is on.
    await contract.call('vm.start', { id: vm.id });
    await eventually('the machine is on', async () => (await contract.call('vm.get', { id: vm.id })).state === 'running');
    expect(() => execFileSync('mount', [loop!.path, folder], { stdio: 'pipe' })).toThrow();
    await app.goToMachines();
    await app.machines.open('Taker');
    await app.machine().tab('hardware');
    await app.machine().device('virtio0');
    expect(await page.getByTestId('drive-medium').innerText()).toBe(loop.path);
    await page.getByTestId('drive-grow-device').waitFor();
    expect(await page.getByTestId('drive-grow').count()).toBe(0);
    await app.byId('nav-host-devices').click();
    await row.getByTestId('host-block-back').click();
    await eventually('the machine has it until it is off', async () => (await row.innerText()).includes('until it is off'));
    await contract.call('vm.forceOff', { id: vm.id });
    await eventually('it is nobody’s', async () => (await give.count()) === 1 && (await give.getAttribute('aria-disabled')) === null);
    expect(loop.content().equals(before)).toBe(true);
    await contract.call('vm.delete', { id: vm.id });
  },
);
