import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { NetworkCard, NetworkStatus, PortForward } from '../../contract/networks.ts';
import { BROADCAST, parseMac } from '../../net/ethernet.ts';
import { Ipv4Writer } from '../../net/ipv4.ts';
import { sendUdp } from '../../net/udp.ts';
import { frameRecord, messageRecord, type WireMessage, WireReader } from '../../net/wire.ts';
import { ChildProcessLauncher, networkProcessEntry } from '../../platform/childlauncher.ts';
import type { FromNetworkProcess, ToNetworkProcess } from '../../net/processprotocol.ts';
import { nullLogger } from '../../util/logger.ts';
import { eventually, PATIENCE_MS } from '../testing/harness.ts';
import { HostNetworkDevices } from './host/hostnetworkdevices.ts';
import { TestRunner } from './host/testing/testrunner.ts';
import { Leases } from './leases.ts';
import type { NetworkedMachine } from './members.ts';
import type { NetworkLauncher } from './networkprocess.ts';
import { NetworkService } from './service.ts';
import { openNetworks } from './store.ts';

/** Networks with their real processes, and machines that are nothing but cables. */
let root: string;
let service: NetworkService;
let machines: { id: string; name: string; active: boolean; config: { network: NetworkCard[] } }[];
let launched: ReturnType<NetworkLauncher['launch']>[];
let sockets: Socket[];

beforeEach(async () => {
  root = mkdtempSync(path.join(tmpdir(), 'hv-net-'));
  [machines, launched, sockets] = [[], [], []];
  const launcher = new ChildProcessLauncher<ToNetworkProcess, FromNetworkProcess>(networkProcessEntry(import.meta.url));
  service = new NetworkService(await openNetworks(path.join(root, 'config'), nullLogger), {
    launcher: {
      launch: (name) => {
        const handle = launcher.launch(name);
        launched.push(handle);
        return handle;
      },
    },
    runtimeFolder: path.join(root, 'run'),
    log: nullLogger,
    leases: await Leases.open(path.join(root, 'config'), nullLogger),
    devices: new HostNetworkDevices(new TestRunner(), root),
    ownFolders: () => [root],
    machines: () => machines as unknown as NetworkedMachine[],
    changed: () => {},
    limits: { linger: 100, again: 20, listen: 100 },
  });
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await service.close();
  rmSync(root, { recursive: true, force: true });
});

const call = <M extends keyof NetworkService['handlers']>(method: M, params: Parameters<NetworkService['handlers'][M]>[0]) =>
  (service.handlers[method] as (given: unknown) => unknown)(params) as ReturnType<NetworkService['handlers'][M]>;
const status = async (id: string): Promise<NetworkStatus> => (await call('network.list', {})).find((each) => each.id === id)!;
const reaches = (id: string, state: NetworkStatus['state']) =>
  eventually(
    () => status(id),
    (now) => now.state === state,
  );

/** A machine that is on, with its cable in a network. */
function machine(name: string, last: number, network: string) {
  const mac = `52:54:00:00:00:${String(last).padStart(2, '0')}`;
  machines.push({ id: name, name, active: true, config: { network: [{ id: 'net0', model: 'virtio', mac, network, connected: true }] } });
  return { vm: name, card: 'net0' as const, mac };
}

interface Plug {
  frames: Buffer[];
  answers: WireMessage[];
  send(frame: Uint8Array): void;
}

/** Says hello at a socket; resolves with what came, once there is an answer. */
async function plug(socket: string, member: { vm: string; card: string; mac: string }): Promise<Plug> {
  const wire = connect(socket);
  sockets.push(wire);
  const made: Plug = { frames: [], answers: [], send: (frame) => wire.write(frameRecord(frame)) };
  const reader = new WireReader({ frame: (frame) => made.frames.push(Buffer.from(frame)), message: (one) => made.answers.push(one) });
  wire.on('data', (bytes: Buffer) => reader.push(bytes));
  wire.on('error', () => {});
  wire.write(messageRecord({ type: 'hello', ...member }));
  await eventually(
    () => made.answers.length + Number(wire.destroyed),
    (count) => count > 0,
  );
  return made;
}

/** Until the network's process knows the card. */
async function plugged(socket: string, member: Parameters<typeof plug>[1]): Promise<Plug> {
  return eventually(
    () => plug(socket, member),
    ({ answers }) => answers[0]?.type === 'ready',
  );
}

const bytesOf = (mac: string) => mac.split(':').map((byte) => Number.parseInt(byte, 16));
const frameFrom = (from: string, to: string, text: string) =>
  Buffer.concat([Uint8Array.from([...bytesOf(to), ...bytesOf(from), 0x88, 0xb5]), Buffer.from(text.padEnd(46))]);

test('machines of a network see each other, it starts with the first and ends after the last', { timeout: 2 * PATIENCE_MS }, async () => {
  const lab = await call('network.create', {
    name: 'Lab',
    kind: 'isolated',
    description: '',
    subnet: '10.7.0.0/24',
    bridge: null,
    dhcp: null,
    forwards: [],
    boot: null,
  });
  const [one, two] = [machine('one', 1, 'lab'), machine('two', 2, 'lab')];
  expect(lab.state).toBe('idle');
  expect(launched).toHaveLength(0);
  const [first, second] = await Promise.all([service.attachments.open('lab', one), service.attachments.open('lab', two)]);
  expect(first.socket).toBe(second.socket);
  expect(launched).toHaveLength(1);
  expect(await status('lab')).toMatchObject({ state: 'active', error: null });
  const [a, b] = [await plugged(first.socket, one), await plugged(second.socket, two)];
  a.send(frameFrom(one.mac, two.mac, 'hello two'));
  await eventually(
    () => b.frames.map((frame) => frame.toString('latin1')).join(),
    (seen) => seen.includes('hello two'),
  );
  // Somebody who is not on this network stays out.
  expect((await plug(first.socket, { vm: 'three', card: 'net0', mac: '52:54:00:00:00:03' })).answers[0]?.type).toBe('refused');
  service.attachments.close('lab', one);
  service.attachments.close('lab', two);
  await reaches('lab', 'idle');
  await expect(service.attachments.open('gone', one)).rejects.toMatchObject({ kind: 'not-found' });
});

