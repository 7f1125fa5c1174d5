/** Random code: instructions with jumps, loops, calls and writes to themselves between them, laid out at an address. */
import { type CodeBits, disassemble } from '../../../core/cpu/x86/disassemble.ts';
import type { Instruction } from '../../../core/cpu/x86/table.ts';
import { ARITHMETIC, ZF } from '../flags.ts';
import { Random } from '../fp/record.ts';
import { edgeBytes, encodeRow, type Item, type Roles, rowsOf, windowAddress } from './encode.ts';
import { segmentPiece } from './segments.ts';
import { systemPiece } from './systemcode.ts';
import { CODE16_BASE, CODE2_SIZE, CODE_SIZE, HLT } from './layout.ts';
import { X87_CODES } from './undefined.ts';
import { differs, v86Piece } from './v86.ts';

export interface Code {
  roles: Roles;
  at: number;
  at2: number;
  code: Uint8Array;
  code2: Uint8Array;
  /** Where instructions begin, in order, and what is undefined before each. */
  places: { address: number; unknown: number; name: string }[];
  /** All that is undefined anywhere. */
  unknown: number;
  /** Why the host is not asked; undefined: it is. */
  hostless: string | undefined;
}

const RSP = 4;
/** Code can be written through CS in virtual-8086 mode, not in the host's protected mode. */
const CS_PREFIX = 0x2e;
type Extra = 'system' | 'segments' | 'v86' | undefined;
/** Kinds of rows and how often they are drawn. */
const KINDS: readonly (readonly [weight: number, rows: readonly Instruction[]])[] = [
  [46, rowsOf((r) => r.executor === 'core' && !r.vex)],
  [6, rowsOf((r) => /^(movs|cmps|stos|lods|scas)$/.test(r.mnemonic))],
  [4, rowsOf((r) => /^(push|pop|pusha|popa|pushf|popf|enter|leave)$/.test(r.mnemonic))],
  [17, rowsOf((r) => r.executor === 'simd' && !r.vex)],
  [14, rowsOf((r) => r.vex)],
  [11, rowsOf((r) => r.executor === 'x87')],
  [2, rowsOf((r) => r.executor === 'sys')],
];
const CONDITION_FLAGS = [0x800, 0x800, 1, 1, 0x40, 0x40, 0x41, 0x41, 0x80, 0x80, 4, 4, 0x880, 0x880, 0x8c0, 0x8c0];

function drawRow(random: Random, kind: number): Instruction {
  let left = random.below(100);
  const list = kind >= 0 ? KINDS[kind]! : KINDS.find(([weight]) => (left -= weight) < 0)!;
  return random.pick(list[1]);
}

const plain = (bytes: number[], name: string, more: Partial<Item> = {}): Item => ({
  bytes,
  name,
  reads: 0,
  settles: 0,
  leaves: 0,
  ...more,
});
const le32 = (value: number): number[] => [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];

export function drawRoles(random: Random, bits: CodeBits): Roles {
  const all = Array.from({ length: bits === 64 ? 16 : 8 }, (_, i) => i).filter((r) => r !== RSP);
  // Strings want RSI and RDI; RBX is XLAT's; RBP is a frame.
  const pointers = bits === 64 ? [random.pick([8, 9, 12, 13, 14, 15]), 3, 6, 7] : [3, 6, 7];
  if (random.chance(50)) pointers.push(5);
  if (bits === 64 && random.chance(60)) pointers.push(random.pick([10, 11]));
  const rest = all.filter((r) => !pointers.includes(r));
  const index = random.pick(rest);
  return { bits, pointers, index, free: rest.filter((r) => r !== index || rest.length < 3) };
}

/** Draws items, labels among them, until the code is long enough. */
class Builder {
  readonly items: (Item & { label?: number })[] = [];
  private labels = 0;
  private unknown: number;
  private readonly waiting: { label: number; after: number; unknown: number }[] = [];
  private loop: { label: number; unknown: number; after: number; how: number } | undefined;
  private reachable = true;
  readonly befores: number[] = [];

