import { describe, expect, it } from 'vitest';
import { TestMachine } from './testing/testmachine.ts';

/*
 * Boot sectors by hand, 16-bit code at 0000:7C00. DX holds port 0x402 throughout.
 */
const text = (what: string) => [...what].flatMap((char) => [0xb0, char.charCodeAt(0), 0xee]); // mov al,char; out dx,al
const START = [0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0xba, 0x02, 0x04]; // cli; ds = es = ss = 0; sp = 7c00; mov dx,402h
const exit = (code: number) => [0xb0, code, 0xe6, 0xf4]; // mov al,code; out 0f4h,al
const HALT = [0xfa, 0xf4, 0xeb, 0xfd]; // cli; hlt; jmp back
const out8 = (port: number, value: number) => [0xb0, value, 0xe6, port]; // mov al,value; out port,al
/** CMOS byte 0x50 outlives resets: the first boot does `first`, the second `second`. */
function twice(first: number[], second: number[]): number[] {
  const mark = [...out8(0x70, 0x50), ...out8(0x71, 0x5a)];
  const one = [...mark, ...first, ...HALT];
  return [
    ...START,
    ...out8(0x70, 0x50),
    0xe4,
    0x71,
    0x3c,
    0x5a,
    0x75,
    0x03,
    0xe9,
    one.length & 0xff,
    one.length >> 8,
    ...one,
    ...second,
    ...HALT,
  ]; // in al,71h; cmp al,5ah; jne +3; jmp second
}

describe('a boot from floppy', () => {
  it('SeaBIOS runs the boot sector, which speaks on port 402 and ends with a code', () => {
    const test = new TestMachine([...START, ...text('<hello>'), ...exit(0x15), ...HALT]);
    test.runUntil(() => test.exits.length > 0);
    expect(test.said).toBe('hello');
    expect(test.exits).toEqual([0x2b]);
    expect(test.output).toMatch(/SeaBIOS \(version/);
    expect([test.resets, test.shutdowns, test.powerOffs]).toEqual([0, 0, 0]);
  });

  it('the BIOS services read another sector and tell the memory size', () => {
    // es:bx = 0000:8000, one sector, cylinder 1, head 1, sector 3; then its first byte; then int 12h.
    const code = [
      ...START,
      ...[0xfb, 0xbb, 0x00, 0x80, 0xb8, 0x01, 0x02, 0xb9, 0x03, 0x01, 0xba, 0x00, 0x01, 0xcd, 0x13],
      ...[0xba, 0x02, 0x04, ...text('<'), 0xa0, 0x00, 0x80, 0xee, ...text('>')],
      ...[0xcd, 0x12, 0xc1, 0xe8, 0x02, 0xe6, 0xf4], // int 12h; shr ax,2; out 0f4h,al
      ...HALT,
    ];
    const test = new TestMachine(code);
    test.floppy.data[((1 * 2 + 1) * 18 + 2) * 512] = 'Q'.charCodeAt(0);
    test.runUntil(() => test.exits.length > 0);
    expect(test.said).toBe('Q');
    // 639 KiB, a quarter of that in a byte, times two plus one.
    expect(test.exits).toEqual([(639 >> 2) * 2 + 1]);
  });

  it('writes a sector of the floppy', () => {
    const code = [
      ...START,
      ...[0xc6, 0x06, 0x00, 0x80, 0x57, 0xfb, 0xbb, 0x00, 0x80, 0xb8, 0x01, 0x03, 0xb9, 0x02, 0x00, 0xba, 0x00, 0x00, 0xcd, 0x13],
      ...exit(1),
      ...HALT,
    ];
    const test = new TestMachine(code);
    test.runUntil(() => test.exits.length > 0);
    expect(test.floppy.data[512]).toBe(0x57);
  });

  it('turns off through the ACPI registers that SeaBIOS placed', () => {
    // mov dx,604h; mov ax,2000h; out dx,ax
    const test = new TestMachine([...START, 0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, ...HALT]);
    test.runUntil(() => test.powerOffs > 0);
    expect(test.exits).toEqual([]);
  });

  it('is the same run each time', () => {
    const run = () => {
      const test = new TestMachine([...START, ...exit(1), ...HALT]);
      test.runUntil(() => test.exits.length > 0);
      return test.machine.accelerator.instructions;
    };
    expect(run()).toBe(run());
  });
});

describe('the ways to reset', () => {
  it.each([
    ['port CF9', [0xba, 0xf9, 0x0c, ...[0xb0, 0x02, 0xee], ...[0xb0, 0x06, 0xee]], 1, 0],
    ['the keyboard controller', out8(0x64, 0xfe), 1, 0],
    ['port 92', [...out8(0x92, 0x02), ...out8(0x92, 0x03)], 1, 0],
    // lidt with limit 0, then a breakpoint that finds no handler, nor do the faults after it.
    ['a triple fault', [0x0f, 0x01, 0x1e, 0x00, 0x05, 0xcc], 0, 1],
  ])('%s starts the machine again', (_, action, resets, shutdowns) => {
    const clear = [0xc7, 0x06, 0x00, 0x05, 0x00, 0x00]; // mov word [500h],0
    const test = new TestMachine(twice([...clear, ...text('<first>'), ...action], [...text('<second>'), ...exit(3)]));
    test.runUntil(() => test.exits.length > 0);
    expect(test.said).toBe('first second');
    expect([test.resets, test.shutdowns]).toEqual([resets, shutdowns]);
    // No instruction of the first run came after its reset, and the firmware went all the way again.
    expect(test.output.match(/Booting from Floppy/g)).toHaveLength(2);
    expect(test.exits).toEqual([7]);
  });

  it('lets A20 through again, whatever the guest left behind', () => {
    const test = new TestMachine(twice([...text('<first>'), ...out8(0x92, 0x00), ...out8(0x64, 0xfe)], [...probeA20(), ...exit(0)]));
    test.runUntil(() => test.exits.length > 0);
    expect(test.said).toBe('first .');
  });
});

/** Says W when FFFF:0510 wraps to 0000:0500, a dot when it does not. */
function probeA20(): number[] {
  return [
    ...text('<'),
    ...[0xb8, 0xff, 0xff, 0x8e, 0xd8], // mov ax,0ffffh; mov ds,ax
    ...[0x26, 0xc6, 0x06, 0x00, 0x05, 0x2e], // mov byte [es:500h],'.'
    ...[0xc6, 0x06, 0x10, 0x05, 0x57], // mov byte [510h],'W'
    ...[0x26, 0xa0, 0x00, 0x05, 0xee], // mov al,[es:500h]; out dx,al
    ...text('>'),
  ];
}

describe('the A20 gate', () => {
  it('obeys port 92 and the keyboard controller, each the last to speak', () => {
    const i8042 = (value: number) => [...out8(0x64, 0xd1), ...out8(0x60, value)];
    const test = new TestMachine([
      ...START,
      ...probeA20(),
      ...out8(0x92, 0x00),
      ...probeA20(),
      ...out8(0x92, 0x02),
      ...probeA20(),
      ...i8042(0xdd),
      ...probeA20(),
      ...i8042(0xdf),
      ...probeA20(),
      ...exit(0),
      ...HALT,
    ]);
    test.runUntil(() => test.exits.length > 0);
    expect(test.said).toBe('. W . W .');
    expect(test.resets).toBe(0);
  });
});
