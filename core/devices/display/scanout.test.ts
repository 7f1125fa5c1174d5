import { describe, expect, it } from 'vitest';
import { VgaBench } from './testing/vgabench.ts';
import { readTextScreen } from './textscreen.ts';

const color = VgaBench.entry;

function text(): VgaBench {
  const bench = new VgaBench();
  bench.setMode('text80');
  bench.glyph(0x41, [0x81, 0xff, 0x00, 0x80]);
  bench.glyph(0xc4, [0x01]);
  bench.screen.refresh();
  return bench;
}

describe('text modes', () => {
  it('is 720x400 and draws glyph, foreground and background', () => {
    const bench = text();
    bench.write(0xb8000, 0x1f41, 2);
    expect(bench.pixel(0, 0)).toBe(color(0x3f));
    expect(bench.pixel(1, 0)).toBe(color(1));
    expect(bench.pixel(7, 0)).toBe(color(0x3f));
    expect(bench.pixel(8, 1)).toBe(color(1));
    expect([bench.screen.width, bench.screen.height, bench.screen.mode().text]).toEqual([720, 400, true]);
  });

  it('repeats the eighth dot of line-drawing characters only', () => {
    const bench = text();
    bench.write(0xb8000, 0x07c4, 2);
    expect(bench.pixel(8, 0)).toBe(color(7));
    bench.attr(0x10, 0x08);
    expect(bench.pixel(8, 0)).toBe(color(0));
  });

  it('reports one changed cell as a rectangle of that cell', () => {
    const bench = text();
    bench.takeDamage();
    bench.write(0xb8000 + (5 * 80 + 10) * 2, 0x0741, 2);
    expect(bench.takeDamage()).toEqual([{ x: 90, y: 80, width: 9, height: 16 }]);
    expect(bench.takeDamage()).toEqual([]);
  });

  it('blinks cursor and characters at their rates', () => {
    const bench = text();
    bench.write(0xb8000, 0x8f41, 2);
    bench.indexed(0x3d4, 0x0f, 3);
    // The cursor takes the foreground of its cell.
    bench.write(0xb8006, 0x0720, 2);
    expect([bench.pixel(27, 12), bench.pixel(27, 13), bench.pixel(35, 14), bench.pixel(27, 15)]).toEqual([
      color(0),
      color(7),
      color(7),
      color(0),
    ]);
    bench.nowMs = 140;
    expect(bench.pixel(27, 13)).toBe(color(0));
    expect(bench.pixel(0, 0)).toBe(color(0x3f));
    bench.nowMs = 280;
    expect(bench.pixel(27, 13)).toBe(color(7));
    expect(bench.pixel(0, 0)).toBe(color(0));
    bench.indexed(0x3d4, 0x0a, 0x20);
    expect(bench.pixel(27, 13)).toBe(color(0));
  });

  it('uses bright backgrounds when blinking is off', () => {
    const bench = text();
    bench.attr(0x10, 0x04);
    bench.write(0xb8000, 0xf020, 2);
    expect(bench.pixel(0, 0)).toBe(color(0x3f));
  });

  it('takes the second font where attribute bit 3 says so', () => {
    const bench = text();
    bench.glyph(0x41, [0xff], 5);
    // Map A (bit 3 set) is map 5: bit 5 and 01 in bits 3-2.
    bench.indexed(0x3c4, 3, 0x24);
    bench.write(0xb8000, 0x0f41_0741 | 0, 4);
    expect(bench.pixel(1, 0)).toBe(color(0));
    expect(bench.pixel(10, 0)).toBe(color(0x3f));
  });

  it('notices a changed font', () => {
    const bench = text();
    bench.write(0xb8000, 0x0741, 2);
    expect(bench.pixel(3, 0)).toBe(color(0));
    bench.glyph(0x41, [0xff]);
    expect(bench.pixel(3, 0)).toBe(color(7));
  });

  it('scrolls by start address, panning, preset row and line compare', () => {
    const bench = text();
    bench.write(0xb8000 + 80 * 2, 0x0741, 2);
    bench.indexed(0x3d4, 0x0d, 80);
    expect(bench.pixel(0, 0)).toBe(color(7));
    bench.attr(0x13, 0);
    expect([bench.pixel(0, 0), bench.pixel(6, 0), bench.pixel(7, 0)]).toEqual([color(0), color(7), color(0)]);
    bench.attr(0x13, 8);
    bench.indexed(0x3d4, 8, 3);
    expect([bench.pixel(0, 0), bench.pixel(1, 0)]).toEqual([color(7), color(0)]);
    bench.indexed(0x3d4, 8, 0);
    // Split after line 31: below it the screen starts again at word 0.
    bench.write(0xb8000, 0x7020, 2);
    bench.indexed(0x3d4, 0x07, 0x0f);
    bench.indexed(0x3d4, 0x09, 0x0f);
    bench.indexed(0x3d4, 0x18, 31);
    expect([bench.pixel(0, 31), bench.pixel(0, 32)]).toEqual([color(0), color(7)]);
  });

  it('doubles dots in 40 columns and shows 132 columns', () => {
    const bench = text();
    bench.indexed(0x3c4, 1, 8);
    bench.indexed(0x3d4, 0x11, 0);
    bench.indexed(0x3d4, 1, 39);
    bench.write(0xb8000, 0x0741, 2);
    expect([bench.pixel(0, 0), bench.pixel(1, 0), bench.pixel(2, 0)]).toEqual([color(7), color(7), color(0)]);
    expect(bench.screen.width).toBe(720);
    bench.indexed(0x3c4, 1, 1);
    bench.indexed(0x3d4, 1, 131);
    bench.screen.refresh();
    expect(bench.screen.width).toBe(1056);
  });

  it('is black, at the same size, while the palette is off the screen or the sequencer blanks it', () => {
    const bench = text();
    bench.write(0xb8000, 0x7f41, 2);
    expect(bench.pixel(0, 0)).not.toBe(0);
    bench.in(0x3da);
    bench.out(0x3c0, 0);
    expect(bench.pixel(0, 0)).toBe(0);
    expect(bench.screen.mode()).toEqual({ width: 720, height: 400, text: false, resizable: false });
    bench.out(0x3c0, 0);
    bench.in(0x3da);
    bench.out(0x3c0, 0x20);
    expect(bench.pixel(0, 0)).not.toBe(0);
    bench.indexed(0x3c4, 1, 0x20);
    expect(bench.pixel(0, 0)).toBe(0);
  });

  it('reads rows and cursor as text', () => {
    const bench = text();
    for (const [i, letter] of [...'Hi \x01'].entries()) bench.write(0xb8000 + (2 * 80 + i) * 2, 0x0700 | letter.charCodeAt(0), 2);
    bench.write(0xb8000, 0x07c9, 2);
    bench.indexed(0x3d4, 0x0f, 2 * 80 + 4);
    const screen = readTextScreen(bench.memory)!;
    expect(screen.rows.length).toBe(25);
    expect([screen.rows[0], screen.rows[1], screen.rows[2]]).toEqual(['╔', '', 'Hi ☺']);
    expect(screen.cursor).toEqual({ x: 4, y: 2 });
    bench.setMode('mode13');
    expect(readTextScreen(bench.memory)).toBeUndefined();
  });
});

