/** What the controller says of itself: capability registers and supported protocols, xHCI 1.2, sections 5.3 and 7.2. */
import { SEGMENTS_EXPONENT } from './eventring.ts';
import * as R from './xhciregisters.ts';

export const USB_CONNECTORS = 10;
/** A USB 3 and a USB 2 port of each connector. */
export const PORTS = 2 * USB_CONNECTORS;
export const SLOTS = PORTS;

/** `offset` from the begin of the registers. */
export function readCapability(offset: number): number {
  switch (offset) {
    case R.C_LENGTH_VERSION:
      return ((R.VERSION << 16) | R.OPERATIONAL_AT) >>> 0;
    case R.C_STRUCTURE1:
      return ((PORTS << 24) | (1 << 8) | SLOTS) >>> 0;
    case R.C_STRUCTURE2:
      return SEGMENTS_EXPONENT << 4;
    case R.C_CAPABILITY1:
      return ((R.EXTENDED_AT << 14) | R.CAP_64BIT) >>> 0;
    case R.C_DOORBELLS:
      return R.DOORBELLS_AT;
    case R.C_RUNTIME:
      return R.RUNTIME_AT;
    default:
      return 0;
  }
}

/** {id 2, next, revision}, "USB ", first port and count, slot type. */
const USB_NAME = 0x2042_5355;
const PROTOCOLS = [
  ...[0x0300_0402, USB_NAME, (USB_CONNECTORS << 8) | 1, 0],
  ...[0x0200_0002, USB_NAME, (USB_CONNECTORS << 8) | (USB_CONNECTORS + 1), 0],
];

/** `offset` from the first extended capability. */
export const readProtocol = (offset: number): number => PROTOCOLS[offset / 4] ?? 0;
