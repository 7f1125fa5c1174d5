import { expect, test } from 'vitest';
import { parseArp } from './arp.ts';
import { BROADCAST, readMac } from './ethernet.ts';
import { ipv4Text, parseIpv4 } from '../contract/ipv4.ts';
import { PAYLOAD_AT, PROTOCOL_ICMP, viewOf } from './ipv4.ts';
import { checksumOf, sumWords } from '../util/internetchecksum.ts';
import { FAR, GATEWAY, GUEST, GUEST_MAC, TestGuest } from './testing/guest.ts';
import { ACK, RST, SYN } from './tcp/segment.ts';

function dhcp(type: number, options: number[] = [], changes: (bytes: Uint8Array) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(300);
  bytes.set([1, 1, 6, 0, 0xaa, 0xbb, 0xcc, 0xdd]);
  bytes.set([0x52, 0x54, 0, 0, 0, 1], 28);
  viewOf(bytes).setUint32(236, 0x6382_5363);
  bytes.set([53, 1, type, ...options, 255], 240);
  changes(bytes);
  return bytes;
}
const addressOption = (code: number, address: number) => [
  code,
  4,
  address >>> 24,
  (address >>> 16) & 255,
  (address >>> 8) & 255,
  address & 255,
];

/** Asks who has `wanted`. */
function arpRequest(wanted: number, address: number): Uint8Array {
  const arp = new Uint8Array(28);
  const view = viewOf(arp);
  view.setUint32(0, 0x0001_0800);
  view.setUint32(4, 0x0604_0001);
  arp.set([0x52, 0x54, 0, 0, 0, 1], 8);
  view.setUint32(14, address);
  view.setUint32(24, wanted);
  return arp;
}

/** Type, address and options of the reply that came. */
function reply(guest: TestGuest) {
  const packets = guest.frames.map((frame) => ({ to: readMac(frame, 0), destination: viewOf(frame).getUint32(30) }));
  const [datagram] = guest.datagrams();
  if (!datagram) return undefined;
  const { payload } = datagram;
  const options = new Map<number, number[]>();
  for (let at = 240; payload[at] !== 255; at += 2 + payload[at + 1]!)
    options.set(payload[at]!, [...payload.subarray(at + 2, at + 2 + payload[at + 1]!)]);
  return { ...packets[0]!, type: options.get(53)![0], address: ipv4Text(viewOf(payload).getUint32(16)), options };
}

test('an address is offered, given, given again, refused where it is wrong, and never given twice', () => {
  const guest = new TestGuest();
  const ask = (bytes: Uint8Array, source = 0) => {
    guest.udp(bytes, 0xffff_ffff, 67, 68, source, BROADCAST);
    return reply(guest);
  };
  expect(ask(dhcp(1))).toMatchObject({ type: 2, address: '10.7.0.50', to: GUEST_MAC, destination: GUEST });
  const given = ask(dhcp(3, [...addressOption(50, GUEST), ...addressOption(54, GATEWAY)]))!;
  expect(given).toMatchObject({ type: 5, address: '10.7.0.50' });
  expect(given.options.get(1)).toEqual([255, 255, 255, 0]);
  expect(given.options.get(3)).toEqual([10, 7, 0, 1]);
  expect(given.options.get(6)).toEqual([10, 7, 0, 1]);
  expect(given.options.get(51)).toEqual([0, 1, 0x51, 0x80]);
  // Renewal comes from the address itself.
  expect(
    ask(
      dhcp(3, [], (bytes) => viewOf(bytes).setUint32(12, GUEST)),
      GUEST,
    ),
  ).toMatchObject({ type: 5, destination: GUEST });
  expect(ask(dhcp(3, addressOption(50, GUEST + 100)))).toMatchObject({ type: 6, to: BROADCAST });
  // Another server was chosen.
  expect(ask(dhcp(3, [...addressOption(50, GUEST), ...addressOption(54, GUEST)]))).toBeUndefined();
  // Others get others, until there are none; then the longest unused is taken.
  const other = (number: number) =>
    ask(
      dhcp(1, [], (bytes) => {
        bytes[33] = number;
      }),
    )?.address;
  const addresses = Array.from({ length: 10 }, (_, index) => other(index + 2));
  expect(new Set([...addresses, '10.7.0.50']).size).toBe(11);
  expect(other(99)).toBe('10.7.0.50');
  expect(guest.gateway.leases()).toHaveLength(11);
  // Somebody has the address already.
  guest.udp(
    dhcp(4, [...addressOption(50, parseIpv4('10.7.0.51')), ...addressOption(54, GATEWAY)], (bytes) => {
      bytes[33] = 2;
    }),
    0xffff_ffff,
    67,
    68,
    0,
    BROADCAST,
  );
  expect(other(2)).not.toBe('10.7.0.51');
});

