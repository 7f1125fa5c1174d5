import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { NetworkCard, NetworkStatus } from '../../core/contract/networks.ts';
import { HostNetworkDevices } from '../../core/manager/networks/host/hostnetworkdevices.ts';
import { Leases } from '../../core/manager/networks/leases.ts';
import type { NetworkedMachine } from '../../core/manager/networks/members.ts';
import { NetworkService } from '../../core/manager/networks/service.ts';
import { openNetworks } from '../../core/manager/networks/store.ts';
import { nullLogger } from '../../core/util/logger.ts';
import { Namespace, noNamespaces } from './support/namespaces/namespace.ts';
import { NamespaceRunner } from './support/namespaces/runner.ts';
import { transfer } from './support/namespaces/transfers.ts';

/**
 * Host-only, routed and bridged networks for real, in network namespaces: one is this computer, others are the machine's system and another computer beside them. TCP is Linux' own at
 * all ends, and leaves checksums and cutting to the devices.
 */
const BYTES = 8_000_000;
const missing = noNamespaces();
if (missing) console.log(`host networks are not tested: ${missing}`);

let root: string;
let host: Namespace;
let machine: Namespace;
let other: Namespace;
let runner: NamespaceRunner;
let service: NetworkService;
const member = { vm: 'vm', card: 'net0' as const, mac: '52:54:00:00:00:01' };
let machines: { id: string; name: string; active: boolean; config: { network: NetworkCard[] } }[];

const call = <M extends keyof NetworkService['handlers']>(method: M, params: Parameters<NetworkService['handlers'][M]>[0]) =>
  (service.handlers[method] as (given: unknown) => unknown)(params) as ReturnType<NetworkService['handlers'][M]>;
const status = async (id: string): Promise<NetworkStatus> => (await call('network.list', {})).find((each) => each.id === id)!;
const lab = {
  name: 'Lab',
  description: '',
  subnet: '10.9.0.0/24',
  bridge: null,
  dhcp: { from: '10.9.0.50', to: '10.9.0.60' },
  forwards: [],
  boot: null,
};

