import {
  finishChecksum,
  startChecksum,
  TCP_CHECKSUM,
  transportParts,
  writeChecksums,
  LONGEST_FRAME,
  longTcp,
} from '../devices/net/offload.ts';
import { MAX_FRAME_BYTES, MIN_FRAME_BYTES } from '../backend/packet.ts';
import type { SwitchPort } from '../net/switch.ts';
import { Tap, TAP_HEADER_BYTES } from '../platform/tap.ts';

// struct virtio_net_hdr, in the order of the host's bytes, which is little endian wherever Node runs on Linux.
const FLAGS = 0;
const GSO_TYPE = 1;
const HEADER_LENGTH = 2;
const GSO_SIZE = 4;
const CHECKSUM_START = 6;
const CHECKSUM_OFFSET = 8;
/** The checksum is open from a place to the end; what it begins with is where it belongs. */
const NEEDS_CHECKSUM = 1;
const GSO_NONE = 0;
const GSO_TCPV4 = 1;
/** Beside the type: says only something of congestion bits. */
const GSO_ECN = 0x80;

/**
 * This computer's interface as one port of a switch. Between ports frames have their checksums, and TCP may be as long as a packet can be; the host is told what is
 * still to be cut, and what it leaves open is finished here.
 */
export class TapPort implements SwitchPort {
  private readonly tap: Tap;

  /** Throws as `Tap.open` does. `frame` comes from the host, and is there only during the call; `gone` comes once. */
  constructor(device: string, parts: { frame(frame: Uint8Array): void; gone(code: string): void }) {
    this.tap = Tap.open(device, {
      frame: (header, frame) => {
        if (finishFromHost(header, frame)) parts.frame(frame);
      },
      gone: (code) => parts.gone(code),
    });
  }

  send(frame: Uint8Array): void {
    const { header, frame: room } = this.tap.room;
    if (frame.length > room.length) return;
    room.set(frame);
    const sent = room.subarray(0, frame.length);
    if (prepareForHost(header, sent)) this.tap.send(frame.length);
  }

  close(): void {
    this.tap.close();
  }
}

/** Finishes what the host left open in a frame. False for one that can't go on. */
export function finishFromHost(header: DataView, frame: Uint8Array): boolean {
  if (frame.length < MIN_FRAME_BYTES || frame.length > MAX_FRAME_BYTES) return false;
  const gso = header.getUint8(GSO_TYPE) & ~GSO_ECN;
  if (gso === GSO_TCPV4) {
    const parts = transportParts(frame);
    if (!parts?.tcp) return false;
    writeChecksums(frame, parts);
    return true;
  }
  if (gso !== GSO_NONE) return false;
  if ((header.getUint8(FLAGS) & NEEDS_CHECKSUM) === 0) return true;
  const start = header.getUint16(CHECKSUM_START, true);
  return finishChecksum(frame, start, start + header.getUint16(CHECKSUM_OFFSET, true));
}

/** Says in the header how the host is to cut a long frame. False for one that nobody could: too long, and no TCP with a right checksum, which cutting would make right. */
export function prepareForHost(header: DataView, frame: Uint8Array): boolean {
  for (let at = 0; at < TAP_HEADER_BYTES; at++) header.setUint8(at, 0);
  if (frame.length <= LONGEST_FRAME) return frame.length >= MIN_FRAME_BYTES;
  const long = longTcp(frame);
  // Behind the packet nothing may follow: all of it would be cut up.
  if (long?.parts.end !== frame.length) return false;
  const { parts, headerBytes, mss } = long;
  startChecksum(frame, parts);
  header.setUint8(FLAGS, NEEDS_CHECKSUM);
  header.setUint8(GSO_TYPE, GSO_TCPV4);
  header.setUint16(HEADER_LENGTH, headerBytes, true);
  header.setUint16(GSO_SIZE, mss, true);
  header.setUint16(CHECKSUM_START, parts.transport, true);
  header.setUint16(CHECKSUM_OFFSET, TCP_CHECKSUM, true);
  return true;
}