  private readonly random: Random;
  private readonly roles: Roles;
  private readonly kind: number;
  private readonly extra: Extra;
  /** Nothing that virtual-8086 mode does otherwise than the host. */
  private readonly plainV86: boolean;
  constructor(random: Random, roles: Roles, kind: number, extra: Extra, isFunction = false) {
    this.extra = extra;
    this.random = random;
    this.roles = roles;
    this.kind = kind;
    this.unknown = isFunction ? ARITHMETIC | X87_CODES : 0;
    this.plainV86 = extra === 'v86' && random.chance(60);
  }

  newLabel(): number {
    return ++this.labels;
  }
  private push(item: Item & { label?: number }): void {
    this.befores.push(this.unknown);
    this.items.push(item);
    this.unknown = (this.unknown & ~item.settles) | item.leaves;
  }
  place(label: number, unknown = this.unknown): void {
    this.unknown = this.reachable ? this.unknown | unknown : unknown;
    this.reachable = true;
    this.befores.push(this.unknown);
    this.items.push({ ...plain([], ''), label });
  }

  private get long(): boolean {
    return this.roles.bits === 64;
  }

  /** An instruction with operands of 32 bits, also in 16-bit code; `address`: with an address of 32 bits, too. */
  private push32(bytes: number[], name: string, more: Partial<Item> = {}, address = false): void {
    const prefixes = this.roles.bits === 16 ? (address ? [0x66, 0x67] : [0x66]) : [];
    const by = prefixes.length;
    const { fix, target } = more;
    const moved = {
      ...more,
      ...(fix ? { fix: { ...fix, at: fix.at + by } } : {}),
      ...(target ? { target: { ...target, at: target.at + by } } : {}),
    };
    this.push(plain([...prefixes, ...bytes], name, moved));
  }

  /** Code for the system; `next` is where it goes on. */
  private system(): void {
    const piece = systemPiece(this.random, this.long);
    if (piece.next === undefined) this.push(plain(piece.bytes, piece.name, piece.remaps === undefined ? {} : { remaps: piece.remaps }));
    else {
      const label = this.newLabel();
      this.push(plain(piece.bytes, piece.name, { fix: { at: piece.next, size: 4, label, relative: false } }));
      this.place(label);
    }
  }

  /** An ordinary instruction that reads nothing undefined. */
  ordinary(): void {
    if (this.extra === 'system' && this.random.chance(35)) {
      this.system();
      return;
    }
    if (this.extra === 'segments' && this.random.chance(12)) {
      for (const { bytes, ...more } of segmentPiece(this.random)) this.push32(bytes, more.name, more);
      return;
    }
    if (this.extra === 'v86' && !this.plainV86 && this.random.chance(12)) {
      const { bytes, name, hostless } = v86Piece(this.random);
      this.push(plain(bytes, name, { hostless }));
      return;
    }
    for (let tries = 0; tries < 40; tries++) {
      const row = drawRow(this.random, this.kind);
      const item = encodeRow(row, this.random, this.roles);
      if (!item || item.reads & this.unknown) continue;
      if (this.extra === 'v86' && (differs(row) || item.bytes.includes(CS_PREFIX))) {
        if (this.plainV86) continue;
        item.hostless ??= 'otherwise in virtual-8086 mode';
      }
      // Let some divisions succeed.
      if (/^(div|idiv)$/.test(item.name) && this.random.chance(60)) this.push(plain([0x99], 'cdq'));
      this.push(item);
      return;
    }
  }