test('an isolated network gives addresses, but no way out', () => {
  const guest = new TestGuest({ router: false });
  guest.udp(dhcp(1), 0xffff_ffff, 67, 68, 0, BROADCAST);
  const offer = reply(guest)!;
  expect(offer).toMatchObject({ type: 2 });
  expect(offer.options.has(3) || offer.options.has(6)).toBe(false);
  guest.tcp(1000, { seq: 1, ack: 0, flags: SYN, window: 1000 });
  guest.udp(Buffer.from('x'), FAR, 9);
  guest.udp(Buffer.alloc(20), GATEWAY, 53);
  expect(guest.packets().map(({ packet, protocol }) => [protocol, packet[20], packet[21]])).toEqual([
    [PROTOCOL_ICMP, 3, 0],
    [PROTOCOL_ICMP, 3, 0],
    [PROTOCOL_ICMP, 3, 3],
  ]);
  expect([guest.host.streams.length, guest.host.sockets.length]).toEqual([0, 0]);
});

test('an isolated network without DHCP has nobody but its machines, which may have any address', () => {
  const guest = new TestGuest({ router: false, dhcp: null });
  guest.frame(BROADCAST, 0x0806, arpRequest(GATEWAY, GUEST));
  guest.udp(dhcp(1), 0xffff_ffff, 67, 68, 0, BROADCAST);
  guest.udp(Buffer.from('x'), GATEWAY, 9);
  guest.tcp(1000, { seq: 1, ack: 0, flags: SYN, window: 1000 });
  expect(guest.frames).toEqual([]);
  guest.frame(BROADCAST, 0x0806, arpRequest(GUEST, GATEWAY));
  expect(guest.gateway.addresses()).toEqual([{ mac: '52:54:00:00:00:01', address: '10.7.0.1' }]);
});

test('the gateway answers ARP and echoes, and what it can not pass on it says', () => {
  const guest = new TestGuest();
  guest.frame(BROADCAST, 0x0806, arpRequest(GATEWAY, GUEST));
  expect(parseArp(guest.frames.pop()!)).toMatchObject({ request: false, mac: guest.gateway.mac, address: GATEWAY, wanted: GUEST });
  // For somebody else it does not answer.
  guest.frame(BROADCAST, 0x0806, arpRequest(GUEST + 1, GUEST));
  expect(guest.frames).toEqual([]);
  expect(guest.gateway.addresses()).toEqual([{ mac: '52:54:00:00:00:01', address: '10.7.0.50' }]);

  const echo = (destination: number, length = 8) => {
    const { frame, view } = guest.writer;
    frame.fill(0, PAYLOAD_AT, PAYLOAD_AT + length);
    frame[PAYLOAD_AT] = 8;
    view.setUint16(PAYLOAD_AT + 2, checksumOf(sumWords(view, PAYLOAD_AT, PAYLOAD_AT + length)), true);
    guest.writer.send({ mac: guest.gateway.mac, source: GUEST, destination, protocol: PROTOCOL_ICMP }, length);
  };
  echo(GATEWAY);
  expect(guest.packets().map(({ packet }) => packet[20])).toEqual([0]);
  // Longer than a frame: in fragments both ways.
  echo(GATEWAY, 4000);
  expect(guest.packets().map(({ offset, more }) => [offset, more])).toEqual([
    [0, true],
    [1480, true],
    [2960, false],
  ]);
  echo(FAR);
  echo(parseIpv4('127.0.0.1'));
  echo(parseIpv4('169.254.169.254'));
  expect(guest.packets().map(({ packet }) => [packet[20], packet[21]])).toEqual(Array(3).fill([3, 13]));
});

test('loopback, link-local and groups are never reached; the gateway itself has nothing but its own services', () => {
  const guest = new TestGuest();
  for (const address of ['127.0.0.1', '127.9.9.9', '0.0.0.0', '169.254.169.254', '224.0.0.1', '255.255.255.254']) {
    guest.tcp(1000, { seq: 1, ack: 0, flags: SYN, window: 1000 }, undefined, 80, parseIpv4(address));
    guest.udp(Buffer.from('x'), parseIpv4(address), 80);
  }
  guest.frames.length = 0;
  guest.tcp(1000, { seq: 1, ack: 0, flags: SYN, window: 1000 }, undefined, 80, GATEWAY);
  expect(guest.segments().map(({ flags, ack }) => [flags, ack])).toEqual([[RST | ACK, 2]]);
  expect([guest.host.streams.length, guest.host.sockets.length]).toEqual([0, 0]);
});

