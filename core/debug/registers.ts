/**
 * The register file that gdb sees: numbering, sizes and target description for i386 and x86-64 (GDB manual, appendix G.5.6 "i386
 * Features"; the control registers with the names QEMU gives them), and their place in CpuState.
 */
import type { gdbArchitectures } from '../contract/debug.ts';
import type { CpuState } from '../cpu/cpustate.ts';

/** i8086 has the registers of i386; gdb disassembles 16-bit code with it. */
export type GdbArchitecture = (typeof gdbArchitectures)[number];

/** What gdb is told of a CPU model: the widest registers it has. Code of other widths is there as well, as on the real processor. */
export function gdbArchitecture(cpuModel: string): GdbArchitecture {
  return cpuModel === 'i686' ? 'i386' : 'x86-64';
}

interface Register {
  name: string;
  /** Bytes. */
  size: number;
  type: string;
  group?: string;
  get(state: CpuState): bigint;
  /** Undefined: writes are accepted and do nothing. */
  set?: (state: CpuState, value: bigint) => void;
}

interface Feature {
  name: string;
  /** Type definitions of the XML. */
  types: string;
  registers: Register[];
}

const low = (value: bigint, bits: number) => BigInt.asUintN(bits, value);

const EFLAGS_BITS: readonly (readonly [string, number])[] = [
  ['CF', 0],
  ['', 1],
  ['PF', 2],
  ['AF', 4],
  ['ZF', 6],
  ['SF', 7],
  ['TF', 8],
  ['IF', 9],
  ['DF', 10],
  ['OF', 11],
  ['NT', 14],
  ['RF', 16],
  ['VM', 17],
  ['AC', 18],
  ['VIF', 19],
  ['VIP', 20],
  ['ID', 21],
];
const CR0_BITS = [
  ['PE', 0],
  ['MP', 1],
  ['EM', 2],
  ['TS', 3],
  ['ET', 4],
  ['NE', 5],
  ['WP', 16],
  ['AM', 18],
  ['NW', 29],
  ['CD', 30],
  ['PG', 31],
] as const;
const CR4_BITS = [
  ['VME', 0],
  ['PVI', 1],
  ['TSD', 2],
  ['DE', 3],
  ['PSE', 4],
  ['PAE', 5],
  ['MCE', 6],
  ['PGE', 7],
  ['PCE', 8],
  ['OSFXSR', 9],
  ['OSXMMEXCPT', 10],
  ['UMIP', 11],
  ['LA57', 12],
  ['FSGSBASE', 16],
  ['PCIDE', 17],
  ['OSXSAVE', 18],
  ['SMEP', 20],
  ['SMAP', 21],
] as const;
const EFER_BITS = [
  ['SCE', 0],
  ['LME', 8],
  ['LMA', 10],
  ['NXE', 11],
] as const;
const MXCSR_BITS = [
  ['IE', 0],
  ['DE', 1],
  ['ZE', 2],
  ['OE', 3],
  ['UE', 4],
  ['PE', 5],
  ['DAZ', 6],
  ['IM', 7],
  ['DM', 8],
  ['ZM', 9],
  ['OM', 10],
  ['UM', 11],
  ['PM', 12],
  ['FZ', 15],
] as const;

function flagsType(id: string, size: number, bits: readonly (readonly [string, number])[]): string {
  return `<flags id="${id}" size="${size}">${bits.map(([name, bit]) => `<field name="${name}" start="${bit}" end="${bit}"/>`).join('')}</flags>`;
}

/** Names of the general registers in the order of their encoding. */
const GPR_32 = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];
/** gdb's order of the 64-bit ones, as numbers of the encoding. */
const GPR_64 = [
  ['rax', 0],
  ['rbx', 3],
  ['rcx', 1],
  ['rdx', 2],
  ['rsi', 6],
  ['rdi', 7],
  ['rbp', 5],
  ['rsp', 4],
  ...Array.from({ length: 8 }, (_, i) => [`r${i + 8}`, i + 8] as const),
] as const;

const SEGMENT_ORDER = ['cs', 'ss', 'ds', 'es', 'fs', 'gs'] as const;

