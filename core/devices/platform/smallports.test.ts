import { describe, expect, it } from 'vitest';
import { BufferCharBackend } from '../../backend/char.ts';
import { Bench } from '../testing/bench.ts';
import { DebugCon } from './debugcon.ts';
import { DebugExit } from './debugexit.ts';
import { Port92 } from './port92.ts';
import { PostPort } from './post.ts';
import { TestDevice } from './testdevice.ts';

describe('small ports', () => {
  it('port 92h switches A20 and resets on a rise of bit 0 only', () => {
    const bench = new Bench();
    let resets = 0;
    new Port92({ id: 'port92', ports: bench.ports, a20: bench.wire('a20'), reset: () => resets++ });
    bench.out8(0x92, 0x02);
    expect(bench.wire('a20').level).toBe(true);
    expect(bench.in8(0x92)).toBe(0x02);
    bench.out8(0x92, 0x01);
    bench.out8(0x92, 0x03);
    expect(resets).toBe(1);
    bench.out8(0x92, 0x00);
    bench.out8(0x92, 0x01);
    expect(resets).toBe(2);
  });

  it('the debug console answers 0xe9 and prints', () => {
    const bench = new Bench();
    const backend = new BufferCharBackend();
    new DebugCon({ id: 'debugcon', ports: bench.ports, backend });
    expect(bench.in8(0x402)).toBe(0xe9);
    for (const byte of [0x68, 0x69]) bench.out8(0x402, byte);
    expect(backend.text()).toBe('hi');
  });

  it('debug exit tells odd codes for any access size', () => {
    const bench = new Bench();
    const codes: number[] = [];
    new DebugExit({ id: 'debugexit', ports: bench.ports, exit: (code) => codes.push(code) });
    bench.out8(0xf4, 0x10);
    bench.ports.write(0xf4, 0x1234, 2);
    bench.ports.write(0xf4, 0xffffffff, 4);
    expect(codes).toEqual([0x21, 0x2469, 0xffffffff]);
  });

  it('the test device stores what is written to its ports and its memory, in any size, and drives interrupt lines', () => {
    const bench = new Bench();
    const lines = Array.from({ length: 16 }, (_, line) => bench.wire(`irq${line}`));
    const device = new TestDevice({ id: 'testdevice', ports: bench.ports, mmio: bench.mmio, lines });
    bench.ports.write(0xe0, 0x12345678, 4);
    expect([bench.in8(0xe1), bench.ports.read(0xe2, 2), bench.in8(0xe9)]).toEqual([0x56, 0x1234, 0x56]);
    bench.mmio.write(0xff000ffe, 0xcafe, 2);
    expect([bench.mmio.read(0xff000ffe, 1), bench.mmio.read(0xff000ffc, 4), bench.mmio.read(0xff00fffe, 4)]).toEqual([0xfe, 0xcafe0000, 0]);
    bench.ports.write(0x200e, 1, 4);
    expect(lines.map(({ level }) => level).indexOf(true)).toBe(14);
    const saved = device.save();
    device.reset('hard');
    expect([bench.wire('irq14').level, bench.in8(0xe0), bench.mmio.read(0xff000ffe, 2)]).toEqual([false, 0, 0]);
    device.restore(saved);
    expect([bench.in8(0xe0), bench.mmio.read(0xff000ffe, 2)]).toEqual([0x78, 0xcafe]);
  });

  it('port 80h keeps the last code', () => {
    const bench = new Bench();
    const post = new PostPort({ id: 'post', ports: bench.ports });
    bench.out8(0x80, 0x3c);
    expect([post.lastCode, bench.in8(0x80)]).toEqual([0x3c, 0x3c]);
  });
});
