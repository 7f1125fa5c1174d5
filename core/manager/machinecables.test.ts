import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { NetworkCard, NetworkStatus } from '../contract/networks.ts';
import { failureOf, Harness, PATIENCE_MS } from './testing/harness.ts';

let harness: Harness;
beforeEach(async () => {
  harness = await Harness.open();
});
afterEach(() => harness.close());

const card = (id: NetworkCard['id'], network: string | null, connected = true) => ({ id, model: 'e1000' as const, network, connected });
const lab = () =>
  harness.call('network.create', { name: 'Lab', kind: 'isolated', subnet: '10.7.0.0/24', dhcp: { from: '10.7.0.10', to: '10.7.0.20' } });
const network = async (id: string): Promise<NetworkStatus> => (await harness.call('network.list', {})).find((each) => each.id === id)!;
const netCheck = async (id: string) => (await harness.call('vm.check', { ids: [id] }))[0]!.checks.find((check) => check.id === 'net0');
/** What the machine was told of its cables. */
const told = async (id: string) =>
  (await harness.call('vm.log', { id, lines: 100 })).map(({ message }) => message).filter((message) => /^net\d: /.test(message));

test('networks run while machines that are on have cables in them, which follow their cards', { timeout: 3 * PATIENCE_MS }, async () => {
  await lab();
  const { id } = await harness.fake('web', '', { network: [card('net0', 'default'), card('net1', 'lab', false)] as NetworkCard[] });
  expect((await network('default')).state).toBe('idle');
  await harness.call('vm.start', { id });
  expect(await network('default')).toMatchObject({ state: 'active', members: [{ vm: id, card: 'net0', connected: true }] });
  expect((await network('lab')).state).toBe('idle');
  // A cable is plugged into another network at once, and another one in.
  await harness.call('vm.update', { id, patch: { network: [card('net0', 'lab'), card('net1', 'lab')] } });
  expect(await told(id)).toEqual(['net0: no cable', expect.stringMatching(/^net0: .*net-/), expect.stringMatching(/^net1: .*net-/)]);
  expect((await network('lab')).state).toBe('active');
  expect((await harness.get(id)).runsWith).toBeNull();
  await harness.call('vm.update', { id, patch: { network: [card('net0', null), card('net1', 'lab', false)] } });
  expect((await told(id)).slice(3)).toEqual(['net0: no cable', 'net1: no cable']);
  // The model waits for the next start, the cable does not.
  await harness.call('vm.update', { id, patch: { network: [{ ...card('net0', 'lab'), model: 'virtio' }, card('net1', 'lab', false)] } });
  const { runsWith } = await harness.get(id);
  expect(runsWith?.network[0]).toMatchObject({ model: 'e1000', network: 'lab' });
  await harness.call('vm.forceOff', { id });
  await harness.reaches(id, 'off');
  expect((await network('lab')).members).toMatchObject([{ connected: false }, { connected: false }]);
});

test('a machine whose network is gone does not start, and the checks say so', { timeout: 2 * PATIENCE_MS }, async () => {
  const { id, folder } = await harness.fake('web', '', { network: [card('net0', 'default')] as NetworkCard[] });
  const refusal = { kind: 'not-found', dto: { message: expect.stringContaining('gone'), fix: expect.any(String) } };
  expect(await failureOf(harness.call('vm.update', { id, patch: { network: [card('net0', 'gone')] } }))).toMatchObject(refusal);
  expect(await failureOf(harness.create('other', { network: [card('net0', 'gone')] }))).toMatchObject(refusal);
  expect(await netCheck(id)).toMatchObject({ ok: true, message: 'Default' });
  const config = harness.config(folder);
  config.network[0]!.network = 'gone';
  writeFileSync(path.join(folder, 'vm.json'), JSON.stringify(config));
  expect(await netCheck(id)).toMatchObject({ ok: false, severity: 'error', message: expect.stringContaining('gone') });
  const refused = await failureOf(harness.call('vm.start', { id }));
  expect(refused).toMatchObject({ kind: 'not-found' });
  expect(refused.dto.fix).toContain('Hardware');
  expect((await harness.get(id)).state).toBe('off');
});
