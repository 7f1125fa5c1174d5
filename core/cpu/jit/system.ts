/**
 * System instructions in regions (SDM volume 2, by name; volume 3 table 2-3): the interpreter executes them, but control stays in the region, or goes
 * straight on to the next one where privilege, the address space or the instruction pointer change. CLI, STI, SWAPGS and the
 * pushes of segment registers are translated, loads of them, PUSHF, POPF and RDTSC have ways of their own (systemregisters.ts).
 */
import type { Insn } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { moveFromSegment, moveToSegment, popFlags, popToSegment, pushFlags, readTimeStamp, userAccess } from './systemregisters.ts';

type Translation = (e: Emitter, insn: Insn) => void;

const RAX = 1 << 0;
const RCX = 1 << 1;
const RDX = 1 << 2;
const RSP = 1 << 4;
/** Far transfers of 16-bit code: CALL, RET, JMP. */
const FAR = new Set([0x9a, 0xca, 0xcb, 0xea]);
/** ES, DS, FS and GS. */
const LOADED = new Set([0, 3, 4, 5]);

const interpreted =
  (writes: number, flags = false): Translation =>
  (e) =>
    e.interpretSystem(writes, flags);

/** Register of the modrm operand as a bit, none when it is in memory. */
const operand = (insn: Insn): number => (insn.memory ? 0 : 1 << insn.rm);

/** Nothing behind this instruction may be executed with what the region knows: privilege, page tables, control registers. */
export function leavesRegion(insn: Insn): boolean {
  if (insn.vex || insn.lock) return false;
  const reg = insn.reg & 7;
  if (insn.real && (FAR.has(insn.op) || (insn.op === 0xff && insn.memory && (reg === 3 || reg === 5)))) return true;
  switch (insn.op) {
    case 0xcd: // INT n
    case 0xcf: // IRET
    case 0x105: // SYSCALL
    case 0x107: // SYSRET
    case 0x134: // SYSENTER
    case 0x135: // SYSEXIT
      return true;
    case 0x100: // LLDT, LTR
      return reg === 2 || reg === 3;
    case 0x101: // LGDT, LIDT, INVLPG; LMSW; XSETBV
      return insn.memory ? reg === 2 || reg === 3 || reg >= 6 : reg === 6 || (reg === 2 && (insn.rm & 7) === 1);
    case 0x122: // MOV to CR0, CR3, CR4
      return insn.mod === 3 && insn.reg !== 2 && insn.reg !== 8;
    case 0x123: // MOV to DR
      return insn.mod === 3;
  }
  return false;
}

/** Opcodes 06, 0E, 16, 1E, 0F A0 and 0F A8 have the register's number where others have modrm.reg. */
const pushSegment: Translation = (e, insn) => {
  if (e.mode === 64 || (e.mode === 32 && insn.opsize)) e.interpretSystem(RSP, false);
  else e.pushSegment((insn.op >> 3) & 7, insn.osize);
};
const disable: Translation = (e) => e.disableInterrupts();
const enable: Translation = (e) => e.enableInterrupts();
const whole: Translation = (e) => e.interpret();

/** Register forms of 0F 01, by the low six bits of modrm. */
function groupSeven(insn: Insn): Translation | undefined {
  switch (((insn.reg & 7) << 3) | (insn.rm & 7)) {
    case 0x0a: // CLAC, STAC
    case 0x0b:
      return userAccess(insn.rm & 1);
    case 0x10: // XGETBV
      return interpreted(RAX | RDX);
    case 0x38: // SWAPGS
      return (e) => e.swapGs();
    case 0x39: // RDTSCP
      return interpreted(RAX | RCX | RDX);
  }
  return undefined;
}

/** The translation of a system instruction that does not end a block; undefined when it is none, or has none. */
export function systemTranslation(insn: Insn): Translation | undefined {
  const reg = insn.reg & 7;
  // CMPXCHG8B, CMPXCHG16B, also with LOCK.
  if (insn.op === 0x1c7 && !insn.vex) return insn.memory && reg === 1 ? whole : undefined;
  if (insn.vex || insn.lock) return undefined;
  switch (insn.op) {
    case 0xfa:
      return disable;
    case 0xfb:
      return enable;
    case 0x06: // PUSH of segment registers
    case 0x0e:
    case 0x16:
    case 0x1e:
    case 0x1a0:
    case 0x1a8:
      return pushSegment;
    case 0x17: // POP SS
      return interpreted(RSP);
    case 0x07: // POP of the others
    case 0x1f:
    case 0x1a1:
    case 0x1a9:
      return insn.opsize && !insn.real ? interpreted(RSP) : popToSegment((insn.op >> 3) & 7);
    case 0x8c: // MOV from and to segment registers
      return reg < 6 ? moveFromSegment : interpreted(operand(insn));
    case 0x8e:
      return LOADED.has(reg) ? moveToSegment : interpreted(0);
    case 0x9c:
      return pushFlags;
    case 0x9d:
      return popFlags;
    case 0xe4: // IN, OUT
    case 0xe5:
    case 0xec:
    case 0xed:
      return interpreted(RAX);
    case 0xe6:
    case 0xe7:
    case 0xee:
    case 0xef:
      return interpreted(0);
    case 0x100: // VERR, VERW
      return reg === 4 || reg === 5 ? interpreted(0, true) : undefined;
    case 0x101:
      return insn.memory ? undefined : groupSeven(insn);
    case 0x106: // CLTS
      return interpreted(0);
    case 0x120: // MOV from CR, DR
    case 0x121:
      return insn.mod === 3 ? interpreted(operand(insn)) : undefined;
    case 0x122: // MOV to CR2, CR8
      return insn.mod === 3 && !leavesRegion(insn) ? interpreted(0) : undefined;
    case 0x130: // WRMSR
      return interpreted(0);
    case 0x131: // RDTSC
      return readTimeStamp;
    case 0x132: // RDMSR
      return interpreted(RAX | RDX);
    case 0x1a2: // CPUID
      return whole;
    case 0x1ae: // RDFSBASE to WRGSBASE
      return insn.prefix === 0xf3 && !insn.memory && reg < 4 ? interpreted(operand(insn)) : undefined;
  }
  return undefined;
}
