/**
 * Reads back what the recompiler wrote: the region function of a module as text in the manner of WebAssembly's folded text format (core
 * specification 2.0, chapters 5 and 6), one line a statement, with guest registers and fields of the state by name. For people only.
 */
import type { CodeMode } from './decode.ts';
import { HELPERS, X87_HELPERS } from './helpers.ts';
import { FIRST_REGION } from './regionmodule.ts';
import { FA, FB, FC, FLOAT, GPR, KIND, LEFT, PAGE, PAGE64, PAGES, RIP, TEMPS, XMM } from './locals.ts';
import { stateName } from './statenames.ts';
import { FUNCREF, I32, I64, F32, F64, OP, V128, VOID } from './wasmcode.ts';
import { X87_FUNCTION } from './x87functions.ts';
import { operandsOf, PLAIN_NAMES, VECTOR_NAMES } from './wasmnames.ts';

const TYPE_NAMES: { readonly [code: number]: string } = {
  [I32]: 'i32',
  [I64]: 'i64',
  [F32]: 'f32',
  [F64]: 'f64',
  [V128]: 'v128',
  [FUNCREF]: 'funcref',
};
const FUNCTION_NAMES: readonly string[] = [...HELPERS, ...X87_HELPERS, ...Object.keys(X87_FUNCTION), 'fusedDoubles', 'fusedSingles'];
const GPRS = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
/** Sections: types, imports, functions, code. */
const SECTION_TYPE = 1;
const SECTION_IMPORT = 2;
const SECTION_FUNCTION = 3;
const SECTION_CODE = 10;

/** Opcodes that WebAssembly has and the emitter need not: bulk memory behind 0xfc, memory.size and memory.grow. */
const PREFIX_MISC = 0xfc;
const MISC_NAMES: { readonly [code: number]: [name: string, operands: number, immediates: number] } = {
  10: ['memory.copy', 3, 2],
  11: ['memory.fill', 3, 1],
};

interface Signature {
  parameters: number;
  results: number;
}

export interface TextLine {
  /** Nesting. */
  depth: number;
  text: string;
  /** Offset in the function's code of the first byte that made the line. */
  offset: number;
}

class Reader {
  at: number;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }
  byte(): number {
    const value = this.bytes[this.at++];
    if (value === undefined) throw new RangeError('the code ends within an instruction');
    return value;
  }
  u32(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }
  /** Passes over bytes whose number comes first. */
  skip(): void {
    const size = this.u32();
    this.at += size;
  }
  signed(): bigint {
    let value = 0n;
    for (let shift = 0n; ; ) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if (byte < 0x80) return BigInt.asIntN(Number(shift), value);
    }
  }
  name(): string {
    const length = this.u32();
    const text = String.fromCharCode(...this.bytes.subarray(this.at, this.at + length));
    this.at += length;
    return text;
  }
}

/** Contents of the sections that are read. */
interface Module {
  signatures: Signature[];
  /** Signature of each function, imported ones first. */
  functions: number[];
  /** Where the code of the region begins and ends, behind its locals. */
  start: number;
  end: number;
}

function readImports(reader: Reader): number[] {
  const found: number[] = [];
  for (let count = reader.u32(); count > 0; count--) {
    reader.name();
    reader.name();
    switch (reader.byte()) {
      case 0:
        found.push(reader.u32());
        break;
      case 1: {
        reader.byte();
        if (reader.byte() & 1) reader.u32();
        reader.u32();
        break;
      }
      case 2: {
        if (reader.byte() & 1) reader.u32();
        reader.u32();
        break;
      }
      default:
        reader.byte();
        reader.byte();
    }
  }
  return found;
}

function readModule(wasm: Uint8Array, region: number): Module {
  const reader = new Reader(wasm, 8);
  const module: Module = { signatures: [], functions: [], start: 0, end: 0 };
  let imported = 0;
  while (reader.at < wasm.length) {
    const id = reader.byte();
    const size = reader.u32();
    const next = reader.at + size;
    if (id === SECTION_TYPE) {
      for (let count = reader.u32(); count > 0; count--) {
        reader.byte();
        const parameters = reader.u32();
        reader.at += parameters;
        const results = reader.u32();
        reader.at += results;
        module.signatures.push({ parameters, results });
      }
    } else if (id === SECTION_IMPORT) {
      module.functions = readImports(reader);
      imported = module.functions.length;
    } else if (id === SECTION_FUNCTION) for (let count = reader.u32(); count > 0; count--) module.functions.push(reader.u32());
    else if (id === SECTION_CODE) {
      reader.u32();
      for (let before = FIRST_REGION - imported + region; before > 0; before--) reader.skip();
      const length = reader.u32();
      module.end = reader.at + length;
      for (let groups = reader.u32(); groups > 0; groups--) {
        reader.u32();
        reader.byte();
      }
      module.start = reader.at;
    }
    reader.at = next;
  }
  return module;
}

