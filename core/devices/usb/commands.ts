/** What the command ring asks for: xHCI 1.2, section 4.6. */
import type { DeviceSlot } from './slot.ts';
import * as T from './trb.ts';

export interface CommandTarget {
  readonly slots: readonly DeviceSlot[];
  /** Puts the share of each port's bandwidth that is free into guest memory at `at`. */
  portBandwidth(at: number): void;
}

export interface CommandResult {
  code: number;
  slot: number;
}

/** Carries out one command. */
export function command(trb: T.Trb, { slots, portBandwidth }: CommandTarget): CommandResult {
  const type = T.trbType(trb);
  const id = T.trbSlot(trb);
  switch (type) {
    case T.T_NO_OP_COMMAND:
      return { code: T.CC_SUCCESS, slot: 0 };
    case T.T_ENABLE_SLOT: {
      const free = slots.find(({ enabled }) => !enabled);
      free?.enable();
      return free ? { code: T.CC_SUCCESS, slot: free.id } : { code: T.CC_NO_SLOTS, slot: 0 };
    }
    case T.T_PORT_BANDWIDTH:
      portBandwidth(address(trb));
      return { code: T.CC_SUCCESS, slot: 0 };
  }
  const slot = slots[id - 1];
  if (!slot?.enabled) return { code: T.CC_SLOT_NOT_ENABLED, slot: id };
  return { code: slotCommand(type, trb, slot), slot: id };
}

function slotCommand(type: number, trb: T.Trb, slot: DeviceSlot): number {
  switch (type) {
    case T.T_DISABLE_SLOT:
      slot.disable();
      return T.CC_SUCCESS;
    case T.T_ADDRESS_DEVICE:
      return slot.address(address(trb), (trb.control & T.BLOCK_ADDRESS) !== 0);
    case T.T_CONFIGURE_ENDPOINT:
      return slot.configure(address(trb), (trb.control & T.DECONFIGURE) !== 0);
    case T.T_EVALUATE_CONTEXT:
      return slot.evaluate(address(trb));
    case T.T_RESET_ENDPOINT:
      return slot.resetEndpoint(T.trbEndpoint(trb));
    case T.T_STOP_ENDPOINT:
      return slot.stopEndpoint(T.trbEndpoint(trb));
    case T.T_SET_DEQUEUE:
      return slot.setDequeue(T.trbEndpoint(trb), address(trb), trb.low & 1);
    case T.T_RESET_DEVICE:
      return slot.resetDevice();
    default:
      // Optional ones, and what is no command (section 4.6.1).
      return T.CC_TRB;
  }
}

const address = (trb: T.Trb): number => T.trbAddress(trb) - (trb.low & 0xf);
