import { describe, expect, it } from 'vitest';
import { Bench, countRises } from '../testing/bench.ts';
import { E1000Driver } from '../testing/e1000driver.ts';
import { FakeCable } from '../testing/fakecable.ts';
import { CARD_MAC, ethernet, PEER_MAC, pattern, plainChecksum, readTcp, tcpFrame } from '../testing/frames.ts';
import { E1000 } from './e1000.ts';

const BROADCAST = new Uint8Array(6).fill(0xff);
const ICR = 0xc0;
const ITR = 0xc4;
const IMS = 0xd0;
const IMC = 0xd8;
const RCTL = 0x100;
const TXDW = 1;
const LSC = 4;
const RXT0 = 0x80;
const EOP = 1;
const RS = 8;
const DEXT = 0x20;

function setUp(size = 16) {
  const bench = new Bench();
  const cable = new FakeCable();
  const make = (on: Bench, at: FakeCable) =>
    new E1000({ id: 'net0', mmio: on.mmio, ports: on.ports, memory: on.memory, clock: on.clock, log: on.log, cable: at, mac: CARD_MAC });
  const card = make(bench, cable);
  card.connectInterrupt(bench.wire('inta'));
  const driver = new E1000Driver(card, bench, size);
  driver.start();
  return { bench, cable, card, driver, make };
}

const plain = (to: ArrayLike<number>, length = 100) => ethernet(to, PEER_MAC, 0x88b5, pattern(length));

