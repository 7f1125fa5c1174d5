import { beforeEach, expect, test } from 'vitest';
import { HostNetworkDevices } from './hostnetworkdevices.ts';
import { readInterfaces, readRoutes } from './interfaces.ts';
import { mayChange } from './runner.ts';
import { batch, commandTexts } from './steps.ts';
import { tapIdentity } from './tapplan.ts';
import { TestRunner } from './testing/testrunner.ts';

const lab = { id: 'lab', name: 'Lab', kind: 'host-only', subnet: '10.9.0.0/24', bridge: null } as const;
const uid = process.getuid?.() ?? 0;
const { device, alias } = tapIdentity('lab', '/config', uid);
let runner: TestRunner;
let devices: HostNetworkDevices;
beforeEach(() => {
  runner = new TestRunner();
  devices = new HostNetworkDevices(runner, '/config');
});
const interfaces = (...all: object[]) => runner.says.set('-json -details address show', all);
const tap = (changes: object = {}) => ({
  ifname: device,
  link_type: 'ether',
  linkinfo: { info_kind: 'tun' },
  flags: ['UP'],
  mtu: 1500,
  ifalias: alias,
  addr_info: [{ family: 'inet', local: '10.9.0.1', prefixlen: 24 }],
  ...changes,
});

test('names are those of one user, folder and network, and fit an interface', () => {
  expect(device).toMatch(/^hv[0-9a-f]{8}$/);
  expect(alias).toBe(`hypervue:lab:${device.slice(2)}`);
  const others = [tapIdentity('lab2', '/config', uid), tapIdentity('lab', '/other', uid), tapIdentity('lab', '/config', uid + 1)];
  expect(new Set([device, ...others.map((each) => each.device)]).size).toBe(4);
});

test('what is missing is planned, in an order in which it works, and nothing else', async () => {
  expect(await devices.look(lab)).toMatchObject({
    state: 'missing',
    commands: [
      `ip tuntap add dev ${device} mode tap user ${uid}`,
      `ip link set dev ${device} alias ${alias}`,
      `ip address add 10.9.0.1/24 broadcast 10.9.0.255 dev ${device}`,
      `ip link set dev ${device} up`,
    ],
    undo: [],
  });
  interfaces(tap());
  expect(await devices.look(lab)).toMatchObject({ state: 'ready', commands: [], undo: [`ip link delete dev ${device}`] });
  // Other addresses were chosen since, and somebody took it down.
  interfaces(
    tap({
      flags: [],
      addr_info: [
        { family: 'inet', local: '10.8.0.1', prefixlen: 24 },
        { family: 'inet6', local: 'fe80::1', prefixlen: 64 },
      ],
    }),
  );
  expect((await devices.look(lab)).commands).toEqual([
    `ip address delete 10.8.0.1/24 dev ${device}`,
    `ip address add 10.9.0.1/24 broadcast 10.9.0.255 dev ${device}`,
    `ip link set dev ${device} up`,
  ]);
  interfaces(tap());
  expect((await devices.look({ ...lab, kind: 'routed' })).commands).toEqual(['sysctl -w net.ipv4.ip_forward=1']);
  runner.forwarding = true;
  expect((await devices.look({ ...lab, kind: 'routed' })).state).toBe('ready');
});

test('a bridged one is put on its bridge, with the length that the bridge has; a bridge that is gone is told', async () => {
  const bridged = { ...lab, kind: 'bridged', subnet: null, bridge: 'br0' } as const;
  interfaces(
    { ifname: 'br0', linkinfo: { info_kind: 'bridge' }, mtu: 9000, flags: ['UP'], addr_info: [] },
    { ifname: 'eth0', master: 'br0' },
  );
  expect((await devices.look(bridged)).commands.slice(2)).toEqual([
    `ip link set dev ${device} mtu 9000`,
    `ip link set dev ${device} master br0`,
    `ip link set dev ${device} up`,
  ]);
  expect(await devices.bridges()).toEqual([{ device: 'br0', ports: ['eth0'], addresses: [], up: true }]);
  interfaces({ ifname: 'br0', linkinfo: { info_kind: 'vlan' } });
  expect(await devices.look(bridged)).toMatchObject({ state: 'failed', problem: { kind: 'not-found', context: { bridge: 'br0' } } });
  await expect(devices.prepare(bridged)).rejects.toMatchObject({ kind: 'not-found' });
});

