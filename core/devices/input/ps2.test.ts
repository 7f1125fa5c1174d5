import { beforeEach, describe, expect, it } from 'vitest';
import { Bench, countRises } from '../testing/bench.ts';
import { GuestInput } from './guestinput.ts';
import { ScatterList } from '../../bus/scatterlist.ts';
import { UsbTablet } from '../usb/tablet.ts';
import { I8042 } from './i8042.ts';
import { Ps2Keyboard } from './ps2keyboard.ts';
import { Ps2Mouse } from './ps2mouse.ts';
import { VMWARE_MAGIC, VmMouse } from './vmmouse.ts';

let bench: Bench;
let chip: I8042;
let keyboard: Ps2Keyboard;
let mouse: Ps2Mouse;
let vmmouse: VmMouse;
let input: GuestInput;
let resets: number;
let registers: number[];

beforeEach(() => {
  bench = new Bench();
  resets = 0;
  registers = new Array(8).fill(0);
  keyboard = new Ps2Keyboard({ id: 'keyboard', log: bench.log });
  mouse = new Ps2Mouse({ id: 'mouse', log: bench.log });
  chip = new I8042({
    id: 'i8042',
    ports: bench.ports,
    irqKeyboard: bench.wire('irq1'),
    irqMouse: bench.wire('irq12'),
    keyboard,
    mouse,
    a20: bench.wire('a20'),
    reset: () => resets++,
    log: bench.log,
  });
  vmmouse = new VmMouse({
    id: 'vmmouse',
    ports: bench.ports,
    registers: {
      get: (r) => registers[r]!,
      set: (r, value) => {
        registers[r] = value;
      },
    },
    wakeMouse: () => mouse.wake(),
    log: bench.log,
  });
  input = new GuestInput({ keyboard, mouse, vmmouse, display: { width: 641, height: 401 } });
});

/** Everything that waits at the data port: aux bytes are marked with 0x100. */
function drain(): number[] {
  const bytes = [];
  for (let i = 0; i < 100; i++) {
    const status = bench.in8(0x64);
    if (!(status & 1)) break;
    bytes.push(bench.in8(0x60) | (status & 0x20 ? 0x100 : 0));
  }
  return bytes;
}
const controller = (command: number, ...data: number[]) => {
  bench.out8(0x64, command);
  for (const byte of data) bench.out8(0x60, byte);
};
const toMouse = (...bytes: number[]) => {
  for (const byte of bytes) controller(0xd4, byte);
  return drain().map((byte) => byte & 0xff);
};
const toKeyboard = (...bytes: number[]) => {
  for (const byte of bytes) bench.out8(0x60, byte);
  return drain();
};

describe('8042', () => {
  it('passes its self tests', () => {
    controller(0xaa);
    expect(drain()).toEqual([0x55]);
    controller(0xab);
    expect(drain()).toEqual([0x00]);
    controller(0xa9);
    expect(drain()).toEqual([0x00]);
    expect(bench.in8(0x64) & 0x14).toBe(0x14);
  });

  it('keeps the command byte and the rest of its RAM', () => {
    controller(0x60, 0x47);
    controller(0x20);
    expect(drain()).toEqual([0x47]);
    controller(0x7f, 0x99);
    controller(0x3f);
    expect(drain()).toEqual([0x99]);
  });

  it('switches A20 through the output port and the short commands', () => {
    controller(0xd1, 0xdf);
    expect(bench.wire('a20').level).toBe(true);
    controller(0xd1, 0xdd);
    expect(bench.wire('a20').level).toBe(false);
    controller(0xdf);
    expect(bench.wire('a20').level).toBe(true);
    controller(0xd0);
    expect(drain()[0]! & 3).toBe(3);
  });

  it('resets on FEh and on an output port write, not on FFh', () => {
    controller(0xff);
    expect(resets).toBe(0);
    controller(0xfe);
    controller(0xd1, 0xde);
    expect(resets).toBe(2);
  });

  it('loops bytes back into both buffers with their interrupts', () => {
    controller(0x60, 0x03);
    controller(0xd2, 0x12);
    expect(bench.wire('irq1').level).toBe(true);
    expect(drain()).toEqual([0x12]);
    expect(bench.wire('irq1').level).toBe(false);
    controller(0xd3, 0x34);
    expect([bench.wire('irq1').level, bench.wire('irq12').level]).toEqual([false, true]);
    expect(drain()).toEqual([0x134]);
  });

  it('holds device bytes while the port is disabled and makes an edge for each byte', () => {
    controller(0xad);
    input.keyScancode(0x1e, true);
    input.keyScancode(0x1e, false);
    expect(bench.in8(0x64) & 1).toBe(0);
    const rises = countRises(bench.wire('irq1'));
    controller(0xae);
    expect(drain()).toEqual([0x1e, 0x9e]);
    expect(rises.count).toBe(2);
  });
});