test('a network whose process was killed says so, is there again, and machines find it where it was', {
  timeout: 2 * PATIENCE_MS,
}, async () => {
  const one = machine('one', 1, 'default');
  const { socket } = await service.attachments.open('default', one);
  await plugged(socket, one);
  for (let kills = 1; kills <= 2; kills++) {
    process.kill(launched.at(-1)!.pid!, 'SIGKILL');
    await eventually(
      () => launched.length,
      (count) => count === kills + 1,
    );
    await reaches('default', 'active');
    await plugged(socket, one);
  }
});

test('one that can’t be started rejects, and is tried again for the next', { timeout: 2 * PATIENCE_MS }, async () => {
  const one = machine('one', 1, 'default');
  const good = launched.push.bind(launched);
  launched.push = (handle) => {
    handle.kill();
    return good(handle);
  };
  await expect(service.attachments.open('default', one)).rejects.toMatchObject({
    message: expect.stringContaining('Default'),
    fix: expect.any(String),
  });
  launched.push = good;
  const { socket } = await service.attachments.open('default', one);
  await plugged(socket, one);
});

test('what machines start from is told from the first on, and is another as soon as it is set', { timeout: 2 * PATIENCE_MS }, async () => {
  const one = machine('one', 1, 'default');
  const url = (name: string) => ({ file: `http://boot.example.org/${name}`, folder: null });
  await call('network.update', { id: 'default', patch: { boot: url('first') } });
  const { socket } = await service.attachments.open('default', one);
  const cable = await plugged(socket, one);
  const mac = parseMac(one.mac);
  const writer = new Ipv4Writer(mac, (frame) => cable.send(frame.slice()));
  const discover = new Uint8Array(300);
  discover.set([1, 1, 6]);
  discover.set(bytesOf(one.mac), 28);
  discover.set([99, 130, 83, 99, 53, 1, 1, 255], 236);
  const offered = (text: string) =>
    eventually(
      () => {
        sendUdp(writer, { mac: BROADCAST, source: 0, sourcePort: 68, destination: 0xffff_ffff, destinationPort: 67 }, discover);
        return cable.frames.splice(0).map((frame) => frame.toString('latin1'));
      },
      (frames) => frames.some((frame) => frame.includes(text)),
    );
  await offered('http://boot.example.org/first');
  await call('network.update', { id: 'default', patch: { boot: url('second') } });
  await offered('http://boot.example.org/second');
});

test('addresses are told, kept and locked; ports that can’t be forwarded say why', { timeout: 2 * PATIENCE_MS }, async () => {
  const one = machine('one', 1, 'default');
  const taken = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const { port } = taken.address() as AddressInfo;
  const forward = (id: string, hostPort: number, vm: string): PortForward => ({
    id,
    protocol: 'tcp',
    hostAddress: '127.0.0.1',
    hostPort,
    vm,
    card: 'net0',
    guestPort: 22,
    description: '',
  });
  try {
    const forwards = [forward('taken', port, 'one'), forward('nobody', 1025, 'none')];
    await call('network.update', { id: 'default', patch: { forwards } });
    const { socket } = await service.attachments.open('default', one);
    const kinds = (now: NetworkStatus) => Object.fromEntries(now.forwardProblems.map(({ id, error }) => [id, error.kind]));
    await eventually(
      () => status('default'),
      (now) => kinds(now).taken === 'in-use' && kinds(now).nobody === 'not-found',
    );
    expect((await status('default')).locked).not.toBeNull();
    await expect(call('network.update', { id: 'default', patch: { subnet: '10.9.0.0/24', dhcp: null } })).rejects.toMatchObject({
      kind: 'in-use',
    });
    // The machine says who it is: an ARP request for the gateway.
    const cable = await plugged(socket, one);
    const arp = Buffer.alloc(60);
    arp.set([...Array(6).fill(0xff), ...bytesOf(one.mac), 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1, ...bytesOf(one.mac), 192, 168, 100, 77]);
    arp.set([192, 168, 100, 1], 38);
    cable.send(arp);
    const seen = await eventually(
      () => status('default'),
      ({ members }) => members[0]?.address === '192.168.100.77',
    );
    expect(seen.gateway).toBe('192.168.100.1');
    // The other program lets go of the port.
    await new Promise((resolve) => taken.close(resolve));
    await eventually(
      () => status('default'),
      (now) => kinds(now).taken === undefined,
    );
    // Forwards apply at once.
    await call('network.update', { id: 'default', patch: { forwards: [] } });
    expect((await status('default')).forwardProblems).toEqual([]);
    machines[0]!.active = false;
    service.attachments.close('default', one);
    await reaches('default', 'idle');
    expect((await status('default')).members[0]).toMatchObject({ address: '192.168.100.77', connected: false });
    await service.close();
    expect((await Leases.open(path.join(root, 'config'), nullLogger)).of('default').get(one.mac)).toBe('192.168.100.77');
    await call('network.update', { id: 'default', patch: { subnet: '10.9.0.0/24', dhcp: null } });
    expect((await status('default')).members[0]!.address).toBeNull();
  } finally {
    taken.close();
  }
});