test('datagrams go out and come back from those they were sent to; idle ones are forgotten', () => {
  const guest = new TestGuest();
  guest.udp(Buffer.from('hello'), FAR, 9);
  const [socket] = guest.host.sockets;
  expect(socket!.sent).toEqual([{ bytes: Buffer.from('hello'), address: '198.51.100.7', port: 9 }]);
  socket!.received(Buffer.alloc(5000, 7), '198.51.100.7', 9);
  const pieces = guest.packets();
  expect(pieces).toHaveLength(4);
  socket!.received(Buffer.from('evil'), '198.51.100.8', 9);
  socket!.received(Buffer.from('evil'), '198.51.100.7', 10);
  expect(guest.frames).toEqual([]);
  // The same port of the guest has the same socket, whoever it sends to.
  guest.udp(Buffer.from('2'), FAR + 1, 9);
  expect(guest.host.sockets).toHaveLength(1);
  guest.host.pass(400_000);
  expect(socket!.closed).toBe(true);
  for (let port = 1; port < 3000; port++) guest.udp(Buffer.from('x'), FAR, 9, port);
  expect(guest.host.sockets.filter(({ closed }) => !closed)).toHaveLength(1024);
});

test('questions go to the name servers, one after the other; without an answer the guest is told', () => {
  const guest = new TestGuest();
  guest.host.servers = [
    { address: '192.0.2.1', port: 53 },
    { address: '192.0.2.2', port: 5353 },
  ];
  const query = Buffer.alloc(20, 1);
  query[2] = 1;
  guest.udp(query, GATEWAY, 53);
  expect(guest.host.sockets[0]!.sent[0]).toMatchObject({ address: '192.0.2.1', port: 53 });
  guest.host.pass(4000);
  expect(guest.host.sockets[0]!.closed).toBe(true);
  const second = guest.host.sockets[1]!;
  expect(second.sent[0]).toMatchObject({ address: '192.0.2.2', port: 5353 });
  const answer = Buffer.from(query);
  answer[2] = 0x81;
  second.received(answer, '192.0.2.9', 5353);
  second.received(query, '192.0.2.2', 5353);
  expect(guest.frames).toEqual([]);
  second.received(answer, '192.0.2.2', 5353);
  expect(guest.datagrams()[0]).toMatchObject({ sourcePort: 53, destinationPort: 4000 });
  guest.host.servers = [];
  guest.udp(query, GATEWAY, 53);
  expect(guest.datagrams()[0]!.payload[3]! & 15).toBe(2);
});

test('random and broken frames never throw, and leave nothing unbounded behind', () => {
  const guest = new TestGuest();
  let seed = 7;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const good: Uint8Array[] = [];
  const port = { send: (frame: Uint8Array) => void good.push(frame.slice()) };
  const keep = (work: () => void) => {
    const { send } = guest;
    guest.send = (frame) => {
      port.send(frame);
      send.call(guest, frame);
    };
    work();
    guest.send = send;
  };
  keep(() => {
    guest.udp(dhcp(1), 0xffff_ffff, 67, 68, 0, BROADCAST);
    guest.udp(Buffer.alloc(40, 1), GATEWAY, 53);
    guest.udp(Buffer.alloc(3000, 1), FAR, 53);
    guest.tcp(1000, { seq: 1, ack: 0, flags: SYN, window: 1000, mss: 1460, scale: 7 });
    guest.tcp(1000, { seq: 2, ack: 5, flags: ACK, window: 1000 }, Buffer.alloc(100));
  });
  for (let round = 0; round < 30_000; round++) {
    const frame = random(4) ? good[random(good.length)]!.slice() : new Uint8Array(14 + random(100));
    for (let flips = random(6); flips > 0; flips--) frame[random(frame.length)] = random(256);
    const cut = random(5) ? frame : frame.subarray(0, 14 + random(frame.length - 13));
    // Headers are made right again, so that what lies behind them is looked at.
    if (cut.length >= 34 && random(3)) {
      const view = viewOf(cut);
      cut[14] = 0x45;
      view.setUint16(16, cut.length - 14);
      view.setUint16(24, 0);
      view.setUint16(24, checksumOf(sumWords(view, 14, 34)), true);
    }
    guest.ethernet.receive(guest.port, cut);
    guest.frames.length = 0;
    if (round % 100 === 0) guest.host.pass(random(2000));
  }
  expect(guest.host.sockets.filter(({ closed }) => !closed).length).toBeLessThanOrEqual(1024 + 512);
  expect(guest.gateway.leases().length).toBeLessThanOrEqual(11);
});

