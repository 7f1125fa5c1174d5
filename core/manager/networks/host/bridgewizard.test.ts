import { appendFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BridgeWizard } from './bridgewizard.ts';
import { HostNetworkDevices } from './hostnetworkdevices.ts';
import type { TrialFiles } from './runner.ts';
import { TestRunner } from './testing/testrunner.ts';

let folder: string;
let runner: TestRunner;
let changes: number;
let system: Record<string, string>;
const wizards: BridgeWizard[] = [];

/** One of several programs of this user. */
function open(): BridgeWizard {
  const wizard = new BridgeWizard({
    devices: new HostNetworkDevices(runner, '/config'),
    runtimeFolder: folder,
    read: (file) => system[file],
    changed: () => changes++,
  });
  wizards.push(wizard);
  return wizard;
}
const eth = (changed: object = {}) => ({
  ifindex: 2,
  ifname: 'eth0',
  link_type: 'ether',
  address: '02:00:00:00:00:01',
  flags: ['UP', 'LOWER_UP'],
  mtu: 1500,
  addr_info: [
    {
      family: 'inet',
      local: '192.0.2.10',
      prefixlen: 24,
      broadcast: '192.0.2.255',
      scope: 'global',
      valid_life_time: 3600,
      preferred_life_time: 1800,
    },
    { family: 'inet', local: '192.0.2.11', prefixlen: 24, scope: 'global', secondary: true },
    { family: 'inet6', local: '2001:db8::2', prefixlen: 64, scope: 'global' },
    { family: 'inet6', local: '2001:db8::1', prefixlen: 64, scope: 'global' },
    { family: 'inet6', local: '2001:db8::77', prefixlen: 64, scope: 'global', temporary: true },
    { family: 'inet6', local: 'fe80::1', prefixlen: 64, scope: 'link' },
  ],
  ...changed,
});
const routes4 = [
  { dst: 'default', gateway: '192.0.2.1', dev: 'eth0', protocol: 'dhcp', metric: 100, flags: [] },
  { dst: '192.0.2.0/24', dev: 'eth0', protocol: 'kernel', scope: 'link', prefsrc: '192.0.2.10', flags: [] },
  { type: 'local', dst: '192.0.2.10', dev: 'eth0', table: 'local', protocol: 'kernel', flags: [] },
];
function host(interfaces: object[], four: object[] = routes4, six: object[] = []): void {
  runner.says.set('-json -details address show', interfaces);
  runner.says.set('-json -4 route show table all', four);
  runner.says.set('-json -6 route show table all', six);
}

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hv-wizard-'));
  runner = new TestRunner();
  [changes, system] = [0, {}];
  host([eth(), { ...eth(), ifname: 'br0', ifindex: 9, linkinfo: { info_kind: 'bridge' } }]);
});
afterEach(() => {
  for (const wizard of wizards.splice(0)) wizard.close();
  rmSync(folder, { recursive: true, force: true });
});

test('a bridge gets the uplink’s addresses and routes, in the order in which both can be had, and all of it goes back', async () => {
  const plan = await open().plan('eth0');
  expect(plan.bridge).toBe('br1');
  expect(plan.commands).toEqual([
    'ip link add name br1 address 02:00:00:00:00:01 type bridge stp_state 0 forward_delay 0',
    'ip link set dev br1 alias hypervue:bridge:eth0',
    'ip link set dev br1 up',
    'ip address add 192.0.2.10/24 broadcast 192.0.2.255 dev br1 valid_lft 3600 preferred_lft 1800',
    'ip address add 192.0.2.11/24 dev br1',
    'ip address add 2001:db8::1/64 dev br1',
    'ip address add 2001:db8::2/64 dev br1',
    'ip link set dev eth0 master br1',
    'ip address delete 2001:db8::2/64 dev eth0',
    'ip address delete 2001:db8::1/64 dev eth0',
    'ip address delete 192.0.2.11/24 dev eth0',
    'ip address delete 192.0.2.10/24 dev eth0',
    'ip route replace default via 192.0.2.1 proto dhcp metric 100 dev br1',
  ]);
  expect(plan.undo.slice(0, 3)).toEqual([
    'ip link set dev eth0 nomaster',
    'ip link delete dev br1',
    'ip address replace 192.0.2.10/24 broadcast 192.0.2.255 dev eth0 valid_lft 3600 preferred_lft 1800',
  ]);
  expect(plan.undo.at(-1)).toBe('ip route replace default via 192.0.2.1 proto dhcp metric 100 dev eth0');
  expect(plan.notes.map(({ key }) => key)).toEqual(['noteUntilRestart', 'noteDefault', 'noteLeased', 'noteTemporary']);
});

test('routes to the network itself are moved where the address was made without, before those by way of somebody on it', async () => {
  const addresses = [{ family: 'inet', local: '192.0.2.10', prefixlen: 24, scope: 'global', noprefixroute: true }];
  host([eth({ addr_info: addresses, mtu: 9000, flags: [] })]);
  const { commands, undo } = await open().plan('eth0', 'lan');
  expect(commands[0]).toContain('mtu 9000 type bridge');
  expect(commands).toContain('ip address add 192.0.2.10/24 dev lan noprefixroute');
  expect(commands.slice(-2)).toEqual([
    'ip route replace 192.0.2.0/24 src 192.0.2.10 proto kernel scope link dev lan',
    'ip route replace default via 192.0.2.1 proto dhcp metric 100 dev lan',
  ]);
  // It was down, and is again.
  expect(commands).toContain('ip link set dev eth0 up');
  expect(undo).toContain('ip link set dev eth0 down');
});