function localName(index: number, bits: CodeMode): string {
  const fixed: { readonly [index: number]: string } = {
    [LEFT]: 'left',
    [PAGE64]: 'page64',
    [PAGE]: 'page',
    [RIP]: 'rip',
    [KIND]: 'flagkind',
    [FA]: 'flaga',
    [FB]: 'flagb',
    [FC]: 'flagc',
    [FLOAT]: 'float',
    [PAGES]: 'pages',
  };
  const own = fixed[index];
  if (own) return `$${own}`;
  if (index >= TEMPS) return `$t${index - TEMPS}`;
  if (index >= XMM && index < XMM + 16) return `$xmm${index - XMM}`;
  if (index >= GPR && index < GPR + 16) {
    const n = index - GPR;
    return `$${n < 8 ? `${bits === 64 ? 'r' : 'e'}${GPRS[n]}` : `r${n}`}`;
  }
  return `$l${index}`;
}

class Writer {
  readonly lines: TextLine[] = [];
  private readonly reader: Reader;
  private readonly module: Module;
  private readonly bits: CodeMode;
  private stack: string[] = [];
  /** Open blocks, and the operands that were there before each. */
  private readonly opened: { kind: string; result: boolean; stack: string[] }[] = [];
  private statementStart = 0;

  constructor(wasm: Uint8Array, module: Module, bits: CodeMode) {
    this.reader = new Reader(wasm, module.start);
    this.module = module;
    this.bits = bits;
  }

  run(): void {
    const { reader, module } = this;
    while (reader.at < module.end) {
      if (!this.stack.length) this.statementStart = reader.at;
      this.instruction(reader.byte());
    }
  }

  private line(text: string, depth = this.opened.length): void {
    this.lines.push({ depth, text, offset: this.statementStart - this.module.start });
    this.statementStart = this.reader.at;
  }

  private pop(): string {
    return this.stack.pop() ?? '(pop)';
  }
  private operands(count: number): string {
    const taken = Array.from({ length: count }, () => this.pop()).reverse();
    return taken.map((operand) => ` ${operand}`).join('');
  }

  /** A line of its own. What it did not use was computed before it, and is said before it. */
  private statement(text: string): void {
    const waiting = this.stack
      .map((operand) => (operand === '(pop)' ? operand : `(push ${operand})`))
      .filter((operand) => operand !== '(pop)');
    for (const operand of waiting) this.line(operand);
    this.stack = this.stack.map(() => '(pop)');
    this.line(text);
  }

  private open(kind: string, condition = ''): void {
    const type = this.reader.byte();
    const result = type === VOID ? '' : ` (result ${TYPE_NAMES[type] ?? type})`;
    this.statement(`(${kind} $${this.opened.length}${result}${condition}`);
    this.opened.push({ kind, result: result !== '', stack: this.stack });
    this.stack = [];
  }

  /** By how many blocks out, as the name of the block. */
  private label(): string {
    const depth = this.reader.u32();
    const at = this.opened.length - 1 - depth;
    return at < 0 ? '$function' : `$${at}`;
  }

  private memory(name: string): string {
    this.reader.byte();
    const offset = this.reader.u32();
    const state = stateName(offset);
    return `${name}${offset ? ` ${state ? `[${state}]` : `offset=0x${offset.toString(16)}`}` : ''}`;
  }

  private called(signature: Signature, text: string): void {
    if (signature.results) this.stack.push(`(${text})`);
    else this.statement(`(${text})`);
  }

