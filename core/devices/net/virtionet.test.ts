import { describe, expect, it } from 'vitest';
import { Bench } from '../testing/bench.ts';
import { FakeCable } from '../testing/fakecable.ts';
import { CARD_MAC, ethernet, PEER_MAC, pattern, readTcp, tcpFrame } from '../testing/frames.ts';
import { VirtioDriver } from '../testing/virtiodriver.ts';
import { VirtioNet } from './virtionet.ts';

const CSUM = 0;
const GUEST_CSUM = 1;
const GUEST_TSO4 = 7;
const HOST_TSO4 = 11;
const MRG_RXBUF = 15;
const CTRL = [16, 17, 18, 20, 23];
const BROADCAST = new Uint8Array(6).fill(0xff);

function setUp(features: readonly number[] = [], size = 8) {
  const bench = new Bench();
  const cable = new FakeCable();
  const messages: number[] = [];
  const make = (on: Bench, at: FakeCable) =>
    new VirtioNet({
      id: 'net0',
      mmio: on.mmio,
      memory: on.memory,
      message: (_, data) => messages.push(data),
      log: on.log,
      cable: at,
      mac: CARD_MAC,
    });
  const card = make(bench, cable);
  const driver = new VirtioDriver(card, bench);
  driver.size = size;
  for (let vector = 0; vector < 4; vector++) driver.useMessage(vector, 0xfee00000, 0x40 + vector);
  driver.start(features, 3);
  driver.write(0x10, 3, 2);
  /** Gives the card buffers to receive into. */
  const offer = (count: number, bytes: number) => {
    const at: number[] = [];
    for (let i = 0; i < count; i++) {
      const gpa = driver.buffer(bytes);
      at.push(gpa);
      driver.submit([{ gpa, length: bytes, write: true }], 0);
    }
    driver.kick(0);
    return at;
  };
  const read = (gpa: number, length: number) => {
    const bytes = new Uint8Array(length);
    bench.memory.read(gpa, bytes);
    return bytes;
  };
  const header = ({ flags = 0, gso = 0, headerLength = 0, gsoSize = 0, start = 0, offset = 0 } = {}) => {
    const bytes = new Uint8Array(12);
    const view = new DataView(bytes.buffer);
    bytes[0] = flags;
    bytes[1] = gso;
    view.setUint16(2, headerLength, true);
    view.setUint16(4, gsoSize, true);
    view.setUint16(6, start, true);
    view.setUint16(8, offset, true);
    return bytes;
  };
  const send = (frame: Uint8Array, how = {}) => {
    const head = driver.buffer(header(how));
    const gpa = driver.buffer(frame);
    driver.submit(
      [
        { gpa: head, length: 12 },
        { gpa, length: frame.length },
      ],
      1,
    );
    driver.kick(1);
  };
  const command = (kind: number, number: number, data: readonly number[] | Uint8Array) => {
    const words = driver.buffer(Uint8Array.from([kind, number, ...data]));
    const answer = driver.buffer(Uint8Array.of(0xee));
    driver.submit(
      [
        { gpa: words, length: 2 + data.length },
        { gpa: answer, length: 1, write: true },
      ],
      2,
    );
    driver.kick(2);
    return bench.memory.read8(answer);
  };
  return { bench, cable, card, driver, messages, make, offer, read, send, command };
}

const plain = (to: Uint8Array, length = 100) => ethernet(to, PEER_MAC, 0x88b5, pattern(length));