  private forward(): void {
    const { random } = this;
    const label = this.newLabel();
    this.waiting.push({ label, after: 1 + random.below(4), unknown: this.unknown });
    const near = random.chance(25);
    if (random.chance(25)) {
      const bytes = near ? [0xe9, 0, 0, 0, 0] : [0xeb, 0];
      const fix = { at: 1, size: near ? 4 : 1, label, relative: true } as const;
      if (near) this.push32(bytes, 'jmp', { fix });
      else this.push(plain(bytes, 'jmp', { fix }));
      this.reachable = false;
      this.unknown = 0;
      return;
    }
    const usable = CONDITION_FLAGS.map((flags, i) => [flags, i] as const).filter(([flags]) => !(flags & this.unknown));
    if (!usable.length || random.chance(5)) {
      this.push(plain([0xe3, 0], 'jcxz', { fix: { at: 1, size: 1, label, relative: true } }));
      return;
    }
    const [flags, condition] = random.pick(usable);
    const bytes = near ? [0x0f, 0x80 | condition, 0, 0, 0, 0] : [0x70 | condition, 0];
    const fix = { at: near ? 2 : 1, size: near ? 4 : 1, label, relative: true } as const;
    if (near) this.push32(bytes, 'jcc', { reads: flags, fix });
    else this.push(plain(bytes, 'jcc', { reads: flags, fix }));
  }

  private beginLoop(): void {
    const { random } = this;
    this.push32([0xb9, ...le32(1 + random.below(6))], 'mov ecx,n');
    const label = this.newLabel();
    this.loop = { label, unknown: this.unknown, after: 1 + random.below(6), how: random.below(3) };
    this.place(label);
  }

  private endLoop(): void {
    const { random, loop } = this;
    if (!loop) return;
    this.loop = undefined;
    // Everything that jumps out of the loop lands behind it; those that wait go on waiting.
    if (loop.how === 0) {
      const readsZero = random.chance(10);
      const opcode = readsZero ? 0xe0 | random.below(2) : 0xe2;
      this.settle(readsZero ? loop.unknown & ~ZF : loop.unknown);
      this.push(plain([opcode, 0], 'loop', { fix: { at: 1, size: 1, label: loop.label, relative: true } }));
      return;
    }
    if (loop.how === 1 || this.long) this.push(plain([0x83, 0xe9, 1], 'sub ecx,1', { settles: ARITHMETIC }));
    else this.push(plain([0x49], 'dec ecx', { settles: ARITHMETIC & ~1 }));
    // Undefined x87 codes would meet what was checked with them defined.
    this.settle(loop.unknown);
    this.push32([0x0f, 0x8f, 0, 0, 0, 0], 'jg', { reads: 0x8c0, fix: { at: 2, size: 4, label: loop.label, relative: true } });
  }

  /** Leaves nothing undefined that was not at the head of the loop. */
  private settle(allowed: number): void {
    const extra = this.unknown & ~allowed;
    if (extra & ARITHMETIC) this.push(plain([0x83, 0xf9, 0], 'cmp ecx,0', { settles: ARITHMETIC }));
    // FCOM ST(0) defines the condition codes.
    if (this.unknown & ~allowed & X87_CODES) this.push(plain([0xd8, 0xd0], 'fcom', { settles: X87_CODES }));
  }

  /** Writes to code: an immediate that comes later, or anything. */
  private modify(): void {
    const { random } = this;
    const label = this.newLabel();
    const address = this.long ? [0x04, 0x25] : [0x05];
    const value = random.chance(60) ? [random.next() & 255] : edgeBytes(random, 1);
    const wide = random.chance(30);
    const r = random.pick(this.roles.free) & 7;
    const anything = r === RSP;
    const bytes = [wide ? 0xc7 : 0xc6, ...address, 0, 0, 0, 0, ...(wide ? edgeBytes(random, 4) : value)];
    const fix = { at: 1 + address.length, size: 4, label, relative: false } as const;
    this.push(plain(bytes, 'write code', anything ? { fix, hostless: 'makes instructions that may read what is undefined' } : { fix }));
    for (let i = random.below(3); i > 0; i--) this.ordinary();
    if (anything) {
      this.place(label);
      return;
    }
    // The immediate of this instruction.
    this.push(plain([0xb8 | r], 'mov r,imm'));
    this.place(label);
    this.push(plain(edgeBytes(random, 4), ''));
  }

