import { expect, test } from 'vitest';
import { Forwards, type ForwardRule } from './forwards.ts';
import { type TestDatagrams, TestHost, TestStream } from './testing/testhost.ts';

const rule = (changes: Partial<ForwardRule> = {}): ForwardRule => ({
  id: 'a',
  protocol: 'tcp',
  hostAddress: '127.0.0.1',
  hostPort: 2222,
  vm: 'vm',
  card: 'net0',
  guestPort: 22,
  ...changes,
});

function rig() {
  const host = new TestHost();
  const tcp: unknown[] = [];
  const udp: { text: string; source: number }[] = [];
  const target = { mac: 2, address: 0x0a07_0032 };
  const there = { on: true };
  const forwards = new Forwards({
    host,
    target: (vm) => (there.on && vm === 'vm' ? target : undefined),
    tcp: (stream, to, port) => tcp.push([stream, to, port]),
    udp: (bytes, source) => udp.push({ text: Buffer.from(bytes).toString(), source }),
    changed: () => {},
  });
  return { host, forwards, tcp, udp, there, target };
}

test('connections go on to the machine; one that is not there resets them; what stays the same goes on listening', () => {
  const { host, forwards, tcp, there, target } = rig();
  forwards.set([rule(), rule({ id: 'b', hostPort: 80, guestPort: 8080 })]);
  expect(host.listeners.map(({ address, port }) => `${address}:${port}`)).toEqual(['127.0.0.1:2222', '127.0.0.1:80']);
  const stream = new TestStream('', 0);
  host.listeners[0]!.accepted(stream);
  expect(tcp).toEqual([[stream, target, 22]]);
  there.on = false;
  host.listeners[0]!.accepted(stream);
  expect(stream.wasReset).toBe(true);
  forwards.set([rule(), rule({ id: 'b', hostPort: 81, guestPort: 8080 })]);
  expect(host.listeners.map(({ port, closed }) => `${port} ${closed}`)).toEqual(['2222 false', '80 true', '81 false']);
  forwards.close();
  expect(host.listeners.every(({ closed }) => closed)).toBe(true);
});

test('datagrams of each sender come from a port of its own, and its answers go back to it alone', () => {
  const { host, forwards, udp, target } = rig();
  forwards.set([rule({ protocol: 'udp', guestPort: 53 })]);
  const socket = host.sockets[0] as TestDatagrams;
  socket.received(Buffer.from('one'), '203.0.113.1', 1);
  socket.received(Buffer.from('two'), '203.0.113.1', 2);
  socket.received(Buffer.from('one again'), '203.0.113.1', 1);
  expect(udp.map(({ text }) => text)).toEqual(['one', 'two', 'one again']);
  expect(udp[0]!.source).toBe(udp[2]!.source);
  expect(udp[0]!.source).not.toBe(udp[1]!.source);
  expect(forwards.answer(udp[1]!.source, target.address, 53, Buffer.from('yes'))).toBe(true);
  expect(socket.sent).toEqual([{ bytes: Buffer.from('yes'), address: '203.0.113.1', port: 2 }]);
  // Not from another port of the guest, nor to a port that nobody has.
  expect(forwards.answer(udp[1]!.source, target.address, 54, Buffer.from('no'))).toBe(false);
  expect(forwards.answer(9, target.address, 53, Buffer.from('no'))).toBe(false);
  for (let port = 1; port < 5000; port++) socket.received(Buffer.from('x'), '203.0.113.2', port);
  expect(forwards.answer(udp[0]!.source, target.address, 53, Buffer.from('late'))).toBe(false);
  expect(socket.sent).toHaveLength(1);
});