describe('a VirtIO network card', () => {
  it('tells its address and its carrier, and interrupts when that changes', () => {
    const { driver, cable, messages } = setUp([16]);
    expect([0, 1, 2, 3, 4, 5].map((i) => driver.config(i, 1))).toEqual([...CARD_MAC]);
    expect(driver.config(6, 2)).toBe(1);
    expect(driver.read(0x15, 1)).toBe(0);
    cable.plug(false);
    expect(driver.config(6, 2)).toBe(0);
    expect(driver.read(0x15, 1)).toBe(1);
    expect(messages).toEqual([0x43]);
    cable.plug(false);
    cable.plug(true);
    expect(messages).toEqual([0x43, 0x43]);
    expect(driver.features()).toEqual([0, 1, 5, 7, 11, 15, 16, 17, 18, 20, 23, 28, 29, 32]);
  });

  it('sends what the driver hands it, as it is, and passes it on once for all', () => {
    const { driver, cable, send, messages } = setUp();
    const frame = plain(PEER_MAC, 1500);
    send(frame);
    expect(cable.sent).toEqual([frame]);
    expect(cable.flushes).toBe(1);
    expect(driver.used(1)).toEqual([{ head: 0, written: 0 }]);
    expect(messages).toEqual([0x41]);
    // Neither too short nor too long ones go out, and the card goes on.
    send(new Uint8Array(13));
    send(new Uint8Array(66_000));
    expect(cable.sent).toHaveLength(1);
    send(frame);
    expect(cable.sent).toHaveLength(2);
  });

  it('receives into one buffer, with one interrupt for all that came', () => {
    const { cable, offer, read, driver, messages } = setUp();
    const at = offer(3, 1526);
    const frames = [plain(CARD_MAC), plain(BROADCAST, 1500)];
    cable.arrive(...frames);
    expect(driver.used(0)).toEqual([
      { head: 0, written: 12 + 114 },
      { head: 1, written: 12 + 1514 },
    ]);
    expect(read(at[0]!, 12)).toEqual(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0));
    frames.forEach((frame, i) => {
      expect(read(at[i]! + 12, frame.length)).toEqual(frame);
    });
    expect(messages).toEqual([0x40]);
  });

  it('leaves frames on the cable until there is room, and asks to be told of it', () => {
    const { cable, offer, driver } = setUp([29]);
    const event = () => driver.bench.memory.read16(driver.tableOf(0) + 0x2000 + 4 + driver.size * 8);
    offer(1, 1526);
    cable.arrive(plain(CARD_MAC), plain(CARD_MAC), plain(CARD_MAC));
    expect(cable.count).toBe(2);
    expect(event()).toBe(1);
    offer(2, 1526);
    expect(cable.count).toBe(0);
    expect(driver.used(0)).toHaveLength(3);
    // With nothing to hand over it need not hear of buffers.
    offer(1, 1526);
    expect(event()).toBe(1);
  });

  it('spreads a frame over buffers that the driver merges, and takes none while there are too few', () => {
    const { cable, offer, read, driver } = setUp([MRG_RXBUF]);
    const frame = plain(CARD_MAC, 1400);
    const at = offer(2, 600);
    cable.arrive(frame);
    expect(driver.used(0)).toEqual([]);
    at.push(...offer(1, 600));
    expect(driver.used(0).map(({ written }) => written)).toEqual([600, 600, 1426 - 1200]);
    expect(read(at[0]! + 10, 2)).toEqual(Uint8Array.of(3, 0));
    expect(Buffer.concat([read(at[0]! + 12, 588), read(at[1]!, 600), read(at[2]!, 226)]).equals(frame)).toBe(true);
  });

  it('without merging a buffer that is too small needs a reset', () => {
    const { cable, offer, driver } = setUp();
    offer(1, 100);
    cable.arrive(plain(CARD_MAC, 1400));
    expect(driver.read(0x14, 1) & 0x40).toBe(0x40);
    cable.arrive(plain(CARD_MAC));
    expect(cable.count).toBe(0);
    driver.start([], 3);
    offer(1, 1526);
    cable.arrive(plain(CARD_MAC));
    expect(driver.used(0)).toHaveLength(1);
  });

  it('nobody drives: frames fall', () => {
    const { cable, driver } = setUp();
    driver.write(0x14, 0, 1);
    cable.arrive(plain(CARD_MAC), plain(CARD_MAC));
    expect(cable.count).toBe(0);
  });

  it('filters as it is told', () => {
    const { cable, offer, driver, command } = setUp(CTRL);
    const group = Uint8Array.of(0x33, 0x33, 0, 0, 0, 1);
    const other = Uint8Array.of(0x52, 0x54, 0, 9, 9, 9);
    const got = () => driver.used(0).length;
    offer(8, 1526);
    const passes = (to: Uint8Array) => {
      cable.arrive(plain(to));
      const count = got();
      if (count) offer(count, 1526);
      return count === 1;
    };
    const all = () => [CARD_MAC, BROADCAST, group, other].map(passes);
    expect(all()).toEqual([true, true, true, true]);
    expect(command(0, 0, [0])).toBe(0);
    expect(all()).toEqual([true, true, false, false]);
    expect(command(0, 1, [1])).toBe(0);
    expect(all()).toEqual([true, true, true, false]);
    expect(command(0, 1, [0])).toBe(0);
    expect(command(1, 0, [1, 0, 0, 0, ...other, 1, 0, 0, 0, ...group])).toBe(0);
    expect(all()).toEqual([true, true, true, true]);
    expect(command(1, 0, [0, 0, 0, 0, 0, 0, 0, 0])).toBe(0);
    expect(command(0, 5, [1])).toBe(0);
    expect(all()).toEqual([true, false, false, false]);
    expect(command(1, 1, other)).toBe(0);
    expect(all()).toEqual([false, false, false, true]);
    expect(driver.config(3, 1)).toBe(9);
    // What can't be.
    expect(command(0, 0, [])).toBe(1);
    expect(command(0, 9, [1])).toBe(1);
    expect(command(1, 0, [255, 255, 255, 255])).toBe(1);
    expect(command(1, 0, [2, 0, 0, 0, ...other])).toBe(1);
    expect(command(1, 1, [1, 2, 3])).toBe(1);
    expect(command(2, 0, [0, 0])).toBe(1);
  });
});