test('where this computer has the first address only addresses are given: the rest is its own, questions sent to it are answered for it', () => {
  const HOST_MAC = 0x5254_0000_00ff;
  const guest = new TestGuest({ router: false, host: { router: true, dns: [FAR, FAR + 1] } });
  guest.udp(dhcp(1), 0xffff_ffff, 67, 68, 0, BROADCAST);
  const offered = reply(guest)!;
  expect(offered).toMatchObject({ type: 2, address: '10.7.0.50' });
  expect([offered.options.get(3), offered.options.get(6)]).toEqual([
    [10, 7, 0, 1],
    [198, 51, 100, 7, 198, 51, 100, 8],
  ]);
  guest.frame(BROADCAST, 0x0806, arpRequest(GATEWAY, GUEST));
  expect(guest.frames).toEqual([]);
  // To the station of this computer, which has no service for it.
  const toHost: Uint8Array[] = [];
  const port = { send: (frame: Uint8Array) => void (guest.gateway.answersForHost(frame) || toHost.push(frame.slice())) };
  guest.ethernet.plug(port);
  const renewal = dhcp(3, [], (bytes) => viewOf(bytes).setUint32(12, GUEST));
  guest.udp(renewal, GATEWAY, 67, 68, GUEST, HOST_MAC);
  expect(reply(guest)).toMatchObject({ type: 5, destination: GUEST });
  expect(toHost).toEqual([]);
  guest.udp(new Uint8Array(300), GATEWAY, 69, 68, GUEST, HOST_MAC);
  guest.frame(HOST_MAC, 0x0800, new Uint8Array(4));
  expect([guest.frames, toHost.length]).toEqual([[], 2]);

  const plain = new TestGuest({ router: false, host: { router: false, dns: [] } });
  plain.udp(dhcp(1), 0xffff_ffff, 67, 68, 0, BROADCAST);
  const { options } = reply(plain)!;
  expect([options.has(3), options.has(6)]).toEqual([false, false]);
});

test('cards are told what they start a system from, in the header and as options; a long URL as an option alone', () => {
  const offer = (file: string) => {
    const guest = new TestGuest();
    guest.gateway.setBoot({ file }, undefined);
    guest.udp(dhcp(1), 0xffff_ffff, 67, 68, 0, BROADCAST);
    const [datagram] = guest.datagrams();
    const { payload } = datagram!;
    guest.udp(dhcp(1), 0xffff_ffff, 67, 68, 0, BROADCAST);
    const options = reply(guest)!.options;
    const words = (bytes: ArrayLike<number> | undefined) => String.fromCharCode(...Array.from(bytes ?? []));
    return {
      next: ipv4Text(viewOf(payload).getUint32(20)),
      file: words(payload.subarray(108, 236)).replace(/\0+$/, ''),
      options: [words(options.get(66)), words(options.get(67))],
    };
  };
  expect(offer('boot.ipxe')).toEqual({ next: '10.7.0.1', file: 'boot.ipxe', options: ['10.7.0.1', 'boot.ipxe'] });
  const url = `http://10.7.0.1/${'a'.repeat(238)}`;
  expect(offer(url)).toEqual({ next: '10.7.0.1', file: '', options: ['10.7.0.1', url] });
});

test('cards that start under UEFI are told of their own file, where there is one', () => {
  const guest = new TestGuest();
  const file = (...options: number[]) => {
    guest.udp(dhcp(1, options), 0xffff_ffff, 67, 68, 0, BROADCAST);
    return String.fromCharCode(...reply(guest)!.options.get(67)!);
  };
  const [bios, uefi, cut] = [
    [93, 2, 0, 0],
    [93, 4, 0, 7, 0, 9],
    [93, 1, 7],
  ];
  guest.gateway.setBoot({ file: 'pxelinux.0', uefiFile: 'grubx64.efi' }, undefined);
  expect([file(), file(...bios!), file(...uefi!), file(...cut!)]).toEqual(['pxelinux.0', 'pxelinux.0', 'grubx64.efi', 'pxelinux.0']);
  guest.gateway.setBoot({ file: 'boot.ipxe' }, undefined);
  expect(file(...uefi!)).toBe('boot.ipxe');
});

test('what cards start from is changed at once, and taken back', async () => {
  const guest = new TestGuest();
  const file = () => {
    guest.udp(dhcp(1), 0xffff_ffff, 67, 68, 0, BROADCAST);
    const found = reply(guest)!.options.get(67);
    return found && String.fromCharCode(...found);
  };
  /** Whether TFTP answers, be it that there is no such file. */
  const tftp = async () => {
    guest.udp(Uint8Array.of(0, 1, 0x61, 0, ...new TextEncoder().encode('octet'), 0), GATEWAY, 69, 2000);
    await new Promise((resolve) => setImmediate(resolve));
    return guest.datagrams().length > 0;
  };
  expect([file(), await tftp()]).toEqual([undefined, false]);
  guest.gateway.setBoot({ file: 'a.ipxe' }, async () => undefined);
  expect([file(), await tftp()]).toEqual(['a.ipxe', true]);
  guest.gateway.setBoot({ file: 'b.ipxe' }, undefined);
  expect([file(), await tftp()]).toEqual(['b.ipxe', false]);
  guest.gateway.setBoot(undefined, async () => undefined);
  expect([file(), await tftp()]).toEqual([undefined, true]);
});