describe('PS/2 keyboard', () => {
  it('sends every set 1 code back through set 2 and translation', () => {
    for (let code = 1; code <= 0x58; code++) {
      if (code === 0x55) continue;
      input.keyScancode(code, true);
      input.keyScancode(code, false);
      expect(drain()).toEqual([code, code | 0x80]);
    }
    input.keyScancode(0xc8, true);
    input.keyScancode(0xc8, false);
    expect(drain()).toEqual([0xe0, 0x48, 0xe0, 0xc8]);
  });

  it('sends set 2 untranslated, with the odd keys', () => {
    controller(0x60, 0x03);
    input.keyScancode(0x1e, true);
    input.keyScancode(0x1e, false);
    expect(drain()).toEqual([0x1c, 0xf0, 0x1c]);
    input.keyScancode(0x41, true);
    expect(drain()).toEqual([0x83]);
    input.keyScancode(0xb7, true);
    expect(drain()).toEqual([0xe0, 0x12, 0xe0, 0x7c]);
    input.keyScancode(0xc6, true);
    input.keyScancode(0xc6, false);
    expect(drain()).toEqual([0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77]);
  });

  it('has set 3 with key types', () => {
    controller(0x60, 0x03);
    expect(toKeyboard(0xf0, 3)).toEqual([0xfa, 0xfa]);
    expect(toKeyboard(0xf0, 0)).toEqual([0xfa, 0xfa, 3]);
    input.keyScancode(0x1e, true);
    input.keyScancode(0x1e, false);
    expect(drain()).toEqual([0x1c]);
    toKeyboard(0xf8);
    input.keyScancode(0xcb, true);
    input.keyScancode(0xcb, false);
    expect(drain()).toEqual([0x61, 0xf0, 0x61]);
  });

  it('answers reset, identify, echo and unknown commands', () => {
    expect(toKeyboard(0xff)).toEqual([0xfa, 0xaa]);
    controller(0x60, 0x03);
    expect(toKeyboard(0xf2)).toEqual([0xfa, 0xab, 0x83]);
    expect(toKeyboard(0xee)).toEqual([0xee]);
    expect(toKeyboard(0xe1)).toEqual([0xfe]);
  });

  it('reports LEDs', () => {
    const seen: number[] = [];
    input.onLedsChange((leds) => seen.push(leds));
    expect(toKeyboard(0xed, 0x06)).toEqual([0xfa, 0xfa]);
    expect(input.leds).toBe(6);
    expect(seen).toEqual([6]);
  });

  it('drops keys while scanning is off and accepts the typematic rate', () => {
    toKeyboard(0xf5);
    input.keyScancode(0x1e, true);
    expect(drain()).toEqual([]);
    expect(toKeyboard(0xf3, 0x20)).toEqual([0xfa, 0xfa]);
    toKeyboard(0xf4);
    input.keyScancode(0x30, true);
    expect(drain()).toEqual([0x30]);
  });

  it('ends a full buffer with one overrun code and recovers', () => {
    controller(0x60, 0x03);
    controller(0xad);
    for (let i = 0; i < 30; i++) keyboard.key(0x1e, true);
    controller(0xae);
    const bytes = drain();
    expect(bytes).toHaveLength(16);
    expect(bytes[15]).toBe(0);
    keyboard.key(0x30, true);
    expect(drain()).toEqual([0x32]);
  });
});

