import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { NetworkHost } from '../../core/netprocess/networkhost.ts';
import type { FromNetworkProcess } from '../../core/net/processprotocol.ts';
import { LoopbackNetwork } from './support/loopbacknetwork.ts';
import { type Disturbance, QemuCable, QemuGuest } from './support/qemunetwork.ts';

/** As much as says something of wrapped windows and of speed; HYPERVUE_LONG takes ten times as much. */
const BYTES = (process.env.HYPERVUE_LONG ? 100 : 10) * 1000 * 1000;
const FAR = '198.51.100.7';
const MAC = '52:54:00:12:34:56';
const member = { vm: 'vm', card: 'net0', mac: MAC };

const qemu = spawnSync('qemu-system-x86_64', ['--version']).status === 0;
if (!qemu) console.log('skipped: a TCP of another make needs qemu-system-x86_64 (Debian: apt-get install qemu-system-x86)');

/** What a port forward wants to listen on; nobody else has it now. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Loses every `lost`th frame that is large or an acknowledgement, holds every `late`th back behind the next three. Long runs meet every phase. */
function disturbed(lost: number, late: number): Disturbance {
  let count = 0;
  let held: { frame: Uint8Array; after: number } | undefined;
  return (frame) => {
    count++;
    if (count % lost === 0) return [];
    if (!held && count % late === 0) {
      held = { frame: frame.slice(), after: 3 };
      return [];
    }
    if (held && --held.after === 0) {
      const { frame: old } = held;
      held = undefined;
      return [frame, old];
    }
    return [frame];
  };
}

