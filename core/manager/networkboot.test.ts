import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Check, VmConfig, VmCreate } from '../contract/vm.ts';
import { plain } from '../util/say.ts';
import { failureOf, Harness } from './testing/harness.ts';
import { rawImage } from './testing/media.ts';

/** Machines that start from the network: how they are made, and what is said before they start. */
const MIB = 1024 * 1024;
let h: Harness;
let given: string;
beforeEach(async () => {
  h = await Harness.open();
  given = path.join(h.media, 'given');
  const firmware = path.join(h.root, 'firmware');
  for (const folder of [given, firmware]) mkdirSync(folder);
  writeFileSync(path.join(given, 'boot.ipxe'), '#!ipxe\n');
  // As a computer with iPXE has them.
  for (const rom of ['pxe-virtio.rom', 'pxe-e1000.rom', 'efi-virtio.rom', 'efi-e1000.rom']) writeFileSync(path.join(firmware, rom), 'iPXE');
  h.firmware = { available: true, folder: firmware, reason: plain('there') };
});
afterEach(() => h.close());

const handOut = (file: string | null, folder: string | null = given) =>
  h.call('network.update', { id: 'default', patch: { boot: file === null ? null : { file, folder } } });
const wanted = (changes: Partial<VmCreate> = {}): VmCreate => ({
  name: 'New',
  memoryMiB: 64,
  source: { type: 'network' },
  newDisk: { sizeBytes: MIB },
  network: [{ id: 'net0', network: 'default', connected: true }],
  ...changes,
});
const failing = (checks: readonly Check[]) => checks.filter(({ ok }) => !ok).map(({ id, severity, said }) => [id, severity, said?.key]);
const beforeCreate = async (changes?: Partial<VmCreate>) => failing(await h.call('vm.preflight', wanted(changes)));
const beforeStart = async (id: string) => failing((await h.call('vm.check', { ids: [id] }))[0]!.checks);
const orderOf = async (changes: Partial<VmCreate>) => {
  const { id, config } = await h.call('vm.create', wanted(changes));
  await h.call('vm.delete', { id });
  return config!.boot.order;
};

test('an empty disk comes before the network, one that is there already after it', async () => {
  const disk = h.medium('system.img', rawImage(MIB));
  expect(await orderOf({})).toEqual(['disk', 'net0', 'cdrom', 'floppy']);
  expect(await orderOf({ newDisk: null })).toEqual(['disk', 'net0', 'cdrom', 'floppy']);
  expect(await orderOf({ attach: { path: disk, copy: true, readOnly: false } })).toEqual(['net0', 'disk', 'cdrom', 'floppy']);
});

test('the wizard is told what the network hands out, or that it does not', async () => {
  expect(await beforeCreate()).toEqual([['source', 'warning', 'bootNothing']]);
  await handOut('boot.ipxe');
  expect(await beforeCreate()).toEqual([]);
  const source = (await h.call('vm.preflight', wanted())).find(({ id }) => id === 'network-source');
  expect(source).toMatchObject({ ok: true, message: 'what the network Default hands out' });
  expect(await beforeCreate({ network: [] })).toEqual([['source', 'error', 'bootWantsCard']]);
  expect((await failureOf(h.call('vm.create', wanted({ network: [] })))).message).toMatch(/needs a network card/);
  expect(await beforeCreate({ network: [{ id: 'net0', network: null, connected: true }] })).toEqual([
    ['source', 'warning', 'bootNoNetwork'],
  ]);
  // One that is not there is said once.
  expect(await beforeCreate({ network: [{ id: 'net0', network: 'gone', connected: true }] })).toEqual([
    ['net0', 'error', 'cardNetworkGone'],
  ]);
});

test('before a start, what the card would find is looked at: nothing, a file or folder that is gone, a cable that is out', async () => {
  await handOut('boot.ipxe');
  const { id, config } = await h.call('vm.create', wanted());
  // The empty disk is no reason to warn while the network has something.
  expect(await beforeStart(id)).toEqual([]);
  rmSync(path.join(given, 'boot.ipxe'));
  const gone = await beforeStart(id);
  expect(gone).toContainEqual(['net0.boot', 'warning', 'bootFileGone']);
  rmSync(given, { recursive: true });
  expect(await beforeStart(id)).toContainEqual(['net0.boot', 'warning', 'fileENOENT']);
  await handOut('http://boot.example.org/menu.ipxe', null);
  expect(await beforeStart(id)).toEqual([]);
  await handOut(null);
  expect(await beforeStart(id)).toContainEqual(['net0.boot', 'warning', 'bootNothing']);
  const [card] = config!.network;
  await h.call('vm.update', { id, patch: { network: [{ ...card!, connected: false }] } });
  expect(await beforeStart(id)).toContainEqual(['net0.boot', 'warning', 'bootNoCable']);
  await h.call('vm.update', { id, patch: { network: [{ ...card!, network: null }] } });
  expect(await beforeStart(id)).toContainEqual(['net0.boot', 'warning', 'bootNoNetwork']);
  // It is in nobody's way, and it starts all the same.
  expect((await h.call('vm.start', { id })).state).not.toBe('off');
  await h.call('vm.forceOff', { id });
});

test('nothing is said of a card behind a disk that starts, of one that is not in the order, and where others answer', async () => {
  const { id, config } = await h.call(
    'vm.create',
    wanted({ newDisk: null, attach: { path: h.medium('system.img', rawImage(MIB)), copy: true, readOnly: false } }),
  );
  const order = (...wish: VmConfig['boot']['order']) => h.call('vm.update', { id, patch: { boot: { ...config!.boot, order: wish } } });
  expect(await beforeStart(id)).toEqual([['net0.boot', 'warning', 'bootNothing']]);
  await order('disk', 'net0');
  expect(await beforeStart(id)).toEqual([]);
  await order('disk');
  expect(await beforeStart(id)).toEqual([]);
  await order('net0', 'disk');
  const lab = { name: 'Lab', kind: 'isolated', subnet: '10.7.0.0/24' } as const;
  await h.call('network.create', { ...lab, dhcp: { from: '10.7.0.9', to: '10.7.0.20' } });
  const move = (network: string) => h.call('vm.update', { id, patch: { network: [{ ...config!.network[0]!, network }] } });
  await move('lab');
  expect(await beforeStart(id)).toEqual([['net0.boot', 'warning', 'bootNothing']]);
  await h.call('network.update', { id: 'lab', patch: { dhcp: null } });
  expect(await beforeStart(id)).toEqual([]);
});