/** A selector written by the debugger: in real and virtual-8086 mode the base follows, elsewhere the hidden part stays. */
function setSelector(state: CpuState, name: (typeof SEGMENT_ORDER)[number], value: bigint): void {
  const segment = state.segments[name];
  segment.selector = Number(low(value, 16));
  if (!(state.cr0 & 1n) || state.rflags & 0x2_0000n) segment.base = BigInt(segment.selector * 16);
}

function coreRegisters(wide: boolean): Register[] {
  const size = wide ? 8 : 4;
  const bits = size * 8;
  const gprType = (name: string) => (/^[er][sb]p$/.test(name) ? 'data_ptr' : wide ? 'int64' : 'int32');
  const gpr = (name: string, n: number): Register => ({
    name,
    size,
    type: gprType(name),
    get: (s) => low(s.gpr[n] ?? 0n, bits),
    set: (s, value) => {
      s.gpr[n] = low(value, bits);
    },
  });
  const word = (name: string, get: (state: CpuState) => number | bigint, set: (state: CpuState, value: number) => void): Register => ({
    name,
    size: 4,
    type: 'int32',
    group: 'float',
    get: (s) => low(BigInt(get(s)), 32),
    set: (s, value) => set(s, Number(low(value, 32))),
  });
  return [
    ...(wide ? GPR_64.map(([name, n]) => gpr(name, n)) : GPR_32.map((name, n) => gpr(name, n))),
    {
      name: wide ? 'rip' : 'eip',
      size,
      type: 'code_ptr',
      get: (s) => low(s.rip, bits),
      set: (s, value) => {
        s.rip = low(value, bits);
      },
    },
    {
      name: 'eflags',
      size: 4,
      type: 'i386_eflags',
      get: (s) => low(s.rflags, 32),
      set: (s, value) => {
        s.rflags = (low(value, 22) & 0x3f7fd7n) | 2n;
      },
    },
    ...SEGMENT_ORDER.map(
      (name): Register => ({
        name,
        size: 4,
        type: 'int32',
        get: (s) => BigInt(s.segments[name].selector),
        set: (s, value) => setSelector(s, name, value),
      }),
    ),
    ...Array.from({ length: 8 }, (_, i): Register => stackRegister(i)),
    word(
      'fctrl',
      (s) => s.fpu.control,
      (s, v) => {
        s.fpu.control = v & 0xffff;
      },
    ),
    word(
      'fstat',
      (s) => s.fpu.status,
      (s, v) => {
        s.fpu.status = v & 0xffff;
      },
    ),
    word(
      'ftag',
      (s) => s.fpu.tag,
      (s, v) => {
        s.fpu.tag = v & 0xffff;
      },
    ),
    word(
      'fiseg',
      (s) => s.fpu.instructionSelector,
      (s, v) => {
        s.fpu.instructionSelector = v & 0xffff;
      },
    ),
    word(
      'fioff',
      (s) => s.fpu.instructionPointer,
      (s, v) => {
        s.fpu.instructionPointer = BigInt(v);
      },
    ),
    word(
      'foseg',
      (s) => s.fpu.dataSelector,
      (s, v) => {
        s.fpu.dataSelector = v & 0xffff;
      },
    ),
    word(
      'fooff',
      (s) => s.fpu.dataPointer,
      (s, v) => {
        s.fpu.dataPointer = BigInt(v);
      },
    ),
    word(
      'fop',
      (s) => s.fpu.opcode,
      (s, v) => {
        s.fpu.opcode = v & 0x7ff;
      },
    ),
  ];
}

/** ST(i): the physical register that TOP, bits 11..13 of the status word, makes it. */
function stackRegister(i: number): Register {
  const at = (s: CpuState) => (((s.fpu.status >> 11) + i) & 7) * 10;
  return {
    name: `st${i}`,
    size: 10,
    type: 'i387_ext',
    get: (s) => fromBytes(s.fpu.registers, at(s), 10),
    set: (s, value) => toBytes(s.fpu.registers, at(s), 10, value),
  };
}

function fromBytes(bytes: Uint8Array, at: number, size: number): bigint {
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i] ?? 0);
  return value;
}

