/** Transfer request blocks, xHCI 1.2, section 6.4: {u64 parameter, u32 status, u32 control}. */
import type { GuestMemory } from '../../memory/guestmemory.ts';

export const TRB_BYTES = 16;

/** Types, table 6-91. */
export const T_NORMAL = 1;
export const T_SETUP = 2;
export const T_DATA = 3;
export const T_STATUS = 4;
export const T_LINK = 6;
export const T_EVENT_DATA = 7;
export const T_NO_OP = 8;
export const T_ENABLE_SLOT = 9;
export const T_DISABLE_SLOT = 10;
export const T_ADDRESS_DEVICE = 11;
export const T_CONFIGURE_ENDPOINT = 12;
export const T_EVALUATE_CONTEXT = 13;
export const T_RESET_ENDPOINT = 14;
export const T_STOP_ENDPOINT = 15;
export const T_SET_DEQUEUE = 16;
export const T_RESET_DEVICE = 17;
export const T_PORT_BANDWIDTH = 21;
export const T_NO_OP_COMMAND = 23;
export const T_TRANSFER_EVENT = 32;
export const T_COMMAND_EVENT = 33;
export const T_PORT_EVENT = 34;

/** Control word. */
export const CYCLE = 0x001;
/** Link: the consumer's cycle state turns over. */
export const TOGGLE = 0x002;
/** An event also for a short packet. */
export const SHORT_PACKET = 0x004;
export const CHAIN = 0x010;
export const ON_COMPLETION = 0x020;
export const IMMEDIATE = 0x040;
/** Address device: no address is given. */
export const BLOCK_ADDRESS = 0x200;
/** Transfer: the event raises no interrupt. */
export const BLOCK_INTERRUPT = 0x200;
/** Configure endpoint: give up all. */
export const DECONFIGURE = 0x200;
/** Event: what it tells is the parameter of an event data TRB. */
export const EVENT_DATA = 0x004;

/** Completion codes, table 6-90. */
export const CC_SUCCESS = 1;
export const CC_BABBLE = 3;
export const CC_TRANSACTION = 4;
export const CC_TRB = 5;
export const CC_STALL = 6;
export const CC_NO_SLOTS = 9;
export const CC_SLOT_NOT_ENABLED = 11;
export const CC_ENDPOINT_NOT_ENABLED = 12;
export const CC_SHORT_PACKET = 13;
export const CC_PARAMETER = 17;
export const CC_CONTEXT_STATE = 19;
export const CC_RING_STOPPED = 24;
export const CC_STOPPED = 26;

export interface Trb {
  /** Guest-physical byte address. */
  at: number;
  /** The parameter's halves. */
  low: number;
  high: number;
  status: number;
  control: number;
}

export const trbType = ({ control }: Trb): number => (control >>> 10) & 0x3f;
/** Parameter as an address; bits 3..0 are for the caller to clear. */
export const trbAddress = ({ low, high }: Trb): number => high * 2 ** 32 + low;
/** Bytes that a transfer's TRB moves. */
export const trbLength = ({ status }: Trb): number => status & 0x1ffff;
export const trbSlot = ({ control }: Trb): number => control >>> 24;
export const trbEndpoint = ({ control }: Trb): number => (control >>> 16) & 0x1f;

export function readTrb(memory: GuestMemory, at: number): Trb {
  const [low, high, status, control] = [0, 4, 8, 12].map((offset) => memory.read32(at + offset)) as [number, number, number, number];
  return { at, low, high, status, control };
}

/** Writes an event; the word with the cycle bit last. */
export function writeTrb(memory: GuestMemory, { at, low, high, status, control }: Trb): void {
  memory.write32(at, low);
  memory.write32(at + 4, high);
  memory.write32(at + 8, status);
  memory.write32(at + 12, control);
}
