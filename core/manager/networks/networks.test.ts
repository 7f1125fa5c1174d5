import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Params } from '../../contract/methods.ts';
import { say } from '../../util/say.ts';
import { failureOf, Harness } from '../testing/harness.ts';

let harness: Harness;
beforeEach(async () => {
  harness = await Harness.open();
});
afterEach(() => harness.close());

type Wanted = Params<'network.create'>;
const create = (changes: Partial<Wanted> = {}) =>
  harness.call('network.create', {
    name: 'Lab',
    kind: 'isolated',
    subnet: '10.7.0.0/24',
    dhcp: { from: '10.7.0.10', to: '10.7.0.20' },
    ...changes,
  });
const list = () => harness.call('network.list', {});

test('the default network is always there, can be changed, and not deleted', async () => {
  const [first] = await list();
  expect(first).toMatchObject({ id: 'default', name: 'Default', kind: 'nat', gateway: '192.168.100.1', state: 'idle', locked: null });
  await harness.call('network.update', { id: 'default', patch: { subnet: '172.20.0.0/16', dhcp: null, description: 'ours' } });
  expect((await list())[0]).toMatchObject({
    subnet: '172.20.0.0/16',
    dhcp: null,
    description: 'ours',
    gateway: '172.20.0.1',
    name: 'Default',
  });
  const refused = await failureOf(harness.call('network.delete', { id: 'default' }));
  expect(refused).toMatchObject({ kind: 'in-use' });
  expect(refused.message).toContain('always there');
  await harness.reopen();
  expect((await list())[0]).toMatchObject({ subnet: '172.20.0.0/16' });
});

test('a network is made, listed, changed and deleted, and clients are told', async () => {
  const made = await create({ name: 'Büro 2' });
  expect(made).toMatchObject({ id: 'buro-2', gateway: null, members: [] });
  expect((await list()).map(({ id }) => id)).toEqual(['default', 'buro-2']);
  await harness.call('network.update', { id: made.id, patch: { name: 'Lager' } });
  expect((await list())[1]).toMatchObject({ id: 'buro-2', name: 'Lager', subnet: '10.7.0.0/24', dhcp: { from: '10.7.0.10' } });
  await harness.call('network.delete', { id: made.id });
  expect(await list()).toHaveLength(1);
  expect((await failureOf(harness.call('network.delete', { id: made.id }))).kind).toBe('not-found');
  await expect
    .poll(() => harness.client.seen.filter(({ event }) => event === 'network.changed').length, { timeout: 10_000 })
    .toBeGreaterThan(0);
});

