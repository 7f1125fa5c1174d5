import { describe, expect, it } from 'vitest';
import { encodePacket, fromHex, hexNumber, latin1, MAX_PACKET, PacketReader, toHex } from './packets.ts';

const text = (bytes: Uint8Array) => String.fromCharCode(...bytes);

describe('packets of the remote serial protocol', () => {
  it('carry their checksum and escape what means something to the framing', () => {
    expect(text(encodePacket('OK'))).toBe('$OK#9a');
    expect(text(encodePacket('a$b#c}d*e'))).toBe(
      `$a}\x04b}\x03c}]d}\ne#${((97 + 125 + 4 + 98 + 125 + 3 + 99 + 125 + 93 + 100 + 125 + 10 + 101) & 255).toString(16)}`,
    );
  });

  it('come back as they were, in whatever pieces they arrive', () => {
    const data = Uint8Array.from({ length: 256 }, (_, i) => i);
    const wire = encodePacket(data);
    for (const size of [1, 3, 7, 1000]) {
      const reader = new PacketReader();
      const events = [];
      for (let at = 0; at < wire.length; at += size) events.push(...reader.push(wire.subarray(at, at + size)));
      expect(events).toEqual([{ type: 'packet', data }]);
    }
  });

  it('with a wrong checksum, or none, are bad', () => {
    const reader = new PacketReader();
    expect(reader.push(latin1('$OK#9b'))).toEqual([{ type: 'bad' }]);
    expect(reader.push(latin1('$OK#zz'))).toEqual([{ type: 'bad' }]);
    expect(reader.push(latin1('$OK#9a'))).toMatchObject([{ type: 'packet' }]);
  });

  it('that are longer than announced are bad, and the next one is read', () => {
    const reader = new PacketReader();
    expect(reader.push(encodePacket('x'.repeat(MAX_PACKET + 1)))).toEqual([{ type: 'bad' }]);
    expect(reader.push(encodePacket('x'.repeat(MAX_PACKET)))).toMatchObject([{ type: 'packet' }]);
  });

  it('may be cut off by another one', () => {
    const events = new PacketReader().push(latin1('$m0,4$OK#9a'));
    expect(events).toEqual([{ type: 'packet', data: latin1('OK') }]);
  });

  it('stand beside acknowledgements and interrupts', () => {
    expect(new PacketReader().push(latin1('+-\x03 junk'))).toEqual([{ type: 'ack' }, { type: 'nak' }, { type: 'interrupt' }]);
  });
});

describe('numbers and bytes', () => {
  it('are hexadecimal, or nothing', () => {
    expect(toHex(Uint8Array.of(0, 0xab, 7))).toBe('00ab07');
    expect(fromHex('00aB07')).toEqual(Uint8Array.of(0, 0xab, 7));
    for (const bad of ['0', 'xy', '0 ']) expect(fromHex(bad)).toBeUndefined();
    expect(hexNumber('ffffffffffffffff')).toBe(0xffff_ffff_ffff_ffffn);
    for (const bad of ['', '-1', '0x1', '1'.repeat(17), undefined]) expect(hexNumber(bad)).toBeUndefined();
  });
});
