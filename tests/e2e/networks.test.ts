import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { VmConfig } from '../../core/contract/vm.ts';
import { FAST_BOOT, linuxKernel } from '../guests/support/images.ts';
import { networkInitramfs } from '../guests/support/networkinitramfs.ts';
import { accessibilityProblems } from './support/accessibility.ts';
import { eventually } from './support/browser.ts';
import { contract, window } from './support/session.ts';

/** Networks and network cards as a person uses them: what is set is kept, and what can't be done says why. */
let id: string;
let folder: string;
const cards = (): VmConfig['network'] => (JSON.parse(readFileSync(path.join(folder, 'vm.json'), 'utf8')) as VmConfig).network;
const network = async (name: string) => (await contract.call('network.list', {})).find((each) => each.name === name);

test('a machine from the wizard is on the network that was chosen there, with a card that its system knows', async () => {
  const { app, page } = window;
  await app.machines.create();
  await page.getByTestId('source-blank').check({ force: true });
  await page.getByTestId('wizard-skip').click();
  await page.getByTestId('summary-network').waitFor();
  await eventually('the name of the network', async () => (await page.getByTestId('summary-network').innerText()).includes('Default'));
  expect(await page.getByTestId('network-model-text').innerText()).toMatch(/Nearly every system/);
  expect(await accessibilityProblems(page)).toEqual([]);
  await page.getByTestId('wizard-create').click();
  await page.getByTestId('machine-net0').waitFor();
  const [vm] = await contract.call('vm.list', {});
  ({ id, folder } = vm!);
  expect(cards()).toEqual([{ id: 'net0', model: 'e1000', mac: expect.stringMatching(/^52:54:00:/), network: 'default', connected: true }]);
});

test('networks are made with addresses that are checked, refused where they overlap, changed, and kept', async () => {
  const { app, page } = window;
  await app.networks.open();
  expect(await app.networks.row('Default').innerText()).toMatch(/NAT\s+192\.168\.100\.0\/24\s+1\s+Not in use/);
  await page.getByTestId('new-network').click();
  await page.getByTestId('network-kind-isolated').check();
  // What this computer can't have is shown, and can't be chosen.
  for (const { kind, available } of await contract.call('network.kinds', {}))
    expect(await page.getByTestId(`network-kind-${kind}`).isEnabled()).toBe(available);
  await app.networks.fill('name', 'Lab');
  await app.networks.fill('subnet', '192.168.100.128/25');
  expect(await accessibilityProblems(page)).toEqual([]);
  await page.getByTestId('dialog-submit').click();
  await eventually('the refusal', async () => /overlaps/.test(await page.getByTestId('network-dialog').innerText()));
  await app.networks.fill('subnet', '10.20.0.0/24');
  await app.networks.submit('network-dialog');
  // It is shown at once, and lies in the manager's file.
  await page.getByTestId('network-details').waitFor();
  expect(await network('Lab')).toMatchObject({
    kind: 'isolated',
    subnet: '10.20.0.0/24',
    dhcp: { from: '10.20.0.128', to: '10.20.0.254' },
  });
  await page.getByTestId('network-edit').click();
  await app.networks.fill('name', 'Laboratory');
  await app.networks.fill('from', '10.20.0.10');
  await app.networks.submit('network-dialog');
  await app.networks.row('Laboratory').waitFor();
  expect((await network('Laboratory'))?.dhcp).toEqual({ from: '10.20.0.10', to: '10.20.0.254' });
});

test('a cable leads to the other network, which can’t be deleted then; a second card is added and taken out', async () => {
  const { app, page } = window;
  const laboratory = (await network('Laboratory'))!;
  const machine = app.machine();
  await page.goto(`${page.url().replace(/#.*$/, '')}#/machines/${id}/hardware?device=net0`);
  await page.getByTestId('card-network').selectOption(laboratory.id);
  await page.getByTestId('card-model').selectOption('virtio');
  expect(await accessibilityProblems(page)).toEqual([]);
  await machine.applyHardware();
  const [{ mac }] = cards() as [VmConfig['network'][number]];
  expect(cards()).toEqual([{ id: 'net0', model: 'virtio', mac, network: laboratory.id, connected: true }]);
  await page.getByTestId('device-add').click();
  await page.getByTestId('add-network').check({ force: true });
  await page.getByTestId('add-device-ok').click();
  await page.getByTestId('card-connected').click();
  await machine.applyHardware();
  expect(cards()[1]).toMatchObject({ id: 'net1', network: 'default', connected: false });
  expect(cards()[1]!.mac).not.toBe(mac);

  await app.networks.open();
  await app.networks.details('Laboratory');
  await app.networks.member((await contract.call('vm.get', { id })).name).waitFor();
  expect(await page.getByTestId('network-delete').getAttribute('aria-description')).toMatch(/have their cable in it/);

  await page.goto(`${page.url().replace(/#.*$/, '')}#/machines/${id}/hardware?device=net1`);
  await page.getByTestId('card-remove').click();
  await app.confirm();
  await page.getByTestId('device-net1').waitFor({ state: 'detached' });
  await page.getByTestId('device-net0').click();
  await page.getByTestId('card-network').selectOption('default');
  await machine.applyHardware();
  await app.networks.open();
  await app.networks.details('Laboratory');
  await eventually('nobody on it', async () => (await page.getByTestId('network-delete').getAttribute('aria-description')) === null);
  await page.getByTestId('network-delete').click();
  await app.confirm();
  await app.networks.row('Laboratory').waitFor({ state: 'detached' });
  expect((await contract.call('network.list', {})).map(({ id: each }) => each)).toEqual(['default']);
});