describe('offloads', () => {
  it('a checksum that the driver began is finished', () => {
    const { cable, send } = setUp([CSUM]);
    const frame = tcpFrame({ payload: pattern(333) });
    const right = frame.slice();
    // The sum of the pseudo header, by taking the rest out: finishing it must give what it was.
    const begun = frame.slice();
    const length = frame.length - 34;
    let sum = 6 + length;
    for (let i = 26; i < 34; i += 2) sum += (frame[i]! << 8) | frame[i + 1]!;
    sum = (sum & 0xffff) + (sum >> 16);
    begun[50] = sum >> 8;
    begun[51] = sum & 0xff;
    send(begun, { flags: 1, start: 34, offset: 16 });
    expect(cable.sent).toEqual([right]);
    send(begun, { flags: 1, start: 60_000, offset: 16 });
    expect(cable.sent).toHaveLength(1);
  });

  it('a long TCP packet goes out as a whole with right checksums', () => {
    const { cable, send } = setUp([CSUM, HOST_TSO4]);
    const payload = pattern(40_000);
    const frame = tcpFrame({ payload });
    frame[50] = frame[51] = frame[24] = 0x55;
    send(frame, { flags: 1, gso: 1, gsoSize: 1460, headerLength: 54, start: 34, offset: 16 });
    expect(readTcp(cable.sent[0]!).payload).toEqual(payload);
    send(plain(PEER_MAC), { gso: 1, gsoSize: 1460 });
    send(frame, { gso: 4, gsoSize: 1460 });
    expect(cable.sent).toHaveLength(1);
  });

  it('a long TCP packet arrives in one piece where the driver takes it, its checksum begun', () => {
    const { cable, offer, read, driver } = setUp([GUEST_CSUM, GUEST_TSO4, MRG_RXBUF], 128);
    const payload = pattern(30_000);
    const frame = tcpFrame({ payload, options: 12 });
    const at = offer(25, 1536);
    cable.arrive(frame);
    const used = driver.used(0);
    expect(used).toHaveLength(Math.ceil((frame.length + 12) / 1536));
    const head = new DataView(read(at[0]!, 12).buffer);
    expect(head.getUint8(0)).toBe(1);
    expect(head.getUint8(1)).toBe(1);
    expect([2, 4, 6, 8, 10].map((offset) => head.getUint16(offset, true))).toEqual([66, 1448, 34, 16, used.length]);
    const whole = Buffer.concat(used.map(({ written }, i) => read(at[i]!, written))).subarray(12);
    expect(whole.subarray(66).equals(payload)).toBe(true);
    let sum = 6 + (frame.length - 34);
    for (let i = 26; i < 34; i += 2) sum += (frame[i]! << 8) | frame[i + 1]!;
    expect((whole[50]! << 8) | whole[51]!).toBe((sum & 0xffff) + (sum >> 16));
  });

  it('a long TCP packet is cut for a driver that knows nothing of it, as far as there is room, and the rest follows', () => {
    const { cable, offer, read, driver } = setUp([GUEST_CSUM]);
    const payload = pattern(10_000);
    const got: Uint8Array[] = [];
    const collect = (at: number[]) => {
      for (const [i, { written }] of driver.used(0).entries()) {
        expect(bytesOf(read(at[i]!, 2))).toEqual([2, 0]);
        got.push(readTcp(read(at[i]! + 12, written - 12)).payload.slice());
      }
    };
    const bytesOf = (bytes: Uint8Array) => [...bytes];
    const first = offer(4, 1526);
    cable.arrive(tcpFrame({ payload }));
    collect(first);
    expect(got).toHaveLength(4);
    collect(offer(4, 1526));
    expect(Buffer.concat(got).equals(payload)).toBe(true);
    // One whose checksum is wrong would be made right, and any other is too long.
    const wrong = tcpFrame({ payload });
    wrong[5000]! ^= 1;
    cable.arrive(wrong, plain(CARD_MAC, 5000));
    expect(driver.used(0)).toEqual([]);
    expect(cable.count).toBe(0);
  });

  it('a wrong checksum is left for the driver to find', () => {
    const { cable, offer, read } = setUp([GUEST_CSUM]);
    const at = offer(2, 1526);
    const wrong = tcpFrame({ payload: pattern(100) });
    wrong[80]! ^= 1;
    cable.arrive(tcpFrame({ payload: pattern(100) }), wrong);
    expect(at.map((gpa) => read(gpa, 1)[0])).toEqual([2, 0]);
  });
});

it('goes on after a restore with another cable: filter, address, queues, and a carrier that the driver hears of', () => {
  const a = setUp(CTRL);
  a.command(0, 0, [0]);
  a.command(1, 1, [0x52, 0x54, 0, 1, 2, 3]);
  const at = a.offer(2, 1526);
  const b = setUp(CTRL);
  b.driver.write(0x14, 0, 1);
  b.cable.carrier = false;
  const ram = new Uint8Array(a.bench.memory.ramBytes);
  a.bench.memory.read(0, ram);
  b.bench.memory.write(0, ram);
  b.card.restore(structuredClone(a.card.save()));
  b.messages.length = 0;
  b.cable.plug(false);
  expect(b.messages).toEqual([0x43]);
  expect(b.driver.config(6, 2)).toBe(0);
  b.cable.plug(true);
  b.cable.arrive(plain(CARD_MAC), plain(Uint8Array.of(0x52, 0x54, 0, 1, 2, 3)));
  expect(b.bench.memory.read16(b.driver.tableOf(0) + 0x2002)).toBe(1);
  expect(b.read(at[0]! + 12, 6)).toEqual(Uint8Array.of(0x52, 0x54, 0, 1, 2, 3));
});