function toBytes(bytes: Uint8Array, at: number, size: number, value: bigint): void {
  for (let i = 0; i < size; i++) bytes[at + i] = Number((value >> BigInt(i * 8)) & 0xffn);
}

const VECTOR_TYPES = `
<vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/><vector id="v16i8" type="int8" count="16"/>
<vector id="v8i16" type="int16" count="8"/><vector id="v4i32" type="int32" count="4"/><vector id="v2i64" type="int64" count="2"/>
<union id="vec128"><field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/><field name="v16_int8" type="v16i8"/>
<field name="v8_int16" type="v8i16"/><field name="v4_int32" type="v4i32"/><field name="v2_int64" type="v2i64"/><field name="uint128" type="uint128"/></union>
${flagsType('i386_mxcsr', 4, MXCSR_BITS)}`;

function sseRegisters(count: number): Register[] {
  return [
    ...Array.from(
      { length: count },
      (_, i): Register => ({
        name: `xmm${i}`,
        size: 16,
        type: 'vec128',
        get: (s) => fromBytes(s.xmm, i * 16, 16),
        set: (s, value) => toBytes(s.xmm, i * 16, 16, value),
      }),
    ),
    {
      name: 'mxcsr',
      size: 4,
      type: 'i386_mxcsr',
      group: 'vector',
      get: (s) => BigInt(s.mxcsr),
      set: (s, value) => {
        s.mxcsr = Number(low(value, 16));
      },
    },
  ];
}

/** Upper halves: gdb puts YMM registers together from these and XMM. */
function avxRegisters(count: number): Register[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `ymm${i}h`,
    size: 16,
    type: 'uint128',
    group: 'vector',
    get: (s) => fromBytes(s.ymmHigh, i * 16, 16),
    set: (s, value) => toBytes(s.ymmHigh, i * 16, 16, value),
  }));
}

/** MSR numbers. */
const KERNEL_GS_BASE = '3221225730';

function systemRegisters(wide: boolean): Register[] {
  const size = wide ? 8 : 4;
  const bits = size * 8;
  const address = (
    name: string,
    get: (s: CpuState) => bigint,
    set?: (s: CpuState, value: bigint) => void,
    type = wide ? 'int64' : 'int32',
  ) =>
    ({
      name,
      size,
      type,
      group: 'system',
      get: (s: CpuState) => low(get(s), bits),
      ...(set ? { set: (s: CpuState, value: bigint) => set(s, low(value, bits)) } : {}),
    }) satisfies Register;
  const base = (name: (typeof SEGMENT_ORDER)[number]) =>
    address(
      `${name}_base`,
      (s) => s.segments[name].base,
      (s, value) => {
        s.segments[name].base = value;
      },
    );
  return [
    address(
      'k_gs_base',
      (s) => s.msrs[KERNEL_GS_BASE] ?? 0n,
      (s, value) => {
        s.msrs[KERNEL_GS_BASE] = value;
      },
    ),
    // Changing these by hand may leave a state no processor can be in; CR2 and CR8 are harmless.
    address(
      'cr0',
      (s) => s.cr0,
      (s, value) => {
        s.cr0 = low(value, 32);
      },
      'cr0_flags',
    ),
    address(
      'cr2',
      (s) => s.cr2,
      (s, value) => {
        s.cr2 = value;
      },
    ),
    address(
      'cr3',
      (s) => s.cr3,
      (s, value) => {
        s.cr3 = value;
      },
    ),
    address(
      'cr4',
      (s) => s.cr4,
      (s, value) => {
        s.cr4 = low(value, 32);
      },
      'cr4_flags',
    ),
    address(
      'cr8',
      (s) => s.cr8,
      (s, value) => {
        s.cr8 = value & 15n;
      },
    ),
    address('efer', (s) => s.efer, undefined, 'efer_flags'),
    base('cs'),
    base('ss'),
    base('ds'),
    base('es'),
    address('ldtr', (s) => BigInt(s.segments.ldtr.selector)),
    address('tr', (s) => BigInt(s.segments.tr.selector)),
    address('gdtr_base', (s) => s.gdtr.base),
    address('gdtr_limit', (s) => BigInt(s.gdtr.limit)),
    address('idtr_base', (s) => s.idtr.base),
    address('idtr_limit', (s) => BigInt(s.idtr.limit)),
  ];
}