  private callFunction(at2: number): void {
    const { random } = this;
    const offset = at2 - this.codeBase;
    const how = random.below(4);
    if (how === 0) {
      this.push32([0xb8, ...le32(offset)], 'mov eax,function');
      this.push32([0xff, 0xd0], 'call eax');
    } else if (how === 1) {
      this.push32([0x68, ...le32(offset)], 'push function');
      this.push32([0xff, 0x14, 0x24], 'call [esp]', {}, true);
      this.push32(this.long ? [0x48, 0x8d, 0x64, 0x24, 8] : [0x8d, 0x64, 0x24, 4], 'lea esp,[esp+n]', {}, true);
    } else this.push32([0xe8, 0, 0, 0, 0], 'call', { target: { at: 1, address: at2 } });
    this.unknown |= this.calleeUnknown;
  }
  calleeUnknown = 0;
  /** Of the code segment. */
  private get codeBase(): number {
    return this.roles.bits === 16 ? CODE16_BASE : 0;
  }

  /** A call of the next instruction, a jump through a register, or a return to a pushed address. */
  private indirect(): void {
    const { random } = this;
    const label = this.newLabel();
    const how = random.below(3);
    if (how === 0) this.push32([0xb8, 0, 0, 0, 0], 'mov eax,label', { fix: { at: 1, size: 4, label, relative: false } });
    else if (how === 1) this.push32([0x68, 0, 0, 0, 0], 'push label', { fix: { at: 1, size: 4, label, relative: false } });
    if (how === 0) this.push32([0xff, 0xe0], 'jmp eax');
    else if (how === 1) this.push32([0xc3], 'ret');
    else this.push32([0xe8, 0, 0, 0, 0], 'call', { fix: { at: 1, size: 4, label, relative: true } });
    const before = this.unknown;
    // The return of a function takes the address that a call in it has left, or one before it when the function pops its own: then what lies between is
    // executed, with the flags at the function's end.
    const comesBack = how === 2;
    if (comesBack) this.unknown = ARITHMETIC | X87_CODES;
    this.reachable = false;
    for (let i = random.below(3); i > 0; i--) this.ordinary();
    this.reachable = false;
    this.place(label, comesBack ? ARITHMETIC | X87_CODES : before);
  }

  build(count: number, at2: number | undefined): void {
    const { random } = this;
    for (let i = 0; i < count; i++) {
      const kind = random.below(100);
      if (count === 1 || kind < 74) this.ordinary();
      else if (kind < 85) this.forward();
      else if (kind < 90 && !this.loop) this.beginLoop();
      else if (kind < 93 && at2 !== undefined) this.callFunction(at2);
      else if (kind < 95) this.indirect();
      // Data segments of 16-bit code do not reach it.
      else if (kind < 97 && this.roles.bits !== 16) this.modify();
      else this.ordinary();
      for (const entry of [...this.waiting])
        if (--entry.after <= 0) {
          this.waiting.splice(this.waiting.indexOf(entry), 1);
          this.place(entry.label, entry.unknown);
        }
      if (this.loop && --this.loop.after <= 0) this.endLoop();
    }
    this.endLoop();
    for (const entry of this.waiting) this.place(entry.label, entry.unknown);
    this.waiting.length = 0;
  }

  get end(): number {
    return this.unknown;
  }
  finish(bytes: number[], name: string): void {
    this.push32(bytes, name);
  }
}

/** Puts addresses in; undefined when a short jump does not reach or there is no room. */
function layOut(builder: Builder, at: number, size: number, base: number): Uint8Array | undefined {
  const labels = new Map<number, number>();
  let offset = 0;
  for (const item of builder.items) {
    if (item.label !== undefined) labels.set(item.label, offset);
    offset += item.bytes.length;
  }
  if (offset >= size) return undefined;
  const out = new Uint8Array(size).fill(HLT);
  offset = 0;
  for (const item of builder.items) {
    out.set(item.bytes, offset);
    const end = offset + item.bytes.length;
    if (item.fix) {
      const to = labels.get(item.fix.label)!;
      const value = item.fix.relative ? to - end : at + to - base;
      if (item.fix.size === 1 && (value < -128 || value > 127)) return undefined;
      out.set(le32(value).slice(0, item.fix.size), offset + item.fix.at);
    }
    if (item.target) out.set(le32(item.target.address - (at + end)), offset + item.target.at);
    offset = end;
  }
  return out;
}