test('somebody else’s interface is neither used nor removed', async () => {
  for (const ifalias of [undefined, 'hypervue:other:00000000']) {
    interfaces(tap({ ifalias }));
    expect(await devices.look(lab)).toMatchObject({ state: 'failed', problem: { kind: 'already-exists' } });
    await expect(devices.prepare(lab)).rejects.toMatchObject({ kind: 'already-exists', context: { device } });
    await expect(devices.remove(lab)).rejects.toMatchObject({ kind: 'already-exists' });
  }
  expect(runner.changes).toEqual([]);
});

test('nobody is asked for a password unless somebody wanted it, and without rights the commands are told', async () => {
  runner.allowed = 'ask';
  const { commands } = await devices.look(lab);
  expect(await devices.problem(lab)).toMatchObject({ kind: 'permission-denied', fix: expect.stringContaining(commands[0]!) });
  await expect(devices.prepare(lab)).rejects.toMatchObject({
    kind: 'permission-denied',
    fix: expect.stringContaining(commands.join('; ')),
  });
  expect(runner.changes).toEqual([]);
  runner.changing = () => interfaces(tap());
  expect(await devices.setUp(lab)).toMatchObject({ state: 'ready' });
  expect(runner.changes).toMatchObject([{ undo: [['link', 'delete', 'dev', device]] }]);
  expect(await devices.problem(lab)).toBeNull();
  expect(await devices.prepare(lab)).toBe(device);
  runner.allowed = 'none';
  expect(await devices.remove(lab)).toEqual([`ip link delete dev ${device}`]);
  expect(runner.changes).toHaveLength(1);
  runner.allowed = 'have';
  expect(await devices.remove(lab)).toEqual([]);
  expect(runner.changes[1]!.steps).toEqual([['link', 'delete', 'dev', device]]);
  interfaces();
  await devices.remove(lab);
  expect(runner.changes).toHaveLength(2);
  expect(await devices.problem({ ...lab, kind: 'nat' })).toBeNull();
});

test('words that could be something else than words are in no command', () => {
  expect(batch([['link', 'add', 'a.b-c_1', 'alias', 'hypervue:x:1', 'address', '2001:db8::1/64']])).toBe(
    'link add a.b-c_1 alias hypervue:x:1 address 2001:db8::1/64\n',
  );
  for (const word of ['', 'a b', 'a\nb', '$(id)', '`id`', 'a;b', '#', "'", '"', '\\', 'ä']) {
    expect(() => batch([['link', word]])).toThrow(RangeError);
    expect(() => commandTexts({ steps: [['link', word]] })).toThrow(RangeError);
  }
});

test('rights are what programs that are started get', () => {
  const status = (eff: string, amb: string) => `Name:\tnode\nCapEff:\t${eff}\nCapAmb:\t${amb}\n`;
  expect(mayChange(status('0000000000001000', '0000000000000000'), 0)).toBe(true);
  expect(mayChange(status('ffffffffffffefff', '0000000000000000'), 0)).toBe(false);
  // This program's own are not handed on.
  expect(mayChange(status('0000000000001000', '0000000000000000'), 1000)).toBe(false);
  expect(mayChange(status('0000000000001000', '0000000000001000'), 1000)).toBe(true);
  expect(mayChange('', 0)).toBe(false);
});

test('what ip says is read, and what makes no sense is left out', () => {
  expect(readInterfaces('')).toEqual([]);
  expect(readInterfaces('{}')).toEqual([]);
  expect(
    readInterfaces('[{}, null, 3, {"ifname":"x","addr_info":[{},{"family":"inet","local":"1.2.3.4","prefixlen":8,"valid_life_time":60}]}]'),
  ).toMatchObject([
    { name: 'x', kind: null, master: null, up: false, addresses: [{ family: 4, address: '1.2.3.4/8', valid: 60, preferred: null }] },
  ]);
  const [direct, far, strange] = readRoutes(
    JSON.stringify([
      { dst: '10.0.0.0/8', dev: 'x', protocol: 'kernel', scope: 'link', prefsrc: '10.0.0.1', flags: [] },
      { dst: 'default', gateway: '10.0.0.9', dev: 'x', protocol: 'dhcp', metric: 100, flags: ['onlink'] },
      { dst: 'default', nexthops: [{}, {}], flags: [] },
    ]),
    4,
  );
  expect(direct).toMatchObject({ to: '10.0.0.0/8', table: 'main', automatic: true, special: false });
  expect(far!.words).toEqual(['via', '10.0.0.9', 'proto', 'dhcp', 'metric', '100', 'onlink']);
  expect(strange!.special).toBe(true);
});