test('what can not be is refused with what is wrong and a way out, and nothing is kept of it', async () => {
  await create();
  const forward = { id: 'a', protocol: 'tcp', hostPort: 2222, vm: 'x', card: 'net0', guestPort: 22 } as const;
  const cases: [Partial<Wanted>, string, RegExp][] = [
    [{ name: 'lab', subnet: '10.8.0.0/24', dhcp: null }, 'already-exists', /named lab already/],
    [{ name: 'B', subnet: '10.0.0.0/8', dhcp: null }, 'already-exists', /overlaps 10\.7\.0\.0\/24, which Lab has/],
    [{ name: 'B', subnet: '192.168.100.128/29', dhcp: null }, 'already-exists', /which Default has/],
    [{ name: 'B', subnet: '10.8.0.1/24', dhcp: null }, 'invalid-argument', /lies inside 10\.8\.0\.0\/24/],
    [{ name: 'B', subnet: '127.4.0.0/16', dhcp: null }, 'invalid-argument', /set aside/],
    [{ name: 'B', subnet: '224.0.0.0/8', dhcp: null }, 'invalid-argument', /set aside/],
    [{ name: 'B', subnet: '10.8.0.0/24', dhcp: { from: '10.8.0.9', to: '10.8.1.9' } }, 'invalid-argument', /do not lie within/],
    [{ name: 'B', subnet: '10.8.0.0/24', dhcp: { from: '10.8.0.1', to: '10.8.0.9' } }, 'invalid-argument', /do not lie within/],
    [{ name: 'B', subnet: '10.8.0.0/24', dhcp: { from: '10.8.0.9', to: '10.8.0.255' } }, 'invalid-argument', /do not lie within/],
    [{ name: 'B', subnet: '10.8.0.0/24', dhcp: { from: '10.8.0.9', to: '10.8.0.8' } }, 'invalid-argument', /comes after/],
    [{ name: 'B', subnet: null, dhcp: null }, 'invalid-argument', /needs addresses/],
    [{ name: 'B', subnet: '10.8.0.0/24', dhcp: null, bridge: 'br0' }, 'invalid-argument', /is not bridged/],
    [{ name: 'B', subnet: null, dhcp: null, kind: 'bridged' }, 'invalid-argument', /needs a bridge/],
    [{ name: 'B', subnet: '10.8.0.0/24', dhcp: null, kind: 'bridged', bridge: 'br0' }, 'invalid-argument', /given by others/],
    [{ name: 'B', subnet: null, dhcp: null, kind: 'bridged', bridge: '-f' }, 'invalid-argument', /bridge/],
    [{ name: 'B', subnet: null, dhcp: null, kind: 'bridged', bridge: 'an_interface_name' }, 'invalid-argument', /bridge/],
    [{ name: 'B', subnet: '10.8.0.0/24', dhcp: null, kind: 'routed', forwards: [forward] }, 'invalid-argument', /no way out/],
    [{ name: 'B', subnet: '10.8.0.0/24', dhcp: null, forwards: [forward] }, 'invalid-argument', /no way out/],
    [
      { name: 'B', subnet: '10.8.0.0/24', dhcp: null, kind: 'nat', forwards: [forward, { ...forward, hostPort: 1 }] },
      'invalid-argument',
      /id a/,
    ],
    [
      { name: 'B', subnet: '10.8.0.0/24', dhcp: null, kind: 'nat', forwards: [forward, { ...forward, id: 'b', hostAddress: '0.0.0.0' }] },
      'already-exists',
      /TCP port 2222 of 0\.0\.0\.0 is forwarded twice/,
    ],
  ];
  const before = readFileSync(path.join(harness.root, 'config', 'networks.json'), 'utf8');
  for (const [changes, kind, message] of cases) {
    const error = await failureOf(create(changes));
    expect(error.kind, JSON.stringify(changes)).toBe(kind);
    expect(error.message).toMatch(message);
  }
  expect(readFileSync(path.join(harness.root, 'config', 'networks.json'), 'utf8')).toBe(before);
  // A port that another network forwards is taken, too.
  await harness.call('network.update', { id: 'default', patch: { forwards: [forward] } });
  expect((await failureOf(create({ name: 'B', subnet: '10.8.0.0/24', dhcp: null, kind: 'nat', forwards: [forward] }))).message).toContain(
    'in Default and in B',
  );
});

test('kinds that can not be had say why, and are not made; a file that makes no sense is set aside', async () => {
  const kinds = async () => (await harness.call('network.kinds', {})).map(({ kind, available, reason }) => [kind, available, reason?.key]);
  const hostKinds = ['host-only', 'routed', 'bridged'] as const;
  harness.hostRunner.none = undefined;
  expect(await kinds()).toEqual(['nat', 'isolated', ...hostKinds].map((kind) => [kind, true, undefined]));
  expect(await create({ name: 'Seen', kind: 'host-only', subnet: '10.8.0.0/24', dhcp: null })).toMatchObject({
    gateway: '10.8.0.1',
    bridge: null,
  });
  expect((await harness.call('host.diagnose', {})).find(({ id }) => id === 'hostNetworks')).toMatchObject({ state: 'ok' });
  harness.hostRunner.none = { reason: say('hostNetworksNoIp'), fix: say('fixHostNetworksNoIp') };
  expect(await kinds()).toEqual([
    ['nat', true, undefined],
    ['isolated', true, undefined],
    ...hostKinds.map((kind) => [kind, false, 'hostNetworksNoIp']),
  ]);
  expect((await failureOf(create({ kind: 'routed' }))).dto).toMatchObject({ kind: 'unsupported', fix: 'Install iproute2.' });
  expect(await harness.call('network.device', { id: 'seen' })).toMatchObject({
    state: 'failed',
    problem: { kind: 'unsupported', fix: 'Install iproute2.' },
  });
  expect(await failureOf(harness.call('network.device', { id: 'default' }))).toMatchObject({ kind: 'invalid-argument' });
  expect((await harness.call('host.diagnose', {})).find(({ id }) => id === 'hostNetworks')).toMatchObject({
    state: 'info',
    how: 'Install iproute2.',
  });
  await harness.call('network.delete', { id: 'seen' });
  const file = path.join(harness.root, 'config', 'networks.json');
  writeFileSync(file, '{"networks":[{"id":"../x"}]}');
  await harness.reopen();
  expect((await list()).map(({ id }) => id)).toEqual(['default']);
  expect(readFileSync(`${file}.unreadable`, 'utf8')).toContain('../x');
});