describe('graphics modes', () => {
  it('mode 13h: a byte a pixel, doubled both ways, memory mapped directly', () => {
    const bench = new VgaBench();
    bench.setMode('mode13');
    bench.write(0xa0000 + 320 + 1, 0x42);
    expect([bench.pixel(1, 2), bench.pixel(2, 2), bench.pixel(3, 3), bench.pixel(4, 3)]).toEqual([
      color(0),
      color(0x42),
      color(0x42),
      color(0),
    ]);
    expect([bench.screen.width, bench.screen.height]).toEqual([640, 400]);
    expect(bench.physMap.entry(0xa0000)).not.toBe(0);
    bench.setMode('text80');
    expect(bench.physMap.entry(0xa0000)).toBe(0);
  });

  it('reports one changed pixel of mode 13h as its 2x2 dots', () => {
    const bench = new VgaBench();
    bench.setMode('mode13');
    bench.takeDamage();
    bench.write(0xa0000 + 100 * 320 + 50, 7);
    expect(bench.takeDamage()).toEqual([{ x: 100, y: 200, width: 2, height: 2 }]);
  });

  it('mode X: four planes of one byte a pixel, page flip by start address', () => {
    const bench = new VgaBench();
    bench.setMode('modeX');
    bench.indexed(0x3c4, 2, 0b0100);
    bench.write(0xa0000 + 80, 0x21);
    expect([bench.pixel(3, 2), bench.pixel(4, 2), bench.pixel(5, 3), bench.pixel(6, 2)]).toEqual([
      color(0),
      color(0x21),
      color(0x21),
      color(0),
    ]);
    expect([bench.screen.width, bench.screen.height]).toEqual([640, 480]);
    bench.indexed(0x3d4, 0x0d, 80);
    expect(bench.pixel(4, 0)).toBe(color(0x21));
  });

  it('16 colours from four planes', () => {
    const bench = new VgaBench();
    bench.setMode('planar');
    bench.indexed(0x3c4, 2, 0b1010);
    bench.write(0xa0000 + 80 * 479 + 79, 0x03);
    expect([bench.pixel(637, 479), bench.pixel(638, 479), bench.pixel(639, 479)]).toEqual([color(0), color(10), color(10)]);
    bench.attr(0x12, 0x02);
    expect(bench.pixel(639, 479)).toBe(color(2));
  });

  it('CGA, four colours: two bits a pixel, odd lines at 2000h', () => {
    const bench = new VgaBench();
    bench.setMode('cga4');
    bench.write(0xb8000, 0x1b);
    bench.write(0xb8001, 0x40);
    bench.write(0xba000, 0xc0);
    expect([0, 2, 4, 6, 8].map((x) => bench.pixel(x, 0))).toEqual([0, 0x13, 0x15, 0x17, 0x13].map(color));
    expect([bench.pixel(0, 2), bench.pixel(1, 3), bench.pixel(2, 3)]).toEqual([0x17, 0x17, 0].map(color));
    expect([bench.screen.width, bench.screen.height]).toEqual([640, 400]);
  });

  it('CGA, two colours', () => {
    const bench = new VgaBench();
    bench.setMode('cga2');
    bench.write(0xb8000 + 80, 0x81);
    bench.write(0xba000, 0x40);
    expect([0, 1, 7].map((x) => bench.pixel(x, 4))).toEqual([0x17, 0, 0x17].map(color));
    expect([0, 1, 2].map((x) => bench.pixel(x, 3))).toEqual([0, 0x17, 0].map(color));
  });
});

