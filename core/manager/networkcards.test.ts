import { cpSync, renameSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { VmSummary } from '../contract/vm.ts';
import { failureOf, Harness } from './testing/harness.ts';

let h: Harness;

beforeEach(async () => {
  h = await Harness.open();
});

afterEach(async () => {
  await h.close();
});

const MAC = /^52:54:00(:[0-9a-f]{2}){3}$/;
const cards = [
  { id: 'net0', network: 'default', connected: true },
  { id: 'net1', model: 'e1000', network: null, connected: false },
] as const;
const macs = ({ config }: Pick<VmSummary, 'config'>) => config!.network.map(({ mac }) => mac);

test('a new machine has the cards that are asked for, of a model that its system knows, each with an address of its own', async () => {
  const none = await h.create('None');
  expect(none.config!.network).toEqual([]);
  const linux = await h.create('Linux', { os: 'Debian 12', network: [...cards] });
  expect(linux.config!.network).toMatchObject([
    { model: 'virtio', network: 'default', connected: true },
    { model: 'e1000', network: null },
  ]);
  const other = await h.create('Other', { os: 'Windows 7', network: [...cards] });
  expect(other.config!.network[0]).toMatchObject({ id: 'net0', model: 'e1000' });
  const all = [...macs(linux), ...macs(other)];
  for (const mac of all) expect(mac).toMatch(MAC);
  expect(new Set(all).size).toBe(4);
});

test('a change keeps the address of a card, and gives a new card one; two cards in one place or with one address are refused', async () => {
  const vm = await h.create('Vm', { network: [...cards] });
  const [first, second] = vm.config!.network;
  const { mac: _, ...withoutMac } = first!;
  const { config } = await h.call('vm.update', {
    id: vm.id,
    patch: { network: [withoutMac, { id: 'net3', model: 'virtio', network: null, connected: true }] },
  });
  expect(config!.network[0]).toEqual(first);
  expect(config!.network[1]!.mac).toMatch(MAC);
  expect(config!.network[1]!.mac).not.toBe(second!.mac);
  const twice = await failureOf(h.call('vm.update', { id: vm.id, patch: { network: [first!, { ...first!, mac: '52:54:00:00:00:01' }] } }));
  expect(twice).toMatchObject({ kind: 'invalid-argument', message: 'there are two network cards at net0' });
  const same = await failureOf(h.call('vm.update', { id: vm.id, patch: { network: [first!, { ...second!, mac: first!.mac }] } }));
  expect(same).toMatchObject({ kind: 'invalid-argument', message: expect.stringContaining(first!.mac) });
  const other = await h.create('Other');
  const taken = await failureOf(h.call('vm.update', { id: other.id, patch: { network: [first!] } }));
  expect(taken).toMatchObject({ kind: 'already-exists', message: expect.stringContaining('Vm') });
});

test('clones have other addresses, full and linked, as have copies of a folder and imports beside the original; the same machine keeps its own', async () => {
  const vm = await h.create('Vm', { network: [...cards], newDisk: { sizeBytes: 2 ** 20, format: 'qcow2' } });
  const full = await h.call('vm.clone', { id: vm.id, name: 'Full', linked: false });
  const linked = await h.call('vm.clone', { id: vm.id, name: 'Linked', linked: true });
  cpSync(full.folder, path.join(h.library, 'by hand'), { recursive: true });
  const byHand = (await h.call('vm.list', {})).find(({ folder }) => folder.endsWith('by hand'))!;
  const outside = path.join(h.root, 'outside');
  cpSync(full.folder, outside, { recursive: true });
  const { machine: copy } = await h.call('vm.import', { folder: outside, how: 'copy' });
  const all = [vm, full, linked, byHand, copy].flatMap(macs);
  expect(new Set(all).size).toBe(10);
  // Its folder goes away and comes back.
  const away = path.join(h.root, 'away');
  renameSync(linked.folder, away);
  await h.call('vm.list', {});
  const { machine: back } = await h.call('vm.import', { folder: away, how: 'move' });
  expect(back.id).toBe(linked.id);
  expect(macs(back)).toEqual(macs(linked));
});

test('a revert to a snapshot keeps the addresses of now', async () => {
  const vm = await h.create('Vm', { network: [...cards], newDisk: { sizeBytes: 2 ** 20, format: 'qcow2' } });
  const snapshot = await h.call('snapshot.take', { id: vm.id, name: 'then', description: '' });
  const [first] = vm.config!.network;
  await h.call('vm.update', { id: vm.id, patch: { network: [{ ...first!, mac: '52:54:00:12:34:56', network: null }] } });
  await h.call('snapshot.revert', { id: vm.id, snapshot: snapshot.id, keep: null });
  const { config } = await h.call('vm.get', { id: vm.id });
  expect(config!.network).toMatchObject([{ mac: '52:54:00:12:34:56', network: 'default' }, { id: 'net1' }]);
});