  private instruction(op: number): void {
    const { reader, module } = this;
    switch (op) {
      case OP.block:
        this.open('block');
        return;
      case OP.loop:
        this.open('loop');
        return;
      case OP.try:
        this.open('try');
        return;
      case OP.if:
        this.open('if', this.operands(1));
        return;
      case OP.else:
      case OP.catchAll: {
        const block = this.opened.at(-1);
        for (const value of this.stack.splice(0)) this.line(`(push ${value})`);
        this.line(op === OP.else ? ') else (' : ') catch_all (', Math.max(0, this.opened.length - 1));
        if (block) this.stack = [];
        return;
      }
      case OP.end: {
        const block = this.opened.pop();
        for (const value of this.stack) this.line(block ? `(push ${value})` : `(return ${value})`, this.opened.length + (block ? 1 : 0));
        this.stack = block?.stack ?? [];
        if (block) this.line(')');
        if (block?.result) this.stack.push('(pop)');
        return;
      }
      case OP.br:
        this.statement(`(br ${this.label()})`);
        return;
      case OP.brIf: {
        const label = this.label();
        this.statement(`(br_if ${label}${this.operands(1)})`);
        return;
      }
      case OP.brTable: {
        const labels = Array.from({ length: reader.u32() + 1 }, () => this.label());
        this.statement(`(br_table ${labels.join(' ')}${this.operands(1)})`);
        return;
      }
      case OP.rethrow:
        this.statement(`(rethrow ${this.label()})`);
        return;
      case OP.unreachable:
        this.statement('(unreachable)');
        return;
      case OP.return:
        this.statement(`(return${this.operands(1)})`);
        return;
      case OP.drop:
        this.statement(`(drop${this.operands(1)})`);
        return;
      case OP.call: {
        const index = reader.u32();
        const signature = module.signatures[module.functions[index] ?? -1] ?? { parameters: 0, results: 0 };
        this.called(signature, `call $${FUNCTION_NAMES[index] ?? `function${index}`}${this.operands(signature.parameters)}`);
        return;
      }
      case OP.callIndirect:
      case OP.returnCallIndirect: {
        const signature = module.signatures[reader.u32()] ?? { parameters: 0, results: 0 };
        reader.u32();
        const text = `${PLAIN_NAMES.get(op)}${this.operands(signature.parameters + 1)}`;
        if (op === OP.returnCallIndirect) this.statement(`(${text})`);
        else this.called(signature, text);
        return;
      }
      case OP.localGet:
        this.stack.push(localName(reader.u32(), this.bits));
        return;
      case OP.localSet: {
        const name = localName(reader.u32(), this.bits);
        this.statement(`(local.set ${name}${this.operands(1)})`);
        return;
      }
      case OP.localTee: {
        const name = localName(reader.u32(), this.bits);
        this.stack.push(`(local.tee ${name}${this.operands(1)})`);
        return;
      }
      case OP.globalGet:
        this.stack.push(reader.u32() === 0 ? '$pool' : '$global');
        return;
      case OP.i32Const:
      case OP.i64Const:
        this.stack.push(this.number(reader.signed()));
        return;
      case OP.f32Const:
      case OP.f64Const: {
        const size = op === OP.f32Const ? 4 : 8;
        const view = new DataView(reader.bytes.buffer, reader.bytes.byteOffset + reader.at, size);
        reader.at += size;
        this.stack.push(String(size === 4 ? view.getFloat32(0, true) : view.getFloat64(0, true)));
        return;
      }
      case OP.simd:
        this.vector(reader.u32());
        return;
      case PREFIX_MISC: {
        const code = reader.u32();
        const [name, operands, immediates] = MISC_NAMES[code] ?? [`misc ${code}`, 0, 0];
        reader.at += immediates;
        this.statement(`(${name}${this.operands(operands)})`);
        return;
      }
    }
    const name = PLAIN_NAMES.get(op);
    if (!name) throw new RangeError(`no name for the opcode 0x${op.toString(16)}`);
    if (op >= OP.i32Load && op <= OP.i64Load32U) this.load(name);
    else if (op >= OP.i32Store && op <= OP.i64Store32) this.store(name);
    else this.stack.push(`(${name}${this.operands(operandsOf(name))})`);
  }

  private load(name: string): void {
    const text = this.memory(name);
    const address = this.pop();
    this.stack.push(`(${text}${address === '0' ? '' : ` ${address}`})`);
  }

  private store(name: string): void {
    const text = this.memory(name);
    const value = this.pop();
    const address = this.pop();
    this.statement(`(${text}${address === '0' ? '' : ` ${address}`} ${value})`);
  }

  private number(value: bigint): string {
    return value > -1024n && value < 1024n ? String(value) : `${value < 0n ? '-' : ''}0x${(value < 0n ? -value : value).toString(16)}`;
  }

  private vector(code: number): void {
    const { reader } = this;
    const name = VECTOR_NAMES.get(code);
    if (!name) throw new RangeError(`no name for the opcode 0xfd ${code}`);
    const verb = name.slice(name.indexOf('.') + 1);
    if (verb === 'store') this.store(name);
    else if (verb === 'const' || verb === 'shuffle') {
      const bytes = [...reader.bytes.subarray(reader.at, reader.at + 16)];
      reader.at += 16;
      if (verb === 'shuffle') this.stack.push(`(${name} ${bytes.join(' ')}${this.operands(2)})`);
      else
        this.stack.push(
          `0x${bytes
            .reverse()
            .map((byte) => byte.toString(16).padStart(2, '0'))
            .join('')}`,
        );
    } else if (/^load\d+_lane$|^store\d+_lane$/.test(verb)) {
      const text = `${this.memory(name)} ${reader.byte()}`;
      const operands = this.operands(2);
      if (verb.startsWith('store')) this.statement(`(${text}${operands})`);
      else this.stack.push(`(${text}${operands})`);
    } else if (verb.startsWith('load')) this.load(name);
    else if (/^(extract|replace)_lane/.test(verb)) {
      const lane = reader.byte();
      this.stack.push(`(${name} ${lane}${this.operands(verb.startsWith('replace') ? 2 : 1)})`);
    } else this.stack.push(`(${name}${this.operands(operandsOf(name))})`);
  }
}

/** The lines of one region of a module, by its number in that; `bits` is the mode of the guest code it was made of. Throws RangeError on what it does not know. */
export function wasmText(wasm: Uint8Array, bits: CodeMode, region = 0): TextLine[] {
  const writer = new Writer(wasm, readModule(wasm, region), bits);
  writer.run();
  return writer.lines;
}
