import { describe, expect, it } from 'vitest';
import { disassemble, listing } from './disassemble.ts';

const text = (bits: 16 | 32 | 64, ...bytes: number[]) => disassemble(Uint8Array.from(bytes), 0x1000n, bits).text;

describe('the disassembler', () => {
  it('names registers by size and mode', () => {
    expect(text(32, 0x89, 0xd8)).toBe('mov    eax,ebx');
    expect(text(16, 0x89, 0xd8)).toBe('mov    ax,bx');
    expect(text(32, 0x66, 0x89, 0xd8)).toBe('mov    ax,bx');
    expect(text(64, 0x48, 0x89, 0xd8)).toBe('mov    rax,rbx');
    expect(text(64, 0x44, 0x88, 0xe0)).toBe('mov    al,r12b');
    expect(text(64, 0x40, 0x88, 0xe0)).toBe('mov    al,spl');
    expect(text(32, 0x88, 0xe0)).toBe('mov    al,ah');
  });

  it('writes addresses in all their forms', () => {
    expect(text(16, 0x8b, 0x47, 0xfc)).toBe('mov    ax,WORD PTR [bx-0x4]');
    expect(text(32, 0x8b, 0x44, 0x8e, 0x10)).toBe('mov    eax,DWORD PTR [esi+ecx*4+0x10]');
    expect(text(32, 0x65, 0xa1, 0x14, 0, 0, 0)).toBe('mov    eax,gs:0x14');
    expect(disassemble(Uint8Array.of(0x48, 0x8b, 0x05, 0x10, 0, 0, 0), 0x1000n, 64)).toEqual({
      length: 7,
      text: 'mov    rax,QWORD PTR [rip+0x10]        # 0x1017',
      target: 0x1017n,
    });
  });

  it('knows where branches go', () => {
    expect(disassemble(Uint8Array.of(0xe8, 0xfb, 0xff, 0xff, 0xff), 0x1000n, 32)).toEqual({
      length: 5,
      text: 'call   0x1000',
      target: 0x1000n,
    });
    expect(disassemble(Uint8Array.of(0x74, 0xfe), 0n, 16)).toEqual({ length: 2, text: 'je     0x0', target: 0n });
  });

  it('calls what is no instruction bad, and cut-off ones too', () => {
    expect(disassemble(Uint8Array.of(0x0f, 0xff), 0n, 32)).toEqual({ length: 1, text: '(bad)' });
    expect(disassemble(Uint8Array.of(0xe8, 1), 0n, 32)).toEqual({ length: 1, text: '(bad)' });
    expect(disassemble(new Uint8Array(0), 0n, 64)).toEqual({ length: 1, text: '(bad)' });
  });

  it('lists code with addresses and bytes, and stops where the bytes end inside an instruction', () => {
    expect(listing(Uint8Array.of(0x55, 0x89, 0xe5, 0xe8, 1), 0x8048000n, 32)).toEqual([
      '08048000  55                       push   ebp',
      '08048001  89 e5                    mov    ebp,esp',
    ]);
  });
});
