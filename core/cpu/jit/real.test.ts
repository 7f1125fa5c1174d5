import { afterEach, describe, expect, it, vi } from 'vitest';
import { TestCpu } from '../interp/testing/testcpu.ts';
import { expectSame, HLT } from './testing/flowcases.ts';

/** CS 1234h, so that pages of code do not begin where pages of instruction pointers do. */
const CS = 0x1234;
const DATA = 0x20000;

/**
 * MOV, arithmetic, LEA and IMUL by every kind of address; near, far, narrow and wide calls; segment loads; INT; strings; LOOP. 120 turns.
 *
 *   0000 xor di,di; mov ax,2000h; mov ds,ax; mov ax,3007h; mov es,ax; mov sp,1000h
 *   000f mov cx,9; mov ax,[di+10h]; add ax,[bp+di]; mov es:[di],ax; mov [bx+si+4],al; imul eax,ecx; push eax; push ax; call 0067
 *   0027 pop dx; pop edx; adc [300h],dx; lea si,[bp+di-3]; mov [esi*2+8000h],dl; call 1234h:007e; push es; pop fs; mov fs:[di+2],cs; int 40h
 *   0047 pushf; pop ax; xor [di+200h],ax; add di,2; rep lodsb; movsw; lds si,[310h]; pusha; mov cx,5; loop $; popa;
 *        dec word [302h]; jnz 000f; hlt
 *   0067 push bp; mov bp,sp; add ax,[bp+4]; rol ax,3; pop bp; call dword 0078; ret
 *   0078 inc word [304h]; o32 ret
 *   007e add word [306h],7; stc; retf
 */
const PROGRAM =
  '31ffb800208ed8b807308ec0bc0010b909008b45100303268905884004660fafc1665050e840005a665a111600038d73fd67889436008000009a7e00341206' +
  '0fa1648c4d02cd409c583185000283c702f3aca5c536100360b90500e2fe61ff0e02030f85a9fff45589e5034604c1c0035d66e801000000c3ff06040366c3' +
  '8306060307f9cb';

/** In real mode at CS:0 with these bytes there, and INT 40h an IRET. */
function real(t: TestCpu, code: readonly number[], gpr: number[] = []): void {
  t.real(0, gpr);
  t.guest.write32(0x40 * 4, 0x2f00);
  t.put(0x2f00, 0xcf);
  t.put(CS << 4, ...code);
  for (let i = 0; i < 0x2000; i += 2) t.put(DATA + i, (i * 37) & 0xff, (i * 11) & 0xff);
  t.put(DATA + 0x302, 120, 0);
  t.put(DATA + 0x310, 0, 0, 0, 0x20);
  t.patch((s) => {
    s.segments.cs = { selector: CS, base: BigInt(CS << 4), limit: 0xffff, attributes: 0x93 };
  });
}

const seen = (t: TestCpu): unknown[] => {
  const state = t.untilHalt();
  return [state, TestCpu.vectorOf(state)];
};

/** Runs `body` 200 times with CX counting down; DS and ES are DATA. */
const loop = (...body: number[]): number[] => [
  ...[0xb8, 0x00, 0x20, 0x8e, 0xd8, 0x8e, 0xc0, 0xb9, 200, 0],
  ...body,
  ...[0x49, 0x75, (256 - body.length - 3) & 0xff, HLT],
];

/** CMP CX, 1; JNE; its displacement follows. */
const LAST_TURN = [0x83, 0xf9, 1, 0x75];

