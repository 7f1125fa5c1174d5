/**
 * One piece of work on a transfer ring: the TRBs that are chained together, or the stages of a control transfer.
 * xHCI 1.2, sections 3.2.8 to 3.2.11, 4.11.2 and 6.4.1.
 */
import { type MemoryRange, ScatterList } from '../../bus/scatterlist.ts';
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { UsbEvent } from './eventring.ts';
import * as T from './trb.ts';
import type { RingPlace, TrbRing } from './trbring.ts';

/** TRBs of one transfer; drivers use some hundreds at most. */
const MAX_TRBS = 4096;
const SETUP_BYTES = 8;

export interface TransferDescriptor {
  trbs: readonly T.Trb[];
  /** Where the ring goes on behind it. */
  end: RingPlace;
  /** Setup packet of a control transfer. */
  setup: Uint8Array | undefined;
  data: ScatterList;
  /** It moves nothing: a no-op. */
  empty: boolean;
}

/** Takes the next transfer from a ring, which stays where it is. Undefined: there is none, or not all of it. 'malformed': it can't be one. */
export function gather(memory: GuestMemory, ring: TrbRing, control: boolean): TransferDescriptor | 'malformed' | undefined {
  const end = { ...ring.place };
  const trbs: T.Trb[] = [];
  let setup: Uint8Array | undefined;
  /** What the stage, or the whole of an other transfer, begins with. */
  let stage = 0;
  for (let whole = false; !whole; ) {
    const trb = ring.next(end);
    if (trb === undefined) return undefined;
    if (trb === 'endless' || trbs.length === MAX_TRBS) return 'malformed';
    const type = T.trbType(trb);
    stage ||= type;
    trbs.push(trb);
    if (type === T.T_SETUP && control && trbs.length === 1 && trb.control & T.IMMEDIATE) {
      setup = new Uint8Array(SETUP_BYTES);
      memory.read(trb.at, setup);
    } else if (!allowed(type, stage, control, setup !== undefined)) return 'malformed';
    const stageEnds = (trb.control & T.CHAIN) === 0;
    whole = stageEnds && (setup === undefined || stage === T.T_STATUS);
    if (stageEnds) stage = 0;
  }
  const data = new ScatterList(memory, trbs.filter(movesData).map(range));
  return { trbs, end, setup, data, empty: setup === undefined && !trbs.some(movesData) };
}

function allowed(type: number, stage: number, control: boolean, begun: boolean): boolean {
  if (type === T.T_EVENT_DATA) return true;
  if (!control) return type === T.T_NORMAL || type === T.T_NO_OP;
  if (!begun) return type === T.T_NO_OP;
  return type === stage ? type === T.T_DATA || type === T.T_STATUS : type === T.T_NORMAL && stage === T.T_DATA;
}

function movesData(trb: T.Trb): boolean {
  const type = T.trbType(trb);
  return type === T.T_NORMAL || type === T.T_DATA;
}

function range(trb: T.Trb): MemoryRange {
  const length = T.trbLength(trb);
  return trb.control & T.IMMEDIATE ? { gpa: trb.at, length: Math.min(length, SETUP_BYTES) } : { gpa: T.trbAddress(trb), length };
}

/** What is told of a transfer that ended with `code` (CC_SUCCESS also when it was short) after `moved` bytes: section 4.10.1 and 4.11.5.2. */
export function transferEvents(
  { trbs }: TransferDescriptor,
  where: { slot: number; endpoint: number },
  code: number,
  moved: number,
): { event: UsbEvent; quiet: boolean }[] {
  const events: { event: UsbEvent; quiet: boolean }[] = [];
  const tell = (trb: T.Trb, completion: number, left: number, total?: number) => {
    const isData = total !== undefined;
    events.push({
      event: {
        low: isData ? trb.low : trb.at % 2 ** 32,
        high: isData ? trb.high : Math.floor(trb.at / 2 ** 32),
        status: ((completion << 24) | ((isData ? total : left) & 0xff_ffff)) >>> 0,
        control: ((where.slot << 24) | (where.endpoint << 16) | (T.T_TRANSFER_EVENT << 10) | (isData ? T.EVENT_DATA : 0)) >>> 0,
      },
      quiet: (trb.control & T.BLOCK_INTERRUPT) !== 0,
    });
  };
  let left = moved;
  /** Bytes since the last event data TRB. */
  let total = 0;
  let short = false;
  const last = code === T.CC_SUCCESS ? undefined : failedTrb(trbs, moved);
  for (const trb of trbs) {
    const type = T.trbType(trb);
    let missing = 0;
    let shortHere = false;
    if (movesData(trb)) {
      const length = range(trb).length;
      const chunk = Math.min(left, length);
      left -= chunk;
      total += chunk;
      missing = length - chunk;
      shortHere = missing > 0 && !short && code === T.CC_SUCCESS;
      short ||= missing > 0;
    }
    if (trb === last) {
      tell(trb, code, missing);
      break;
    }
    if (type === T.T_EVENT_DATA) {
      if (trb.control & T.ON_COMPLETION) tell(trb, short ? T.CC_SHORT_PACKET : T.CC_SUCCESS, 0, total);
      total = 0;
    } else if (type === T.T_STATUS) {
      if (trb.control & T.ON_COMPLETION) tell(trb, T.CC_SUCCESS, 0);
      short = false;
    } else if (trb.control & T.ON_COMPLETION || (shortHere && trb.control & T.SHORT_PACKET))
      tell(trb, short && type !== T.T_SETUP ? T.CC_SHORT_PACKET : T.CC_SUCCESS, missing);
  }
  return events;
}

/** The TRB at which a transfer failed that moved so many bytes; one whose last byte was moved has not. */
function failedTrb(trbs: readonly T.Trb[], moved: number): T.Trb {
  let left = moved;
  for (const trb of trbs) {
    if (!movesData(trb)) continue;
    const { length } = range(trb);
    if (left < length) return trb;
    left -= length;
  }
  return trbs.findLast((trb) => T.trbType(trb) !== T.T_EVENT_DATA) ?? trbs[0]!;
}
