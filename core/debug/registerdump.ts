import { codeBits, type CpuState, type SegmentState } from '../cpu/cpustate.ts';

const GPR = ['AX', 'CX', 'DX', 'BX', 'SP', 'BP', 'SI', 'DI'];
const FLAGS: readonly (readonly [number, string])[] = [
  [11, 'O'],
  [10, 'D'],
  [9, 'I'],
  [8, 'T'],
  [7, 'S'],
  [6, 'Z'],
  [4, 'A'],
  [2, 'P'],
  [0, 'C'],
];

const hex = (value: bigint | number, digits: number) => BigInt.asUintN(64, BigInt(value)).toString(16).padStart(digits, '0');

/** All registers as text, for `monitor info registers` and reports. */
export function dumpRegisters(state: CpuState): string {
  const wide = (state.efer & 0x400n) !== 0n;
  const digits = wide ? 16 : 8;
  const prefix = wide ? 'R' : 'E';
  const names = wide
    ? [...GPR.map((name) => `R${name}`), ...Array.from({ length: 8 }, (_, i) => `R${i + 8}`)]
    : GPR.map((name) => `E${name}`);
  const lines: string[] = [];
  for (let i = 0; i < names.length; i += 4)
    lines.push(
      names
        .slice(i, i + 4)
        .map((name, j) => `${name.padEnd(3)}=${hex(state.gpr[i + j]!, digits)}`)
        .join(' '),
    );
  const flags = FLAGS.map(([bit, letter]) => ((state.rflags >> BigInt(bit)) & 1n ? letter : '-')).join('');
  lines.push(
    `${prefix}IP=${hex(state.rip, digits)} ${prefix}FL=${hex(state.rflags, 8)} [${flags}] ${codeBits(state)}-bit code${state.halted ? ', halted' : ''}${
      state.interruptShadow ? ', interrupts held for one instruction' : ''
    }${state.nmiBlocked ? ', NMI blocked' : ''}${state.a20 ? '' : ', A20 off'}`,
  );
  const segment = (name: string, { selector, base, limit, attributes }: SegmentState) =>
    `${name.padEnd(4)}=${hex(selector, 4)} base=${hex(base, digits)} limit=${hex(limit, 8)} attributes=${hex(attributes, 4)}`;
  for (const name of ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'] as const)
    lines.push(segment(name.toUpperCase(), state.segments[name]));
  lines.push(
    `GDT =${hex(state.gdtr.base, digits)} ${hex(state.gdtr.limit, 4)}`,
    `IDT =${hex(state.idtr.base, digits)} ${hex(state.idtr.limit, 4)}`,
    `CR0=${hex(state.cr0, 8)} CR2=${hex(state.cr2, digits)} CR3=${hex(state.cr3, digits)} CR4=${hex(state.cr4, 8)} EFER=${hex(state.efer, 4)}`,
    `DR0=${hex(state.dr[0]!, digits)} DR1=${hex(state.dr[1]!, digits)} DR2=${hex(state.dr[2]!, digits)} DR3=${hex(state.dr[3]!, digits)} DR6=${hex(state.dr[4]!, 8)} DR7=${hex(state.dr[5]!, 8)}`,
    `FCW=${hex(state.fpu.control, 4)} FSW=${hex(state.fpu.status, 4)} FTW=${hex(state.fpu.tag, 4)} MXCSR=${hex(state.mxcsr, 8)}`,
  );
  return `${lines.join('\n')}\n`;
}