test('uplinks tell what they are, and which can not be had says why', async () => {
  system = {
    '/run/NetworkManager/devices/2': '[device]\nmanaged=true\n',
    '/run/systemd/netif/links/3': 'ADMIN_STATE=configured\n',
    '/etc/network/interfaces': 'auto lo eth2\niface eth2 inet dhcp\n',
    '/sys/class/net/wlan0/phy80211/index': '0',
  };
  host(
    [
      eth(),
      eth({ ifname: 'eth1', ifindex: 3, master: 'br0', flags: [] }),
      eth({ ifname: 'eth2', ifindex: 4 }),
      eth({ ifname: 'wlan0', ifindex: 5 }),
      eth({ ifname: 'eth3', ifindex: 6 }),
      eth({ ifname: 'hv00000000', ifindex: 7, linkinfo: { info_kind: 'tun' }, ifalias: 'hypervue:lab:0' }),
      { ifname: 'lo', link_type: 'loopback', addr_info: [] },
      eth({ ifname: 'docker0', linkinfo: { info_kind: 'bridge' } }),
    ],
    [...routes4, { dst: '10.0.0.0/8', gateway: '192.0.2.9', dev: 'eth3', table: '100', flags: [] }],
  );
  expect(
    (await open().uplinks()).map(({ device, defaultRoute, managedBy, refusal }) => [device, defaultRoute, managedBy, refusal?.key]),
  ).toEqual([
    ['eth0', true, 'NetworkManager', undefined],
    ['eth1', false, 'systemd-networkd', 'uplinkInBridge'],
    ['eth2', false, 'ifupdown', undefined],
    ['wlan0', false, null, 'uplinkWireless'],
    ['eth3', false, null, 'uplinkRoutes'],
  ]);
  const wizard = open();
  await expect(wizard.plan('wlan0')).rejects.toMatchObject({ kind: 'unsupported', message: expect.stringContaining('wlan0') });
  await expect(wizard.plan('lo')).rejects.toMatchObject({ kind: 'not-found' });
  await expect(wizard.plan('eth0', 'docker0')).rejects.toMatchObject({ kind: 'already-exists' });
  expect((await wizard.plan('eth0')).notes[0]).toMatchObject({
    key: 'noteManagedBy',
    params: { manager: 'NetworkManager', device: 'eth0' },
  });
  // A default route by several ways at once is nobody's alone.
  host([eth()], [{ dst: 'default', nexthops: [{}, {}], flags: [] }]);
  expect((await open().uplinks())[0]!.refusal?.key).toBe('uplinkRoutes');
});

/** Plays the process that watches over a trial. */
function guard({ log, keep, drop }: TrialFiles): void {
  writeFileSync(log, 'applied\n');
  const look = setInterval(() => {
    const word = existsSync(keep) ? 'kept' : existsSync(drop) ? 'undone' : undefined;
    if (word === undefined && existsSync(log)) return;
    clearInterval(look);
    if (existsSync(log)) appendFileSync(log, `${word}\n`);
  }, 20);
}

test('a trial is kept, or taken back, also by another program of the user; there is one at a time', async () => {
  runner.beginning = (_change, files) => guard(files);
  const [wizard, other] = [open(), open()];
  expect(await wizard.trial()).toBeNull();
  await expect(wizard.keep()).rejects.toMatchObject({ kind: 'not-found' });
  const trial = await wizard.apply('eth0', 'br1', 30);
  expect(trial).toMatchObject({ uplink: 'eth0', bridge: 'br1', state: 'on' });
  expect(trial.leftMs).toBeGreaterThan(0);
  expect(trial.leftMs).toBeLessThanOrEqual(30_000);
  await expect(wizard.apply('eth0', 'br2', 30)).rejects.toMatchObject({ kind: 'in-use', context: { object: 'br1' } });
  expect(await other.trial()).toMatchObject({ bridge: 'br1', state: 'on' });
  await other.keep();
  expect(await wizard.trial()).toBeNull();
  await expect(wizard.undo()).rejects.toMatchObject({ kind: 'not-found' });
  await wizard.apply('eth0', 'br1', 30);
  await other.undo();
  expect(await wizard.trial()).toBeNull();
  await expect(wizard.keep()).rejects.toMatchObject({ kind: 'timeout', context: { object: 'br1' } });
  expect(changes).toBeGreaterThanOrEqual(4);
});

test('what fails, at once or halfway, is told with what the system said; who keeps too late is told that, too', async () => {
  const wizard = open();
  for (const words of ['failed\n', 'undone\n']) {
    runner.beginning = (_change, { log, errors }) => {
      writeFileSync(errors, 'RTNETLINK answers: File exists\n');
      writeFileSync(log, words);
    };
    await expect(wizard.apply('eth0', 'br1', 30)).rejects.toMatchObject({
      kind: 'io-error',
      message: expect.stringContaining('File exists'),
    });
    expect(await wizard.trial()).toBeNull();
  }
  // It is taken back in the moment in which somebody wants to keep it.
  runner.beginning = (_change, { log, keep }) => {
    writeFileSync(log, 'applied\n');
    const look = setInterval(() => {
      if (existsSync(log) && !existsSync(keep)) return;
      clearInterval(look);
      if (existsSync(log)) appendFileSync(log, 'undone\n');
    }, 20);
  };
  await wizard.apply('eth0', 'br1', 30);
  await expect(wizard.keep()).rejects.toMatchObject({ kind: 'timeout' });
  runner.allowed = 'none';
  await expect(wizard.apply('eth0', 'br1', 30)).rejects.toMatchObject({
    kind: 'permission-denied',
    fix: expect.stringContaining('bridge add eth0'),
  });
});