describe('keys that come while the guest does not read', () => {
  const A = 0x1e;
  const SHIFT = 0x2a;

  it('wait for the buffer to empty, in order and all released', () => {
    const expected = [];
    for (let i = 0; i < 40; i++) {
      for (const [code, down] of [
        [SHIFT, true],
        [A, true],
        [A, false],
        [SHIFT, false],
      ] as const) {
        input.keyScancode(code, down);
        expected.push(down ? code : code | 0x80);
      }
    }
    expect([...drain(), ...drain()]).toEqual(expected);
  });

  it('are forgotten by a reset, all of them; a key that is down still comes up', () => {
    for (let i = 0; i < 100; i++) {
      input.keyScancode(A, true);
      input.keyScancode(A, false);
    }
    input.keyScancode(SHIFT, true);
    input.reset();
    keyboard.reset('hard');
    chip.reset('hard');
    expect(drain()).toEqual([]);
    input.keyScancode(SHIFT, false);
    input.keyScancode(A, true);
    expect(drain()).toEqual([SHIFT | 0x80, A]);
  });

  it('are refused beyond a bound, without leaving a key down', () => {
    for (let i = 0; i < 2000; i++) {
      input.keyScancode(A, true);
      input.keyScancode(A, false);
    }
    input.releaseAll();
    const bytes = [];
    for (let i = 0; i < 100; i++) bytes.push(...drain());
    expect(bytes.length).toBeGreaterThan(400);
    expect(bytes.length).toBeLessThan(600);
    expect(bytes.filter((byte) => byte === A)).toHaveLength(bytes.length / 2);
    expect(bytes.at(-1)).toBe(A | 0x80);
  });
});

describe('PS/2 mouse', () => {
  it('resets and identifies', () => {
    expect(toMouse(0xff)).toEqual([0xfa, 0xaa, 0x00]);
    expect(toMouse(0xf2)).toEqual([0xfa, 0x00]);
  });

  it('reports movement and buttons in three bytes once enabled', () => {
    input.pointerRelative(5, 5, 0);
    expect(drain()).toEqual([]);
    toMouse(0xf4);
    input.pointerRelative(5, 3, 0x01);
    expect(drain()).toEqual([0x129, 0x105, 0x1fd]);
    input.pointerRelative(0, 0, 0x06);
    expect(drain()).toEqual([0x10e, 0x100, 0x100]);
  });

  it('splits long ways and keeps quick clicks apart', () => {
    toMouse(0xf4);
    input.pointerRelative(-600, 0, 0);
    const bytes = drain();
    expect(bytes.filter((_, i) => i % 3 === 1).map((b) => (b & 0xff) - 256)).toEqual([-255, -255, -90]);
    input.pointerRelative(0, 0, 1);
    input.pointerRelative(0, 0, 0);
    input.pointerRelative(0, 0, 1);
    expect(
      drain()
        .filter((_, i) => i % 3 === 0)
        .map((b) => b & 1),
    ).toEqual([1, 0, 1]);
  });

  it('adds movement up while the host does not fetch', () => {
    toMouse(0xf4);
    for (let i = 0; i < 50; i++) input.pointerRelative(1, 0, 0);
    const moved = drain().filter((_, i) => i % 3 === 1);
    expect(moved.reduce((sum, byte) => sum + (byte & 0xff), 0)).toBe(50);
    expect(moved.length).toBeLessThan(5);
  });

  it('becomes a wheel mouse and then a five-button one by the magic rates', () => {
    toMouse(0xf3, 200, 0xf3, 100, 0xf3, 80);
    expect(toMouse(0xf2)).toEqual([0xfa, 3]);
    toMouse(0xf4);
    input.pointerRelative(0, 0, 0x08);
    expect(drain().map((b) => b & 0xff)).toEqual([0x08, 0, 0, 0xff]);
    toMouse(0xf3, 200, 0xf3, 200, 0xf3, 80);
    expect(toMouse(0xf2)).toEqual([0xfa, 4]);
    mouse.move(0, 0, 1, 0x18);
    expect(drain().map((b) => b & 0xff)).toEqual([0x08, 0, 0, 0x31]);
  });

  it('has remote, wrap and status', () => {
    toMouse(0xf0);
    mouse.move(3, 0, 0, 1);
    expect(drain()).toEqual([]);
    expect(toMouse(0xeb)).toEqual([0xfa, 0x09, 3, 0]);
    expect(toMouse(0xe9)).toEqual([0xfa, 0x44, 2, 100]);
    toMouse(0xee);
    expect(toMouse(0x55)).toEqual([0x55]);
    expect(toMouse(0xec)).toEqual([0xfa]);
  });
});

function backdoor(command: number, parameter: number): number {
  registers[0] = VMWARE_MAGIC;
  registers[1] = command;
  registers[3] = parameter;
  registers[0] = bench.ports.read(0x5658, 4);
  return registers[0];
}