describe('Bochs VBE modes', () => {
  const open = (width: number, height: number, bpp: number, enable = 0x41) => {
    const bench = new VgaBench();
    bench.setMode('mode13');
    bench.dispi(4, 0);
    bench.dispi(1, width);
    bench.dispi(2, height);
    bench.dispi(3, bpp);
    bench.dispi(4, enable);
    return bench;
  };
  const poke = (bench: VgaBench, offset: number, ...bytes: number[]) => {
    bench.vga.writeConfig(0x10, 0xe0000000, 4);
    bench.vga.writeConfig(0x04, 2, 2);
    for (const [i, byte] of bytes.entries()) bench.write(0xe0000000 + offset + i, byte);
  };

  it.each([
    [8, [0x42], color(0x42)],
    [15, [0xe0, 0x03], 0x00ff00],
    [16, [0x00, 0xf8], 0xff0000],
    [24, [0x12, 0x34, 0x56], 0x563412],
    [32, [0x12, 0x34, 0x56, 0xff], 0x563412],
  ])('%i bits a pixel through the linear frame buffer', (bpp, bytes, expected) => {
    const bench = open(800, 600, bpp);
    bench.takeDamage();
    poke(bench, (2 * 800 + 3) * Math.ceil(bpp / 8), ...bytes);
    expect(bench.takeDamage()).toEqual([{ x: 3, y: 2, width: 1, height: 1 }]);
    expect(bench.pixel(3, 2)).toBe(expected);
    expect([bench.screen.width, bench.screen.height]).toEqual([800, 600]);
  });

  it('4 bits a pixel uses the planes', () => {
    const bench = open(800, 600, 4);
    for (const [index, value] of [
      [2, 0b1001],
      [4, 6],
    ] as const)
      bench.indexed(0x3c4, index, value);
    bench.indexed(0x3ce, 5, 0);
    bench.write(0xa0000 + 100, 0x80);
    expect(bench.pixel(0, 1)).toBe(color(9));
  });

  it('pans over a larger virtual screen', () => {
    const bench = open(640, 480, 32);
    bench.dispi(6, 1024);
    bench.dispi(8, 16);
    bench.dispi(9, 5);
    poke(bench, (5 * 1024 + 16) * 4, 1, 2, 3);
    expect(bench.pixel(0, 0)).toBe(0x030201);
    expect(bench.readDispi(7)).toBe(4096);
  });

  it('moves the A0000 window by banks', () => {
    const bench = open(1024, 768, 8);
    bench.dispi(5, 3);
    bench.write(0xa0010, 0x55);
    expect(bench.vram[0x30010]).toBe(0x55);
    expect(bench.pixel(0x10, 192)).toBe(color(0x55));
    bench.dispi(5, 0x1234);
    expect(bench.readDispi(5)).toBe(0x34);
  });

  it('opens the window at A0000 even when text was on before', () => {
    const bench = new VgaBench();
    bench.setMode('text80');
    bench.dispi(1, 640);
    bench.dispi(2, 480);
    bench.dispi(3, 8);
    bench.dispi(4, 1);
    bench.write(0xa0003, 0x21);
    expect(bench.pixel(3, 0)).toBe(color(0x21));
    bench.dispi(4, 0);
    bench.screen.refresh();
    expect(bench.screen.mode().text).toBe(true);
  });

  it('clears memory unless told not to', () => {
    const bench = open(640, 480, 8);
    bench.vram[5] = 1;
    bench.dispi(4, 0);
    bench.dispi(4, 0xc1);
    expect(bench.vram[5]).toBe(1);
    bench.dispi(4, 0);
    bench.dispi(4, 0x41);
    expect(bench.vram[5]).toBe(0);
  });

  it('shows 2560x1600 where memory allows and shrinks what does not fit', () => {
    const large = new VgaBench(0x2000000);
    large.setMode('mode13');
    large.dispi(1, 2560);
    large.dispi(2, 1600);
    large.dispi(3, 32);
    large.dispi(4, 0x41);
    large.screen.refresh();
    expect([large.screen.width, large.screen.height]).toEqual([2560, 1600]);
    const small = new VgaBench(0x800000);
    small.dispi(1, 2560);
    small.dispi(2, 1600);
    small.dispi(3, 32);
    small.dispi(4, 0x41);
    expect([small.readDispi(1), small.readDispi(2)]).toEqual([2560, 819]);
  });

  it('takes 8-bit palette values with the 8-bit DAC', () => {
    const bench = open(640, 480, 8, 0x61);
    bench.color(0, 0x81, 0xfe, 0x03);
    expect(bench.pixel(0, 0)).toBe(0x81fe03);
  });
});