/** Where code lies: in the middle of a page, across two, up to one that is absent, or where it can't be written. */
function drawPlace(random: Random): number {
  const kind = random.below(100);
  if (kind < 62) return 0x210000 + random.below(0xe00);
  if (kind < 80) return 0x211000 - 1 - random.below(100);
  if (kind < 88) return 0x212000 - CODE_SIZE - CODE2_SIZE - random.below(64);
  if (kind < 92) return 0x212000 - 1 - random.below(60);
  return 0x213000 + random.below(0xe00);
}

/** `seed` gives the same code each time. `extra`: code for the system, that only it may execute, or with segments. */
export function drawCode(seed: number, bits: CodeBits, extra?: Extra): Code {
  const random = new Random(seed);
  for (;;) {
    const roles = drawRoles(random, bits);
    const at = drawPlace(random);
    let at2 = random.chance(70) ? at + CODE_SIZE + 1 : random.pick([0x211700, 0x213f00, 0x210f40]);
    if (Math.abs(at2 - at) < CODE_SIZE || (at2 & 0xfff) > 0xf7f || at >= 0x211f00) at2 = at < 0x211000 ? 0x211700 : 0x210700;
    // Sometimes all instructions are of one kind.
    const kind = random.chance(30) ? random.below(KINDS.length) : -1;
    const callee = new Builder(random, roles, kind, extra, true);
    callee.build(random.below(4), undefined);
    callee.finish(random.chance(85) ? [0xc3] : [0xc2, 0, 0], 'ret');
    const main = new Builder(random, roles, kind, extra);
    main.calleeUnknown = callee.end;
    const length = random.below(100);
    main.build(length < 30 ? 1 : length < 60 ? 2 + random.below(4) : 6 + random.below(15), at2);
    main.finish([HLT], 'hlt');
    const base = bits === 16 ? CODE16_BASE : 0;
    const code = layOut(main, at, CODE_SIZE, base);
    const code2 = layOut(callee, at2, CODE2_SIZE, base);
    if (!code || !code2) continue;
    const places: Code['places'] = [];
    let ambiguous = false;
    for (const [builder, start] of [
      [main, at],
      [callee, at2],
    ] as const) {
      let address = start;
      builder.items.forEach((item, i) => {
        if (item.bytes.length && item.name) places.push({ address, unknown: builder.befores[i]!, name: item.name });
        const next = address + item.bytes.length;
        // Its end would be fetched through either entry.
        ambiguous ||= item.remaps !== undefined && address < item.remaps && next > item.remaps;
        address = next;
      });
    }
    if (ambiguous) continue;
    const unknown = [...main.items, ...callee.items].reduce((sum, item) => sum | item.leaves, callee.items.length > 1 ? callee.end : 0);
    const hostless = [...main.items, ...callee.items].find((item) => item.hostless)?.hostless;
    return { roles, at, at2, code, code2, places, unknown, hostless };
  }
}

export function listingOf(bytes: Uint8Array, at: number, bits: CodeBits): string[] {
  const lines: string[] = [];
  let offset = 0;
  while (offset < bytes.length && lines.length < 60) {
    if (bytes.subarray(offset).every((byte) => byte === HLT)) break;
    const { length, text } = disassemble(bytes.subarray(offset, offset + 15), BigInt(at + offset), bits);
    const hex = Array.from(bytes.subarray(offset, offset + length), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    lines.push(`  ${(at + offset).toString(16)}  ${hex.padEnd(30)} ${text}`);
    offset += length;
  }
  return lines;
}
export { windowAddress };