describe.skipIf(!qemu)("Linux' TCP on a network of ours", () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'hv-net-'));
  const network = new LoopbackNetwork();
  const reports: Extract<FromNetworkProcess, { type: 'status' }>[] = [];
  const servers: Server[] = [];
  let host: NetworkHost;
  let cable: QemuCable;
  let guest: QemuGuest;
  let tcpForward: number;

  beforeAll(async () => {
    tcpForward = await freePort();
    const forward = { vm: 'vm', card: 'net0', hostAddress: '127.0.0.1' };
    host = new NetworkHost(
      {
        kind: 'nat',
        subnet: '10.7.0.0/24',
        dhcp: { from: '10.7.0.50', to: '10.7.0.60' },
        forwards: [{ ...forward, id: 'tcp', protocol: 'tcp', hostPort: tcpForward, guestPort: 7000 }],
        leases: [],
        members: [member],
        socket: path.join(folder, 'net.sock'),
      },
      network,
      (message) => {
        if (message.type === 'status') reports.push(message);
      },
    );
    await host.listen();
    cable = new QemuCable(path.join(folder, 'qemu.sock'), path.join(folder, 'net.sock'), member);
    guest = new QemuGuest(folder, MAC);
    await guest.boot();
    const said = await guest.run('udhcpc -i eth0 -n -q -s /network/leased');
    expect(said).toContain('LEASE 10.7.0.50/24 router=10.7.0.1 dns=10.7.0.1 seconds=86400');
  }, 400_000);

  afterAll(async () => {
    await guest?.close();
    cable?.close();
    host?.close();
    for (const server of servers) server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  beforeEach(() => {
    cable.toGuest = (frame) => [frame];
    cable.toNetwork = (frame) => [frame];
  });

  async function serve(each: (socket: Socket) => void): Promise<number> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {});
      each(socket);
    });
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    return (server.address() as AddressInfo).port;
  }

  /** Bytes that nothing compresses, the same each time. */
  const data = (length: number): Buffer => {
    const bytes = Buffer.alloc(length);
    let state = 1;
    for (let at = 0; at + 4 <= length; at += 4) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
      bytes.writeInt32LE(state, at);
    }
    return bytes;
  };
  const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
  /** Answers with hash and length of what it was sent, once that has ended: half of the connection is shut then. */
  const counting = (socket: Socket) => {
    const hash = createHash('sha256');
    let length = 0;
    socket.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      length += chunk.length;
    });
    socket.on('end', () => socket.end(`${hash.digest('hex')} ${length}\n`));
  };
  /** Sends `length` bytes both ways, one after the other, and compares. */
  async function bothWays(length: number): Promise<void> {
    const sent = data(length);
    const down = await serve((socket) => socket.end(sent));
    const up = await serve(counting);
    expect(await guest.run(`nc ${FAR} ${down} </dev/null | sha256sum`)).toContain(hashOf(sent));
    // /tmp of the guest has no room for all of it; /dev/zero has.
    expect(await guest.run(`dd if=/dev/zero bs=1000 count=${length / 1000} 2>/dev/null | nc ${FAR} ${up}`)).toContain(
      `${hashOf(Buffer.alloc(length))} ${length}`,
    );
  }

  test('bytes go both ways unharmed, and the side that has ended still hears', () => bothWays(BYTES));

  test('so they do where frames are lost and come in another order', async () => {
    cable.toGuest = disturbed(97, 31);
    cable.toNetwork = disturbed(89, 37);
    await bothWays(BYTES / 5);
  });

  test('many connections at once', async () => {
    const port = await serve((socket) => socket.pipe(socket));
    const said = await guest.run(
      `for i in $(seq 1 60); do (echo line-$i | nc ${FAR} ${port} >/tmp/many-$i) & done; wait; cat /tmp/many-* | sort | uniq | wc -l; rm /tmp/many-*`,
    );
    expect(said).toContain('60');
  });

  test('a port where nobody listens refuses; a reset from afar is a reset', async () => {
    const closed = await freePort();
    expect(await guest.run(`nc -w 20 ${FAR} ${closed} </dev/null; echo code $?`)).toMatch(/refused[\s\S]*code 1/);
    const port = await serve((socket) => socket.once('data', () => socket.resetAndDestroy()));
    // busybox does not tell of a reset; the kernel counts it.
    const resets = async () => Number(/Tcp: -?\d.*/.exec(await guest.run('grep Tcp: /proc/net/snmp'))![0].split(' ')[8]);
    const before = await resets();
    await guest.run(`(echo x; sleep 2) | nc ${FAR} ${port}`);
    expect(await resets()).toBe(before + 1);
  });

  test('a guest that reads slowly holds the sender up, and nothing is lost', async () => {
    let taken = 0;
    const sent = data(20 * 1000 * 1000);
    const port = await serve((socket) => {
      socket.write(sent.subarray(0, 10 * 1000 * 1000), () => {
        taken = Date.now();
      });
      socket.end(sent.subarray(10 * 1000 * 1000));
    });
    const began = Date.now();
    const said = await guest.run(`nc ${FAR} ${port} </dev/null | (sleep 3; sha256sum)`);
    expect(said).toContain(hashOf(sent));
    // What lies between is bounded, so the first half was not gone before the guest began to read.
    expect(taken - began).toBeGreaterThan(2000);
  });

  test('names are asked for over UDP and TCP, echoes of the gateway come back, of others it says that they can not', async () => {
    const answer = (query: Buffer): Buffer => {
      const end = query.indexOf(0, 12) + 5;
      const head = Buffer.from(query.subarray(0, end));
      head.writeUInt16BE(0x8180, 2);
      // An address for the name, as A record; none of other types.
      const wanted = query.readUInt16BE(end - 4) === 1;
      head.writeUInt16BE(wanted ? 1 : 0, 6);
      head.writeUInt32BE(0, 8);
      return wanted ? Buffer.concat([head, Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 9])]) : head;
    };
    const udp = createSocket('udp4');
    udp.on('message', (query, { port, address }) => udp.send(answer(query), port, address));
    udp.bind(0, '127.0.0.1');
    await new Promise((resolve) => udp.once('listening', resolve));
    network.servers = [{ address: '127.0.0.1', port: udp.address().port }];
    expect(await guest.run('nslookup example.test')).toContain('203.0.113.9');
    udp.close();
    const asked: Buffer[] = [];
    const port = await serve((socket) =>
      socket.on('data', (query: Buffer) => {
        asked.push(query);
        socket.end('answered');
      }),
    );
    network.servers = [{ address: '127.0.0.1', port }];
    expect(await guest.run('printf query | nc 10.7.0.1 53')).toContain('answered');
    expect(asked[0]!.toString()).toBe('query');
    expect(await guest.run('ping -c 2 -s 4000 10.7.0.1')).toContain('2 packets received');
    expect(await guest.run(`ping -c 1 -W 3 ${FAR}; echo`)).toContain('0 packets received');
  });

  test('datagrams go out and their answers come back', async () => {
    const file = data(3000);
    const server = createSocket('udp4');
    // TFTP, RFC 1350: blocks of 512 bytes, each acknowledged.
    server.on('message', (message, { port, address }) => {
      const block = message.readUInt16BE(0) === 1 ? 1 : message.readUInt16BE(2) + 1;
      if ((block - 1) * 512 > file.length) return;
      const head = Buffer.from([0, 3, 0, block]);
      server.send(Buffer.concat([head, file.subarray((block - 1) * 512, block * 512)]), port, address);
    });
    server.bind(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    expect(await guest.run(`tftp -g -r file -l /tmp/file ${FAR} ${server.address().port} && sha256sum /tmp/file`)).toContain(hashOf(file));
    server.close();
  });

  test('a port of this computer leads to the guest, both halves of the connection', async () => {
    await guest.run('setsid nc -l -p 7000 -e cat </dev/null >/dev/null 2>&1 & sleep 1');
    const sent = data(3_000_000);
    const received = await new Promise<Buffer>((resolve, reject) => {
      const chunks: Buffer[] = [];
      const socket = connect({ port: tcpForward, host: '127.0.0.1', allowHalfOpen: true });
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.on('end', () => resolve(Buffer.concat(chunks)));
      socket.on('error', reject);
      socket.end(sent);
    });
    expect(hashOf(received)).toBe(hashOf(sent));
    // Nobody listens in the guest any more.
    const refused = await new Promise<string>((resolve) => {
      const socket = connect(tcpForward, '127.0.0.1');
      socket.on('error', ({ message }) => resolve(message));
      socket.on('end', () => resolve('ended'));
      socket.write('x');
    });
    expect(refused).toMatch(/ECONNRESET|EPIPE/);
    expect(reports.at(-1)).toMatchObject({ problems: [], addresses: [{ mac: MAC, address: '10.7.0.50' }] });
  });

  test('the address is renewed while it is used, and given again after the guest forgot it', async () => {
    expect(await guest.run('ip addr flush dev eth0; udhcpc -i eth0 -n -q -r 10.7.0.58 -s /network/leased')).toContain('LEASE 10.7.0.50/24');
    // A renewal goes straight to the server, and to everybody three seconds later: under an emulator the answer to the first may be there before the socket that it is for.
    const leases = (count: number) =>
      `i=0; while [ $i -lt 60 ] && [ $(grep -c LEASE /tmp/dhcp.log) -lt ${count} ]; do i=$((i+1)); sleep 1; done`;
    await guest.run('(udhcpc -i eth0 -f -p /tmp/dhcp.pid -s /network/leased >/tmp/dhcp.log 2>&1 </dev/null &)');
    await guest.run(leases(1));
    await guest.run(`kill -USR1 $(cat /tmp/dhcp.pid); ${leases(2)}; kill $(cat /tmp/dhcp.pid)`);
    expect(await guest.run('cat /tmp/dhcp.log')).toMatch(/LEASE 10\.7\.0\.50[\s\S]*renew[\s\S]*LEASE 10\.7\.0\.50/);
  });
});
