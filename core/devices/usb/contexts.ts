/** Contexts of 32 bytes in guest memory: xHCI 1.2, section 6.2. Index 0 of a device context is the slot, then endpoints by their context index. */
import type { GuestMemory } from '../../memory/guestmemory.ts';

const CONTEXT_BYTES = 32;
/** Context indexes: 1 is the control endpoint, 2n and 2n + 1 are endpoint n out and in (section 4.5.1). */
export const CONTROL = 1;
export const LAST_ENDPOINT = 31;

/** Slot states, section 4.5.3, as the slot context has them. */
export const SLOT_ENABLED = 0;
export const SLOT_DEFAULT = 1;
export const SLOT_ADDRESSED = 2;
export const SLOT_CONFIGURED = 3;

/** Endpoint states, section 4.8.3. */
export const EP_DISABLED = 0;
export const EP_RUNNING = 1;
export const EP_HALTED = 2;
export const EP_STOPPED = 3;
export const EP_ERROR = 4;

/** Endpoint types, table 6-9; those into the computer have bit 2 set too. */
export const TYPE_CONTROL = 4;
const TYPES = new Set([2, 3, TYPE_CONTROL, 6, 7]);
/** No isochronous ones. */
export const knownType = (type: number): boolean => TYPES.has(type);

/** Address of an endpoint as descriptors have it. */
export const endpointAddress = (index: number): number => (index === CONTROL ? 0 : (index >> 1) | (index & 1 ? 0x80 : 0));

/** A device context, or the part of an input context behind its control context. */
export class Contexts {
  private readonly memory: GuestMemory;
  private readonly at: number;

  constructor(memory: GuestMemory, at: number) {
    this.memory = memory;
    this.at = at;
  }

  /** What an input context (section 6.2.5) names: flags of what is dropped and added, bit a context. */
  static input(memory: GuestMemory, at: number): { drop: number; add: number; contexts: Contexts } {
    return { drop: memory.read32(at), add: memory.read32(at + 4), contexts: new Contexts(memory, at + CONTEXT_BYTES) };
  }

  read(index: number, word: number): number {
    return this.memory.read32(this.at + index * CONTEXT_BYTES + word * 4);
  }

  write(index: number, word: number, value: number): void {
    this.memory.write32(this.at + index * CONTEXT_BYTES + word * 4, value >>> 0);
  }

  copyFrom(source: Contexts, index: number): void {
    for (let word = 0; word < CONTEXT_BYTES / 4; word++) this.write(index, word, source.read(index, word));
  }

  clear(index: number): void {
    for (let word = 0; word < CONTEXT_BYTES / 4; word++) this.write(index, word, 0);
  }

  endpointType(index: number): number {
    return (this.read(index, 1) >>> 3) & 7;
  }

  /** Where an endpoint's ring begins: address with the cycle state in bit 0. */
  dequeue(index: number): { at: number; cycle: number } {
    const low = this.read(index, 2);
    return { at: this.read(index, 3) * 2 ** 32 + low - (low & 0xf), cycle: low & 1 };
  }

  setEndpoint(index: number, state: number, { at, cycle }: { at: number; cycle: number }): void {
    this.write(index, 0, (this.read(index, 0) & ~7) | state);
    this.write(index, 2, (at % 2 ** 32) + cycle);
    this.write(index, 3, Math.floor(at / 2 ** 32));
  }

  setSlot(state: number, address: number): void {
    this.write(0, 3, (state << 27) | address);
  }

  /** Root hub port, and the route through hubs behind it (0: none). */
  get route(): { port: number; hubs: number } {
    return { port: (this.read(0, 1) >>> 16) & 0xff, hubs: this.read(0, 0) & 0xf_ffff };
  }
}