describe('viewers', () => {
  it('starts a timer with the first and stops it with the last', () => {
    const bench = new VgaBench();
    const counts: number[] = [];
    let running = 0;
    const source = new (bench.screen.constructor as typeof import('./scanout.ts').VgaScanout)({
      memory: bench.memory,
      now: () => 0,
      setViewerCount: (count) => counts.push(count),
      every: () => {
        running++;
        return { dispose: () => running-- };
      },
    });
    const first = source.attachViewer();
    const second = source.attachViewer();
    expect([running, ...counts]).toEqual([1, 1, 2]);
    first.dispose();
    first.dispose();
    expect(running).toBe(1);
    second.dispose();
    expect([running, ...counts]).toEqual([0, 1, 2, 1, 0]);
  });
});

describe('whatever the guest programs', () => {
  it('never throws and stays within 2560x1600', () => {
    let seed = 20_260_101;
    const random = (limit: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * limit);
    };
    const bench = new VgaBench(0x40000);
    for (let i = 0; i < bench.vram.length; i++) bench.vram[i] = random(256);
    const ports = [0x3c0, 0x3c2, 0x3c5, 0x3c9, 0x3cf, 0x3d5, 0x3b5];
    for (let round = 0; round < 400; round++) {
      bench.setMode((['text80', 'cga4', 'cga2', 'planar', 'mode13', 'modeX'] as const)[random(6)]!);
      for (let i = 0; i < 12; i++) {
        bench.out(0x3c4, random(8));
        bench.out(0x3ce, random(9));
        bench.out(0x3d4, random(0x19));
        bench.out(ports[random(ports.length)]!, random(256));
        if (random(4) === 0) bench.dispi(random(12), random(3) ? random(64) : random(0x10000));
        bench.write(0xa0000 + random(0x20000 - 4), random(2 ** 32), ([1, 2, 4] as const)[random(3)]!);
      }
      bench.in(0x3da);
      bench.out(0x3c0, 0x20);
      bench.nowMs += random(500);
      bench.screen.refresh();
      const { width, height, pixels } = bench.screen;
      expect(width >= 1 && width <= 2560 && height >= 1 && height <= 1600 && pixels.length === width * height).toBe(true);
      for (const rect of bench.takeDamage())
        expect(
          rect.x >= 0 && rect.y >= 0 && rect.width > 0 && rect.height > 0 && rect.x + rect.width <= width && rect.y + rect.height <= height,
        ).toBe(true);
      readTextScreen(bench.memory);
    }
  });
});
