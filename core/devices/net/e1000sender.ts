/**
 * What the 82540EM makes of transmit descriptors. SDM 317453, section 3.3: legacy ones, and those that say how checksums are to be made and TCP is to be cut
 * (a context), with the data that this is for.
 */
import { MAX_FRAME_BYTES, MIN_FRAME_BYTES } from '../../backend/packet.ts';
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { Logger } from '../../util/logger.ts';
import { finishChecksum, tcpHeaderBytes, transportParts, VLAN_BYTES, writeChecksums } from './offload.ts';

export const DESCRIPTOR_BYTES = 16;
// Commands, the highest byte of the third word.
const EOP = 0x01;
/** Insert a checksum, in a legacy descriptor; cut into segments, in another. */
const IC = 0x04;
const TSE = 0x04;
const RS = 0x08;
const DEXT = 0x20;
const VLE = 0x40;
const DD = 0x01;
const TYPE_CONTEXT = 0;
const TYPE_DATA = 1;
const TUCMD_TCP = 1;
const TUCMD_IP = 2;
const IXSM = 1;
const TXSM = 2;
const MAC_BYTES = 12;

export interface SenderParts {
  memory: GuestMemory;
  log: Logger;
  /** The tag that VLAN descriptors put into a frame begins with it; undefined while they put none. */
  vlanType(): number | undefined;
  send(frame: Uint8Array): void;
}

export class E1000Sender {
  private readonly parts: SenderParts;
  private readonly descriptor = new DataView(new ArrayBuffer(DESCRIPTOR_BYTES));
  private readonly bytes = new Uint8Array(this.descriptor.buffer);
  private readonly frame = new Uint8Array(MAX_FRAME_BYTES + VLAN_BYTES);
  private length = 0;
  /** The frame under way is longer than any. */
  private tooLong = false;
  /** Words of the context, and POPTS of the frame under way: its first data descriptor has them. */
  private context = [0, 0, 0, 0];
  private options = 0;

  constructor(parts: SenderParts) {
    this.parts = parts;
  }

  reset(): void {
    this.length = this.options = 0;
    this.tooLong = false;
    this.context = [0, 0, 0, 0];
  }

  /** Does what the descriptor at `gpa` says. True when its driver wants to be told. */
  take(gpa: number): boolean {
    const { descriptor } = this;
    this.parts.memory.read(gpa, this.bytes);
    const word = descriptor.getUint32(8, true);
    const command = word >>> 24;
    const type = (word >>> 20) & 15;
    const at = descriptor.getUint32(0, true) + descriptor.getUint32(4, true) * 2 ** 32;
    if (!(command & DEXT)) {
      this.add(at, word & 0xffff);
      if (command & EOP) this.finishLegacy(command, (word >>> 16) & 0xff, descriptor.getUint8(13));
    } else if (type === TYPE_CONTEXT) this.context = [0, 4, 8, 12].map((offset) => descriptor.getUint32(offset, true));
    else if (type === TYPE_DATA) {
      if (this.length === 0 && !this.tooLong) this.options = descriptor.getUint8(13);
      this.add(at, word & 0xf_ffff);
      if (command & EOP) this.finishData(command);
    }
    if (!(command & RS)) return false;
    this.parts.memory.write8(gpa + 12, descriptor.getUint8(12) | DD);
    return true;
  }

  save(): { [key: string]: StateValue } {
    const { length, tooLong, context, options } = this;
    return { frame: this.frame.slice(0, length), tooLong, context: [...context], options };
  }

  restore(state: StateReader): void {
    const frame = state.bytes('frame').subarray(0, MAX_FRAME_BYTES);
    this.frame.set(frame);
    this.length = frame.length;
    this.tooLong = state.boolean('tooLong');
    const words = state.numbers('context', 4);
    this.context = [0, 1, 2, 3].map((i) => (words[i] ?? 0) >>> 0);
    this.options = state.byte('options');
  }

  private add(gpa: number, length: number): void {
    if (this.length + length > MAX_FRAME_BYTES) this.tooLong = true;
    if (this.tooLong || length === 0) return;
    this.parts.memory.read(gpa, this.frame.subarray(this.length, this.length + length));
    this.length += length;
  }

  private finishLegacy(command: number, offset: number, start: number): void {
    const frame = this.whole();
    if (!frame) return;
    if (command & IC && offset) finishChecksum(frame, start, offset);
    this.send(frame, command);
  }

  private finishData(command: number): void {
    const { options } = this;
    const frame = this.whole();
    if (!frame) return;
    const [ip = 0, transport = 0, more = 0] = this.context;
    const kind = more >>> 24;
    if (command & TSE) {
      // Lengths in the headers are those of no segment yet.
      const start = ip & 0xff;
      if (kind & TUCMD_IP && start + 4 <= frame.length) {
        frame[start + 2] = (frame.length - start) >>> 8;
        frame[start + 3] = frame.length - start;
      }
      const parts = transportParts(frame);
      if (!(kind & TUCMD_TCP) || !parts || parts.ip !== start || tcpHeaderBytes(frame, parts) === undefined) {
        this.parts.log.guest('a packet to be cut that is no TCP over IPv4');
        return;
      }
      // It goes on as it is: whoever takes it off the cable cuts it, if need be.
      writeChecksums(frame, parts);
    } else {
      if (options & IXSM) finish(frame, ip);
      if (options & TXSM) finish(frame, transport);
    }
    this.send(frame, command);
  }

  /** The frame whose last piece has come; undefined when it is none. */
  private whole(): Uint8Array | undefined {
    const { length, tooLong } = this;
    this.length = this.options = 0;
    this.tooLong = false;
    if (!tooLong && length >= MIN_FRAME_BYTES) return this.frame.subarray(0, length);
    this.parts.log.guest(`a frame of ${tooLong ? 'too many' : length} bytes`);
    return undefined;
  }

  private send(frame: Uint8Array, command: number): void {
    const type = command & VLE ? this.parts.vlanType() : undefined;
    if (type === undefined || frame.length + VLAN_BYTES > MAX_FRAME_BYTES) {
      this.parts.send(frame);
      return;
    }
    const tag = this.descriptor.getUint16(14, true);
    this.frame.copyWithin(MAC_BYTES + VLAN_BYTES, MAC_BYTES, frame.length);
    this.frame.set([type >> 8, type & 0xff, tag >> 8, tag & 0xff], MAC_BYTES);
    this.parts.send(this.frame.subarray(0, frame.length + VLAN_BYTES));
  }
}

/** Makes the checksum that a word of a context describes: u8 start, u8 place, u16 last byte, 0 for the end. */
function finish(frame: Uint8Array, word: number): void {
  const last = word >>> 16;
  finishChecksum(frame, word & 0xff, (word >>> 8) & 0xff, last ? Math.min(last + 1, frame.length) : frame.length);
}