function segmentBases(wide: boolean): Register[] {
  const size = wide ? 8 : 4;
  return (['fs', 'gs'] as const).map((name) => ({
    name: `${name}_base`,
    size,
    type: wide ? 'int64' : 'int32',
    get: (s) => low(s.segments[name].base, size * 8),
    set: (s, value) => {
      s.segments[name].base = low(value, size * 8);
    },
  }));
}

function features(architecture: GdbArchitecture): Feature[] {
  const wide = architecture === 'x86-64';
  const size = wide ? 8 : 4;
  return [
    { name: 'org.gnu.gdb.i386.core', types: flagsType('i386_eflags', 4, EFLAGS_BITS), registers: coreRegisters(wide) },
    { name: 'org.gnu.gdb.i386.sse', types: VECTOR_TYPES, registers: sseRegisters(wide ? 16 : 8) },
    { name: 'org.gnu.gdb.i386.avx', types: '', registers: avxRegisters(wide ? 16 : 8) },
    // gdb gives up on a 32-bit description with this feature, so there the two are system registers.
    ...(wide ? [{ name: 'org.gnu.gdb.i386.segments', types: '', registers: segmentBases(wide) }] : []),
    {
      name: 'org.hypervue.i386.system',
      types: flagsType('cr0_flags', size, CR0_BITS) + flagsType('cr4_flags', size, CR4_BITS) + flagsType('efer_flags', size, EFER_BITS),
      registers: [...(wide ? [] : segmentBases(wide)), ...systemRegisters(wide)],
    },
  ];
}

/** gdb's view of one processor. */
export class RegisterFile {
  readonly architecture: GdbArchitecture;
  /** target.xml. */
  readonly description: string;
  private readonly registers: Register[];

  constructor(architecture: GdbArchitecture) {
    this.architecture = architecture;
    const all = features(architecture);
    this.registers = all.flatMap(({ registers }) => registers);
    let number = 0;
    const register = ({ name, size, type, group }: Register) =>
      `<reg name="${name}" bitsize="${size * 8}" type="${type}" regnum="${number++}"${group ? ` group="${group}"` : ''}/>`;
    this.description = `<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target version="1.0"><architecture>${
      architecture === 'x86-64' ? 'i386:x86-64' : architecture
    }</architecture>${all
      .map((feature) => `<feature name="${feature.name}">${feature.types}${feature.registers.map(register).join('')}</feature>`)
      .join('')}</target>`;
  }

  get count(): number {
    return this.registers.length;
  }

  /** Bytes of the `g` packet: every register. */
  readAll(state: CpuState): Uint8Array {
    const parts = this.registers.map((_, n) => this.read(state, n)!);
    const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }

  /** Writes as many registers as there are bytes for. */
  writeAll(state: CpuState, bytes: Uint8Array): void {
    // The status word's TOP says where ST(i) is, so it goes in first.
    const offsets: number[] = [];
    let at = 0;
    for (const { size } of this.registers) {
      offsets.push(at);
      at += size;
    }
    const order = this.registers.map((_, n) => n).sort((a, b) => Number(this.first(b)) - Number(this.first(a)));
    for (const n of order) {
      const { size, set } = this.registers[n]!;
      if (offsets[n]! + size <= bytes.length) set?.(state, fromBytes(bytes, offsets[n]!, size));
    }
  }

  private first(n: number): boolean {
    return this.registers[n]!.name === 'fstat';
  }

  /** Little-endian bytes of register `n`, undefined when there is none. */
  read(state: CpuState, n: number): Uint8Array | undefined {
    const register = this.registers[n];
    if (!register) return undefined;
    const bytes = new Uint8Array(register.size);
    toBytes(bytes, 0, register.size, register.get(state));
    return bytes;
  }

  /** False when there is no such register, or `bytes` has another size. */
  write(state: CpuState, n: number, bytes: Uint8Array): boolean {
    const register = this.registers[n];
    if (!register || bytes.length !== register.size) return false;
    register.set?.(state, fromBytes(bytes, 0, register.size));
    return true;
  }
}