describe('an 82540EM', () => {
  it('has an EEPROM that drivers find right: address, checksum, bit by bit and word by word', () => {
    const { driver } = setUp();
    const words = Array.from({ length: 64 }, (_, address) => driver.readEeprom(address));
    expect(words.slice(0, 3)).toEqual([0x5452, 0x1200, 0x5634]);
    expect(words.reduce((sum, word) => sum + word, 0) & 0xffff).toBe(0xbaba);
    for (const address of [0, 2, 13, 63]) {
      driver.write(0x14, (address << 8) | 1);
      expect(driver.read(0x14) & 0x10).toBe(0x10);
      expect(driver.read(0x14) >>> 16).toBe(words[address]);
    }
    expect([driver.read(0x5400), driver.read(0x5404)]).toEqual([0x12005452, 0x80005634]);
  });

  it('has a PHY that shows the carrier, and interrupts when that changes', () => {
    const { driver, cable, bench } = setUp();
    expect([driver.readPhy(2), driver.readPhy(3) & 0xfff0]).toEqual([0x0141, 0x0c20]);
    expect(driver.readPhy(1) & 0x24).toBe(0x24);
    expect(driver.read(8) & 2).toBe(2);
    // There is no PHY at other places.
    driver.write(0x20, (2 << 26) | (3 << 21));
    expect(driver.read(0x20) & 0x4000_0000).not.toBe(0);
    driver.write(IMS, LSC);
    cable.plug(false);
    expect(bench.wire('inta').level).toBe(true);
    expect(driver.readPhy(1) & 0x24).toBe(0);
    expect(driver.read(8) & 2).toBe(0);
    expect(driver.read(ICR)).toBe(LSC);
    expect(bench.wire('inta').level).toBe(false);
    cable.plug(false);
    expect(driver.read(ICR)).toBe(0);
  });

  it('sends what legacy descriptors say, in pieces and with a checksum, and reports', () => {
    const { driver, cable, bench } = setUp();
    const rises = countRises(bench.wire('inta'));
    driver.write(IMS, TXDW);
    const frame = plain(PEER_MAC, 1500);
    driver.submit({ bytes: frame.subarray(0, 600), command: 0 });
    expect(cable.sent).toEqual([]);
    const last = driver.submit({ bytes: frame.subarray(600), command: EOP | RS });
    expect(cable.sent).toEqual([frame]);
    expect(driver.done(last)).toBe(true);
    expect(rises.count).toBe(1);
    expect(driver.read(ICR) & TXDW).toBe(TXDW);
    // A checksum from byte 14 on, to be put at byte 16.
    const packet = plain(PEER_MAC, 40);
    packet[16] = packet[17] = 0;
    driver.submit({ bytes: packet, command: EOP | 4, offset: 16, options: 14 });
    expect(plainChecksum(cable.sent[1]!.subarray(14))).toBe(0);
    driver.submit({ bytes: new Uint8Array(13), command: EOP });
    expect(cable.sent).toHaveLength(2);
    expect(driver.read(0x4080)).toBe(2);
    expect(driver.read(0x4080)).toBe(0);
  });

  it('makes the checksums that a context asks for, and lets a long TCP packet go out as a whole', () => {
    const { driver, cable } = setUp();
    const frame = tcpFrame({ payload: pattern(300) });
    const right = frame.slice();
    const tcpLength = frame.length - 34;
    const pseudo = (length: number) => ~plainChecksum([...frame.subarray(26, 34), 0, 6, length >> 8, length & 0xff]) & 0xffff;
    const begin = (bytes: Uint8Array, length: number) => {
      bytes[24] = bytes[25] = 0;
      new DataView(bytes.buffer).setUint16(50, pseudo(length));
    };
    begin(frame, tcpLength);
    driver.context(14 | (24 << 8) | (33 << 16), 34 | (50 << 8), 0, 0);
    driver.submit({ bytes: frame, command: EOP | DEXT, options: 3 });
    expect(cable.sent).toEqual([right]);
    const payload = pattern(50_000);
    const long = tcpFrame({ payload, options: 12 });
    begin(long, 0);
    long[16] = long[17] = 0;
    driver.context(14 | (24 << 8) | (33 << 16), 34 | (50 << 8), (0x07 << 24) | 50_000, (66 << 8) | (1448 << 16));
    for (let at = 0; at < long.length; at += 16_000)
      driver.submit({
        bytes: long.subarray(at, at + 16_000),
        command: DEXT | 4 | (at + 16_000 >= long.length ? EOP | RS : 0),
        options: at ? 0 : 3,
      });
    expect(readTcp(cable.sent[1]!).payload).toEqual(payload);
    // What is no TCP can't be cut.
    driver.submit({ bytes: plain(PEER_MAC), command: DEXT | 4 | EOP });
    expect(cable.sent).toHaveLength(2);
  });

  it('puts VLAN tags in and takes them out', () => {
    const { driver, cable } = setUp();
    driver.write(0, 0x4000_0040);
    driver.submit({ bytes: plain(PEER_MAC), command: EOP | 0x40, special: 0x2123 });
    expect([...cable.sent[0]!.subarray(12, 18)]).toEqual([0x81, 0, 0x21, 0x23, 0x88, 0xb5]);
    driver.offer(2);
    const tagged = ethernet(CARD_MAC, PEER_MAC, 0x8100, [0x20, 0x05, 0x88, 0xb5, ...pattern(100)]);
    cable.arrive(tagged);
    const [got] = driver.received();
    expect(got).toMatchObject({ status: 1 | 2 | 4 | 8, tag: 0x2005 });
    expect(got!.bytes.subarray(0, 114)).toEqual(plain(CARD_MAC));
    driver.write(RCTL, 0x4_8002);
    cable.arrive(tagged);
    expect(driver.received()).toEqual([]);
    driver.write(0x5600, 1 << 5);
    cable.arrive(tagged);
    expect(driver.received()).toHaveLength(1);
  });

  it('receives with padding and room for the FCS, says what it thinks of checksums, and tells once for all that came', () => {
    const { driver, cable, bench } = setUp();
    driver.write(0x5000, 0x300);
    driver.write(IMS, RXT0);
    const rises = countRises(bench.wire('inta'));
    driver.offer(4);
    const wrong = tcpFrame({ payload: pattern(100) });
    wrong[80]! ^= 1;
    cable.arrive(plain(CARD_MAC, 10), tcpFrame({ payload: pattern(100) }), wrong);
    const got = driver.received();
    expect(got.map(({ status, errors }) => [status, errors])).toEqual([
      [7, 0],
      [0x63, 0],
      [0x63, 0x20],
    ]);
    expect(got[0]!.bytes).toHaveLength(64);
    expect(got[0]!.bytes.subarray(0, 24)).toEqual(plain(CARD_MAC, 10));
    expect(got[1]!.bytes.subarray(0, 154)).toEqual(tcpFrame({ payload: pattern(100) }));
    expect(rises.count).toBe(1);
  });

  it('spreads a frame over small buffers, leaves frames on the cable while there are too few, and goes round the ring', () => {
    const { driver, cable } = setUp(8);
    // 512 bytes each.
    driver.write(RCTL, 0x2_8002);
    driver.offer(2);
    const frame = plain(CARD_MAC, 1300);
    cable.arrive(frame, frame);
    expect(driver.received()).toEqual([]);
    for (let i = 0; i < 6; i++) {
      driver.offer(3);
      const got = driver.received();
      expect(got.map(({ status }) => status & 2)).toEqual([0, 0, 2]);
      expect(
        Buffer.concat(got.map(({ bytes }) => bytes))
          .subarray(0, 1314)
          .equals(frame),
      ).toBe(true);
      cable.arrive(frame);
    }
  });

  it('takes its own, groups by their hash, and everything when it is told', () => {
    const { driver, cable } = setUp();
    const group = Uint8Array.of(0x01, 0, 0x5e, 0, 0, 0xfb);
    const other = Uint8Array.of(0x52, 0x54, 0, 9, 9, 9);
    driver.offer(15);
    const passes = () =>
      [CARD_MAC, BROADCAST, group, other].map((to) => {
        cable.arrive(plain(to));
        const got = driver.received().length;
        driver.offer(got);
        return got;
      });
    expect(passes()).toEqual([1, 1, 0, 0]);
    const hash = ((group[5]! << 8) | group[4]!) >> 4;
    driver.write(0x5200 + (hash >> 5) * 4, (1 << (hash & 31)) >>> 0);
    expect(passes()).toEqual([1, 1, 1, 0]);
    driver.write(0x5408, 0x09005452);
    driver.write(0x540c, 0x80000909);
    expect(passes()).toEqual([1, 1, 1, 1]);
    driver.write(0x540c, 0);
    driver.write(RCTL, 0x000a);
    expect(passes()).toEqual([1, 0, 1, 1]);
    driver.write(RCTL, 0);
    expect(passes()).toEqual([0, 0, 0, 0]);
    expect(cable.count).toBe(0);
  });

  it('cuts a long TCP packet, and lets what else is too long fall', () => {
    const { driver, cable } = setUp(8);
    const payload = pattern(20_000);
    const got: Uint8Array[] = [];
    driver.offer(7);
    cable.arrive(tcpFrame({ payload }), plain(CARD_MAC, 3000));
    for (let i = 0; i < 3; i++) {
      const list = driver.received();
      for (const { bytes } of list) got.push(readTcp(bytes.subarray(0, bytes.length - 4)).payload.slice());
      driver.offer(list.length);
    }
    expect(Buffer.concat(got).equals(payload)).toBe(true);
    expect(cable.count).toBe(0);
  });

  it('interrupts no more often than ITR lets it', () => {
    const { driver, cable, bench } = setUp();
    driver.write(ITR, 1000);
    driver.write(IMS, RXT0);
    driver.offer(10);
    const rises = countRises(bench.wire('inta'));
    for (let i = 0; i < 3; i++) {
      cable.arrive(plain(CARD_MAC));
      driver.read(ICR);
    }
    expect(rises.count).toBe(1);
    cable.arrive(plain(CARD_MAC));
    expect(bench.wire('inta').level).toBe(false);
    bench.clock.advance(256_000);
    expect(rises.count).toBe(2);
    driver.write(IMC, RXT0);
    expect(bench.wire('inta').level).toBe(false);
  });

  it('is reset over its ports, as drivers do, and reads there', () => {
    const { driver, bench } = setUp();
    driver.write(0x5200, 77);
    bench.ports.write(0xc000, 0x5200, 4);
    expect(bench.ports.read(0xc004, 4)).toBe(77);
    bench.ports.write(0xc000, 0, 4);
    bench.ports.write(0xc004, 0x0400_0000, 4);
    expect(driver.read(0x5200)).toBe(0);
    expect(driver.read(RCTL)).toBe(0);
  });

  it('survives rings that make no sense', () => {
    const { driver, cable } = setUp();
    driver.write(0x3810, 0xffff);
    driver.submit({ bytes: plain(PEER_MAC), command: EOP });
    driver.write(0x3818, 0xffff);
    driver.write(0x2818, 0xffff);
    cable.arrive(plain(CARD_MAC));
    expect(driver.received()).toEqual([]);
    driver.write(0x2808, 0);
    cable.arrive(plain(CARD_MAC));
    expect(cable.count).toBe(0);
    driver.start();
    driver.offer(1);
    cable.arrive(plain(CARD_MAC));
    expect(driver.received()).toHaveLength(1);
  });
});