test('ports are forwarded by the manager; the always present network is not to be deleted', async () => {
  const { app, page } = window;
  await app.networks.open();
  await app.networks.details('Default');
  expect(await page.getByTestId('network-delete').getAttribute('aria-description')).toMatch(/always there/);
  await app.networks.forward(28_022, 22);
  await page.getByTestId('network-forward').waitFor();
  expect(await accessibilityProblems(page)).toEqual([]);
  expect((await network('Default'))?.forwards).toMatchObject([
    { protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 28_022, vm: id, guestPort: 22 },
  ]);
  await page.getByTestId('forward-remove').click();
  await page.getByTestId('network-forward').waitFor({ state: 'detached' });
  expect((await network('Default'))?.forwards).toEqual([]);
});

test('a guest gets an address from the network, which the list and the overview show, and what it receives is drawn', async () => {
  const { app, page } = window;
  const machine = await contract.call('vm.create', {
    name: 'Guest',
    cpuModel: 'x86-64',
    memoryMiB: 192,
    source: {
      type: 'kernel',
      path: linuxKernel('amd64'),
      initrd: networkInitramfs(),
      cmdline: `console=tty0 console=ttyS0,115200 quiet mitigations=off ${FAST_BOOT}`,
    },
    newDisk: null,
    network: [{ id: 'net0', model: 'virtio', network: 'default' }],
  });
  await app.goToMachines();
  await app.machines.open('Guest');
  const guest = app.machine();
  await guest.verb('start');
  await guest.waitForState('running');
  await guest.tab('serial');
  const says = (pattern: RegExp, timeoutMs: number) =>
    eventually(
      `${pattern} on the serial line`,
      async () => {
        const text = await guest.serialText();
        if (!pattern.test(text)) throw new Error(text);
        return text;
      },
      timeoutMs,
    );
  await says(/GUEST READY/, 240_000);
  await guest.typeSerial('\n');
  await guest.typeSerial('sh /network/load && udhcpc -i eth0 -n -q -s /network/leased\n');
  const [, address] = /LEASE (\d+\.\d+\.\d+\.\d+)/.exec(await says(/LEASE \d+\.\d+\.\d+\.\d+/, 120_000))!;
  await guest.tab('machine');
  await eventually('the address on the overview', async () => (await page.getByTestId('machine-address').innerText()) === address, 20_000);
  expect(await accessibilityProblems(page)).toEqual([]);
  await app.networks.open();
  expect(await app.networks.row('Default').innerText()).toMatch(/Active/);
  await app.networks.details('Default');
  expect(await app.networks.member('Guest').getByTestId('member-address').innerText()).toBe(address);
  // While it is on, addresses stay.
  await page.getByTestId('network-edit').click();
  expect(await page.getByTestId('network-subnet').locator('input').isDisabled()).toBe(true);
  await page.getByTestId('dialog-cancel').click();

  // The cable is pulled out of the running machine, and put in again.
  const carrier = async (value: string) => {
    await page.goto(`${page.url().replace(/#.*$/, '')}#/machines/${machine.id}/hardware?device=net0`);
    await page.getByTestId('card-connected').click();
    await guest.applyHardware();
    await guest.tab('serial');
    await guest.typeSerial(`until [ $(cat /sys/class/net/eth0/carrier) = ${value} ]; do sleep 1; done; echo carrier-is-${value}\n`);
    await says(new RegExp(`^carrier-is-${value}`, 'm'), 60_000);
  };
  await carrier('0');
  await carrier('1');
  const { series } = await contract.call('vm.history', { id: machine.id, range: 'minutes' });
  for (const metric of ['netReceive', 'netSend'] as const)
    expect(Math.max(...series[metric].map((value) => value ?? 0))).toBeGreaterThan(0);
  await contract.call('vm.forceOff', { id: machine.id });
});