describe('VMware absolute pointer', () => {
  it('goes through the detection and enable sequence of Linux', () => {
    const modes: boolean[] = [];
    input.onPointerModeChange((absolute) => modes.push(absolute));
    expect(backdoor(10, 0)).not.toBe(0xffffffff);
    expect(registers[3]).toBe(VMWARE_MAGIC);
    backdoor(41, 0x45414552);
    expect(backdoor(40, 0) & 0xffff).toBe(1);
    expect(backdoor(39, 1)).toBe(0x3442554a);
    backdoor(41, 0x53424152);
    expect(input.absolute).toBe(true);
    toMouse(0xf4);

    input.pointerAbsolute(320, 400, 0x05);
    expect(drain()).toHaveLength(3);
    expect(backdoor(40, 0)).toBe(4);
    expect(backdoor(39, 4)).toBe(0x30);
    expect([registers[3], registers[1], registers[2]]).toEqual([0x8000, 0xffff, 0]);
    expect(backdoor(40, 0)).toBe(0);

    backdoor(41, 0xf5);
    expect(backdoor(40, 0)).toBe(0xffff0000);
    expect(modes).toEqual([true, false]);
  });

  it('answers nothing without the magic or to unknown commands, and flags an overdraw', () => {
    registers[0] = 1;
    expect(bench.ports.read(0x5658, 4)).toBe(0xffffffff);
    expect(backdoor(99, 0)).toBe(0xffffffff);
    backdoor(41, 0x45414552);
    backdoor(39, 6);
    expect(backdoor(40, 0) >>> 16).toBe(0xffff);
  });

  it('turns absolute positions into movement for guests without it', () => {
    toMouse(0xf4);
    input.pointerAbsolute(100, 100, 0);
    input.pointerAbsolute(110, 95, 0);
    expect(drain().map((b) => b & 0xff)).toEqual([0x08, 10, 5]);
  });
});

describe('a USB tablet beside the others', () => {
  it('has the pointer alone while a driver asks it for reports, and a button goes up where it went down', () => {
    const tablet = new UsbTablet(bench.clock);
    input = new GuestInput({ keyboard, mouse, vmmouse, tablet, display: { width: 641, height: 401 } });
    const modes: boolean[] = [];
    input.onPointerModeChange((absolute) => modes.push(absolute));
    controller(0xa8);
    toMouse(0xf4);
    const reports: number[][] = [];
    const listen = () =>
      tablet.submit({ endpoint: 0x81, data: new ScatterList(bench.memory, [{ gpa: 0, length: 8 }]) }, (_, moved) => {
        const bytes = new Uint8Array(moved);
        bench.memory.read(0, bytes);
        reports.push([...bytes]);
        listen();
      });
    input.pointerAbsolute(10, 10, 1);
    expect(drain().length).toBe(3);
    tablet.submit({ endpoint: 0, setup: Uint8Array.of(0, 9, 1, 0, 0, 0, 0, 0), data: new ScatterList(bench.memory, []) }, () => {});
    listen();
    expect([input.absolute, modes]).toEqual([true, [true]]);
    input.pointerAbsolute(640, 0, 1);
    bench.clock.advance(0);
    // The PS/2 mouse hears that its button is up, and nothing else.
    expect(drain()).toEqual([0x108, 0x100, 0x100]);
    input.pointerAbsolute(0, 400, 0);
    bench.clock.advance(0);
    input.pointerRelative(320, 0, 0);
    bench.clock.advance(0);
    expect(drain()).toEqual([]);
    expect(reports).toEqual([
      [1, 0xff, 0x7f, 0, 0, 0],
      [0, 0, 0, 0xff, 0x7f, 0],
      [0, 0x00, 0x40, 0xff, 0x7f, 0],
    ]);
    // It gets the pointer also from VMware's mouse, which has it again afterwards.
    registers[0] = VMWARE_MAGIC;
    registers[1] = 41;
    for (const parameter of [0x45414552, 0x53424152]) {
      registers[3] = parameter;
      registers[0] = VMWARE_MAGIC;
      bench.ports.read(0x5658, 4);
    }
    input.pointerAbsolute(5, 5, 0);
    bench.clock.advance(0);
    expect(reports.length).toBe(4);
    tablet.cancel(0x81);
    expect([input.absolute, modes]).toEqual([true, [true]]);
    input.pointerAbsolute(6, 6, 0);
    expect(reports.length).toBe(4);
    registers[1] = 40;
    registers[0] = VMWARE_MAGIC;
    expect(bench.ports.read(0x5658, 4) & 0xffff).toBeGreaterThanOrEqual(4);
  });
});
