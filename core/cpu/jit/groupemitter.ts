/**
 * Accesses to memory that share one look into the TLB. Those whose addresses differ by constants (the same register with other displacements; the stack
 * pointer, whatever PUSH and POP do to it) form a group: its first one looks for all of them and keeps where the host has them, so that the others only
 * ask whether that was found. Nothing is assumed of a group that reaches over the end of its page, or is not in the TLB: each of its accesses looks
 * for itself then.
 *
 * The first of the two runs over a region finds the groups, the second one uses them. A group lives on the straight way from its first access: until code
 * that is also reached from elsewhere, and, at run time, until a slow access, which may change what memory there is.
 */
import type { Insn } from './decode.ts';
import { DispatchEmitter } from './dispatchemitter.ts';
import type { Value } from './registeremitter.ts';
import { I32 } from './wasmcode.ts';

/** From the first byte of a group to its last, at most: the larger, the likelier it lies in two pages. */
const MAX_SPAN = 256;
/** Groups that are kept at one time: each takes a register of the host. */
const MAX_ACTIVE = 6;

/** An address: `add` behind what `key` names. */
interface Place {
  key: string;
  add: number;
}

interface Group {
  key: string;
  /** Its page is looked up for writing, which reads may use as well. */
  write: boolean;
  /** Number of the access that it begins with. */
  first: number;
  /** From where up to where, in bytes behind what the key names. */
  low: number;
  high: number;
  /** It pays: a second access is sure to come, being in the same block. */
  sure: boolean;
  block: number;
  /** Which of the locals it has. */
  slot: number;
}

/** What an access is to do with its group. */
export interface GroupUse {
  leads: boolean;
  /** Host address of the group's lowest byte, 0 when it was not found. */
  local: number;
  /** The access, from the lowest byte. */
  offset: number;
  /** The lowest byte, from the access. */
  back: number;
  size: number;
  write: boolean;
}

/** What is known of registers and groups on the way to one point of the code. */
export interface Addresses {
  values: Value[];
  active: Group[];
}

export class GroupEmitter extends DispatchEmitter {
  private places = new Map<number, Place>();
  private active: Group[] = [];
  /** By number of the access, from the first run. */
  private found: ({ group: Group; add: number } | undefined)[] = [];
  private accesses = 0;
  private using = false;
  private groupLocals: number[] = [];
  /** Labels that are open where an instruction begins: what is deeper is not on the straight way. */
  private straight = 0;
  private block = 0;

  override restart(): void {
    super.restart();
    this.places.clear();
    this.active = [];
    this.accesses = 0;
    this.using = true;
    this.groupLocals = [];
  }

  /** A new instruction of the block begins. */
  begin(insn: Insn, block: number): void {
    this.insn = insn;
    this.block = block;
    this.straight = this.labels.length;
    // Clearing makes a new table even of an empty one.
    if (this.places.size) this.places.clear();
  }

  /** From here on nothing is known: control also comes from elsewhere, or something may have changed memory or registers. */
  forgetAddresses(): void {
    this.active = [];
    this.freshValues();
  }

  get addresses(): Addresses {
    return { values: [...this.values], active: [...this.active] };
  }
  set addresses({ values, active }: Addresses) {
    this.values = [...values];
    this.active = [...active];
  }

  /** What is known of the value of a temporary that has one part. */
  protected nameOf(temp: number): Value | undefined {
    const place = this.places.get(temp);
    return place && { id: Number(place.key), add: place.add };
  }

  /** The temporary holds this value. */
  nameValue(temp: number, { id, add }: Value): void {
    this.places.set(temp, { key: `${id}`, add });
  }

  /** The temporary holds the address of the memory operand, which has no segment. */
  protected nameOperand(temp: number, insn: Insn): void {
    let key = '';
    let add = insn.disp;
    if (insn.ripRelative) {
      key = 'rip';
      add += insn.next;
    }
    if (insn.base >= 0) {
      const { id, add: more } = this.values[insn.base]!;
      key = `${id}`;
      add += more;
    }
    if (insn.index >= 0) {
      const { id, add: more } = this.values[insn.index]!;
      key += ` ${insn.scale} ${id}`;
      add += more * (1 << insn.scale);
    }
    if (Number.isSafeInteger(add)) this.places.set(temp, { key, add });
  }

  /** Notes an access of `size` bytes at the address in a temporary; gives back its group when it has one. */
  protected access(ea: number, size: number, write: boolean): GroupUse | undefined {
    const number = this.accesses++;
    if (!this.using) {
      const place = this.places.get(ea);
      this.found[number] = place && this.join(place, number, size, write);
      return undefined;
    }
    const known = this.found[number];
    if (!known?.group.sure) return undefined;
    const { group, add } = known;
    const leads = group.first === number;
    if (leads) this.activate(group);
    const { low, high } = group;
    return { leads, local: this.groupLocal(group), offset: add - low, back: low - add, size: high - low, write: group.write };
  }

  private join(place: Place, number: number, size: number, write: boolean): { group: Group; add: number } | undefined {
    const { key, add } = place;
    for (const group of this.active) {
      const low = Math.min(group.low, add);
      const high = Math.max(group.high, add + size);
      if (group.key !== key || (write && !group.write) || high - low > MAX_SPAN) continue;
      Object.assign(group, { low, high, sure: group.sure || group.block === this.block });
      return { group, add };
    }
    if (this.labels.length !== this.straight) return undefined;
    const group: Group = { key, write, first: number, low: add, high: add + size, sure: false, block: this.block, slot: 0 };
    this.active = [...this.active.slice(1 - MAX_ACTIVE), group];
    return { group, add };
  }

  private activate(group: Group): void {
    this.active = this.active.slice(1 - MAX_ACTIVE);
    group.slot = 0;
    while (this.active.some(({ slot }) => slot === group.slot)) group.slot++;
    this.active.push(group);
  }

  private groupLocal({ slot }: Group): number {
    this.groupLocals[slot] ??= this.keep(I32);
    return this.groupLocals[slot];
  }

  /** After a slow access: where the groups are has to be looked up again. */
  protected loseGroups(): void {
    if (this.using) for (const group of this.active) this.c.i32(0).set(this.groupLocal(group));
  }
}