it('goes on after a restore in the middle of a frame, with another cable', () => {
  const a = setUp();
  a.driver.write(IMS, LSC | RXT0);
  a.driver.offer(2);
  const frame = plain(PEER_MAC, 1000);
  a.driver.submit({ bytes: frame.subarray(0, 500), command: 0 });
  const b = setUp();
  b.cable.carrier = false;
  const ram = new Uint8Array(a.bench.memory.ramBytes);
  a.bench.memory.read(0, ram);
  b.bench.memory.write(0, ram);
  b.card.restore(structuredClone(a.card.save()));
  expect(b.driver.read(8) & 2).toBe(2);
  b.cable.plug(false);
  expect(b.bench.wire('inta').level).toBe(true);
  expect(b.driver.read(ICR) & LSC).toBe(LSC);
  b.cable.plug(true);
  // Descriptor 0 was taken before.
  b.bench.memory.write(0x80000, frame.subarray(500));
  b.bench.memory.write32(0x2010, 0x80000);
  b.bench.memory.write32(0x2018, (frame.length - 500) | (EOP << 24));
  b.driver.write(0x3818, 2);
  expect(b.cable.sent).toEqual([frame]);
  b.cable.arrive(plain(CARD_MAC));
  expect(b.driver.read(0x2810)).toBe(1);
});