async function until<T>(look: () => Promise<T>, wanted: (value: T) => boolean): Promise<T> {
  const end = Date.now() + 60_000;
  for (;;) {
    const value = await look();
    if (wanted(value)) return value;
    if (Date.now() > end) throw new Error(`it never came to be; last: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function openService(): Promise<NetworkService> {
  const config = path.join(root, 'config');
  return new NetworkService(await openNetworks(config, nullLogger), {
    launcher: host.launcher,
    runtimeFolder: path.join(root, 'run'),
    log: nullLogger,
    leases: await Leases.open(config, nullLogger),
    devices: new HostNetworkDevices(runner, config),
    ownFolders: () => [],
    machines: () => machines as unknown as NetworkedMachine[],
    changed: () => {},
    limits: { linger: 100, again: 20, listen: 100 },
  });
}

/** A card of the machine on a network: its kernel has the interface `card`. */
async function plug(network: string): Promise<void> {
  machines[0]!.config.network = [{ id: 'net0', model: 'virtio', mac: member.mac, network, connected: true }];
  const { socket } = await service.attachments.open(network, member);
  await machine.machine('card', socket, member);
}

describe.skipIf(missing)('networks with an interface of this computer', { timeout: 240_000 }, () => {
  beforeEach(async () => {
    root = mkdtempSync(path.join(tmpdir(), 'hv-host-'));
    [host, machine, other] = await Promise.all([Namespace.open(), Namespace.open(), Namespace.open()]);
    runner = new NamespaceRunner(host);
    machines = [{ id: 'vm', name: 'Web', active: true, config: { network: [] } }];
    service = await openService();
  });
  afterEach(async () => {
    await service.close();
    for (const space of [host, machine, other]) await space.close();
    rmSync(root, { recursive: true, force: true });
  });

  /** `other` is a computer on the same network as `host`, which has the interface `uplink` there. */
  async function beside(): Promise<void> {
    await host.ip('link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'there', 'netns', String(other.pid));
    await host.ip('link', 'set', 'dev', 'uplink', 'up');
    await other.ip('link', 'set', 'dev', 'there', 'up');
    await other.ip('address', 'add', '10.8.0.1/24', 'dev', 'there');
  }

  test('host-only: this computer and a machine reach each other, megabytes go whole both ways, and the interface goes with the network', async () => {
    await call('network.create', { ...lab, kind: 'host-only' });
    const before = await call('network.device', { id: 'lab' });
    expect(before).toMatchObject({ state: 'missing', rights: 'have', problem: null });
    expect(before.commands[0]).toBe(`ip tuntap add dev ${before.device} mode tap user 0`);
    await plug('lab');
    expect(await call('network.device', { id: 'lab' })).toMatchObject({
      state: 'ready',
      commands: [],
      undo: [`ip link delete dev ${before.device}`],
    });
    expect(await status('lab')).toMatchObject({ state: 'active', gateway: '10.9.0.1' });
    await machine.ip('address', 'add', '10.9.0.50/24', 'dev', 'card');
    expect(await transfer(host, '10.9.0.1', machine, BYTES)).toBe('whole');
    expect(await transfer(machine, '10.9.0.50', host, BYTES)).toBe('whole');
    await until(
      () => status('lab'),
      ({ members }) => members[0]?.address === '10.9.0.50',
    );
    // What another run of the manager left is known again, and used.
    service.attachments.close('lab', member);
    await until(
      () => status('lab'),
      ({ state }) => state === 'idle',
    );
    runner.changes.length = 0;
    await service.attachments.open('lab', member);
    expect(runner.changes).toEqual([]);
    service.attachments.close('lab', member);
    machines[0]!.config.network = [];
    await call('network.delete', { id: 'lab' });
    expect(await host.ip('-brief', 'link')).not.toContain(before.device);
  });

  test('routed: another computer with a route back and a machine reach each other through this one', async () => {
    await beside();
    await host.ip('address', 'add', '10.8.0.2/24', 'dev', 'uplink');
    await other.ip('route', 'add', '10.9.0.0/24', 'via', '10.8.0.2');
    await call('network.create', { ...lab, kind: 'routed' });
    expect((await call('network.device', { id: 'lab' })).commands.at(-1)).toBe('sysctl -w net.ipv4.ip_forward=1');
    await plug('lab');
    await machine.ip('address', 'add', '10.9.0.50/24', 'dev', 'card');
    await machine.ip('route', 'add', 'default', 'via', '10.9.0.1');
    expect(await transfer(other, '10.8.0.1', machine, BYTES)).toBe('whole');
    expect(await transfer(machine, '10.9.0.50', other, BYTES)).toBe('whole');
  });

  test('bridged: a machine is on the network beyond the uplink, megabytes go whole both ways; without its bridge it says so', async () => {
    await beside();
    await host.ip('link', 'add', 'br0', 'type', 'bridge', 'forward_delay', '0');
    await host.ip('link', 'set', 'dev', 'uplink', 'master', 'br0');
    await host.ip('link', 'set', 'dev', 'br0', 'up');
    expect(await call('network.bridges', {})).toEqual([{ device: 'br0', ports: ['uplink'], addresses: expect.any(Array), up: true }]);
    await call('network.create', { ...lab, kind: 'bridged', subnet: null, dhcp: null, bridge: 'br0' });
    await plug('lab');
    await machine.ip('address', 'add', '10.8.0.50/24', 'dev', 'card');
    expect(await transfer(other, '10.8.0.1', machine, BYTES)).toBe('whole');
    expect(await transfer(machine, '10.8.0.50', other, BYTES)).toBe('whole');
    await until(
      () => status('lab'),
      ({ members }) => members[0]?.address === '10.8.0.50',
    );
    await host.ip('link', 'delete', 'dev', 'br0');
    expect((await service.attachments.obstacle('lab'))?.message).toContain('br0');
  });

  test('an interface that somebody else has is let be; without rights the commands are told, and whoever runs them has done it', async () => {
    await call('network.create', { ...lab, kind: 'host-only' });
    const { device, commands } = await call('network.device', { id: 'lab' });
    await host.ip('link', 'add', device, 'type', 'bridge');
    await expect(service.attachments.open('lab', member)).rejects.toMatchObject({ kind: 'already-exists', context: { device } });
    await host.ip('link', 'delete', 'dev', device);

    runner.allowed = 'none';
    const refused = await service.attachments.open('lab', member).catch((error) => error);
    expect(refused).toMatchObject({ kind: 'permission-denied', fix: expect.stringContaining(commands.join('; ')) });
    expect(await service.attachments.obstacle('lab')).toMatchObject({ kind: 'permission-denied' });
    await expect(call('network.setUp', { id: 'lab' })).rejects.toMatchObject({ kind: 'permission-denied' });
    for (const command of commands) await host.run(...command.split(' '));
    expect(await service.attachments.obstacle('lab')).toBeNull();
    await service.attachments.open('lab', member);
    expect((await status('lab')).state).toBe('active');
  });

  test('a device that is taken away is made again, and the machine comes back; a change that fails leaves nothing', async () => {
    await call('network.create', { ...lab, kind: 'host-only' });
    const { device } = await call('network.device', { id: 'lab' });
    const { socket } = await service.attachments.open('lab', member);
    await host.ip('link', 'delete', 'dev', device);
    await until(
      () => host.ip('-brief', 'address', 'show'),
      (said) => said.includes('10.9.0.1/24'),
    );
    await until(
      () => status('lab'),
      ({ state }) => state === 'active',
    );
    await machine.machine('card', socket, member);
    await machine.ip('address', 'add', '10.9.0.50/24', 'dev', 'card');
    expect(await transfer(host, '10.9.0.1', machine, 1000)).toBe('whole');

    const add = ['link', 'add', 'half', 'type', 'bridge'];
    const failing = { steps: [add, ['link', 'set', 'dev', 'half', 'master', 'nobody']], undo: [['link', 'delete', 'dev', 'half']] };
    await expect(runner.change(failing)).rejects.toMatchObject({ kind: 'io-error' });
    expect(await host.ip('-brief', 'link')).not.toContain('half');
    // What was there before is not taken for something that was begun.
    await host.ip('link', 'add', 'half', 'type', 'bridge');
    await expect(runner.change(failing)).rejects.toMatchObject({ kind: 'io-error' });
    expect(await host.ip('-brief', 'link')).toContain('half');
  });
});