describe('compiled 16-bit code', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('does what the interpreter does, in a code segment that begins in the middle of a page', () => {
    const { inRegions } = expectSame((t) => {
      real(t, [...Buffer.from(PROGRAM, 'hex')], [0, 0, 0, 0x40, 0, 0x20, 0x100]);
      return seen(t);
    });
    expect(inRegions).toBeGreaterThan(3000);
  });

  it.each<[string, number[], number]>([
    // mov bx,0; cmp cx,1; jne +3; mov bx,-1; mov ax,[bx]
    ['a word at the end of a segment', [0xbb, 0, 0, ...LAST_TURN, 3, 0xbb, 0xff, 0xff, 0x8b, 0x07], 13],
    // xor eax,eax; cmp cx,1; jne +6; mov eax,10000h; mov bx,[eax]
    ['a 32-bit address above 64 KiB', [0x66, 0x31, 0xc0, ...LAST_TURN, 6, 0x66, 0xb8, 0, 0, 1, 0, 0x67, 0x8b, 0x18], 13],
    // mov sp,40h; cmp cx,1; jne +3; mov sp,2; push eax
    ['a push over the beginning of the stack segment', [0xbc, 0x40, 0, ...LAST_TURN, 3, 0xbc, 2, 0, 0x66, 0x50], 12],
    // cmp cx,1; je dword
    ['a wide jump above 64 KiB', [0x83, 0xf9, 1, 0x66, 0x0f, 0x84, 0, 0, 1, 0], 13],
    // push dword 1ah; cmp cx,1; jne +3; push dword -1; ret dword
    ['a wide return above 64 KiB', [0x66, 0x68, 0x1a, 0, 0, 0, ...LAST_TURN, 3, 0x66, 0x6a, 0xff, 0x66, 0xc3], 13],
  ])('leaves %s to a fault of the interpreter', (_what, body, vector) => {
    const run = (t: TestCpu) => {
      real(t, loop(...body));
      return seen(t);
    };
    expectSame(run);
    const t = new TestCpu();
    expect(run(t)[1]).toBe(vector);
  });

  it('wraps addresses and the stack pointer at 64 KiB', () => {
    expectSame((t) => {
      // mov bx,fff0h; mov al,[bx+si+20h] (10h + SI); inc si; mov sp,-2; pop dx; push ax; mov sp,0; push ax
      real(t, loop(0xbb, 0xf0, 0xff, 0x8a, 0x40, 0x20, 0x46, 0xbc, 0xfe, 0xff, 0x5a, 0x50, 0xbc, 0, 0, 0x50));
      return seen(t);
    });
  });

  it('reaches all of memory through a segment whose limit protected mode has raised', () => {
    const { inRegions } = expectSame((t) => {
      // mov eax,200000h; add [eax],cx; mov bx,[eax]
      real(t, loop(0x66, 0xb8, 0, 0, 0x20, 0, 0x67, 0x01, 0x08, 0x67, 0x8b, 0x18));
      t.patch((s) => {
        s.segments.ds.limit = 0xffffffff;
      });
      const state = t.untilHalt();
      expect(t.guest.read32(DATA + 0x200000) & 0xffff).toBe(((200 * 201) / 2) & 0xffff);
      return [state];
    });
    expect(inRegions).toBeGreaterThan(600);
  });

  it('notices instructions that it writes', () => {
    const run = (accelerator: string) => {
      vi.stubEnv('HYPERVUE_ACCEL', accelerator);
      const t = new TestCpu();
      // test cl,63; jnz +5; inc byte cs:[16h], which is the immediate of add dx,0
      real(t, loop(0xf6, 0xc1, 63, 0x75, 5, 0x2e, 0xfe, 0x06, 0x16, 0x00, 0x83, 0xc2, 0x00));
      const state = t.untilHalt();
      return { state, regions: t.cpu.statistics().regions };
    };
    const want = run('');
    const got = run('jit');
    expect(got.state).toEqual(want.state);
    expect(want.state.gpr[2]! & 0xffffn).toBe(BigInt(64 * (1 + 2 + 3)));
    expect(got.regions.compiled).toBeGreaterThan(1);
    expect(got.regions.invalidated).toBeGreaterThan(0);
  });

  it('takes interrupts between instructions', () => {
    const t = new TestCpu({ recompiler: { piece: 20, threshold: 1 } });
    // sti; mov cx,-1; loop: add dx,1; dec cx; jnz; hlt
    real(t, [0xfb, 0xb9, 0xff, 0xff, 0x83, 0xc2, 1, 0x49, 0x75, 0xfa, HLT]);
    // inc word cs:[2ffeh]; iret
    t.put(0x2f00, 0x2e, 0xff, 0x06, 0xfe, 0x2f, 0xcf);
    let sent = 0;
    while (t.cpu.run(1000) !== 'halt') {
      t.vector = 0x40;
      t.cpu.setIntr(true);
      sent++;
    }
    expect(sent).toBeGreaterThan(100);
    const state = t.cpu.getState();
    expect(state.gpr[2]! & 0xffffn).toBe(0xffffn);
    expect(t.guest.read32(0x2ffe) & 0xffff).toBe(sent);
    expect(t.cpu.statistics().regions.compiled).toBeGreaterThan(0);
  });
});
