/**
 * Network card. Virtual I/O Device (VIRTIO) version 1.2, section 5.1.
 *
 * Queues: 0 receives, 1 sends, 2 commands. Every frame has a header before it: {u8 flags, u8 GSO type, u16 header length, u16 GSO size, u16 checksum start,
 * u16 checksum offset, u16 buffers}. A driver may leave checksums and the cutting of TCP into segments to the card, in both directions; then one
 * frame carries up to 64 KiB over the cable and through a queue.
 */
import { MAX_FRAME_BYTES, MIN_FRAME_BYTES, type PacketBackend } from '../../backend/packet.ts';
import { ROM_BAR } from '../../bus/pci/config.ts';
import { romBar } from '../../bus/pci/rombar.ts';
import type { ScatterList } from '../../bus/scatterlist.ts';
import { VIRTIO_DEVICE_BASE, VIRTIO_VENDOR, VirtioPciDevice, type VirtioPciOptions } from '../../bus/virtio/virtiopci.ts';
import type { Chain, VirtQueue } from '../../bus/virtio/virtqueue.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import { romOf } from '../../bus/pci/optionrom.ts';
import {
  startChecksum,
  TCP_CHECKSUM,
  finishChecksum,
  segmentTcp,
  tcpHeaderBytes,
  transportChecksumRight,
  transportParts,
  writeChecksums,
  LONGEST_FRAME,
  longTcp,
  type LongTcp,
} from './offload.ts';
import { ReceiveFilter } from './receivefilter.ts';

const TYPE_NETWORK = 1;
const CLASS_CODE = 0x020000;

// Feature bits, section 5.1.3.
const F_CSUM = 0;
const F_GUEST_CSUM = 1;
const F_MAC = 5;
const F_GUEST_TSO4 = 7;
const F_HOST_TSO4 = 11;
const F_MRG_RXBUF = 15;
const F_STATUS = 16;
const F_CTRL_VQ = 17;
const F_CTRL_RX = 18;
const F_CTRL_RX_EXTRA = 20;
const F_CTRL_MAC_ADDR = 23;
const FEATURES = [
  F_CSUM,
  F_GUEST_CSUM,
  F_MAC,
  F_GUEST_TSO4,
  F_HOST_TSO4,
  F_MRG_RXBUF,
  F_STATUS,
  F_CTRL_VQ,
  F_CTRL_RX,
  F_CTRL_RX_EXTRA,
  F_CTRL_MAC_ADDR,
] as const;

// Device configuration, section 5.1.4.
const CONFIG_BYTES = 8;
const STATUS = 6;
const STATUS_LINK_UP = 1;
const MAC_BYTES = 6;

const RECEIVE = 0;
const SEND = 1;

// The header of a frame, section 5.1.6.
const HEADER_BYTES = 12;
const NEEDS_CSUM = 1;
const DATA_VALID = 2;
const GSO_NONE = 0;
const GSO_TCPV4 = 1;
/** ECN comes on top. */
const GSO_TYPE = 0x7f;

// Commands, section 5.1.6.5.
const CLASS_RECEIVE = 0;
const CLASS_MAC = 1;
const MAC_TABLE_SET = 0;
const MAC_ADDRESS_SET = 1;
const OK = 0;
const ERR = 1;
const MAX_TABLE = 1024;
/** A queue of as many buffers, even of the smallest, holds the longest frame. */
const LONG_QUEUE = 128;
/** The longest command: two full tables. */
const MAX_COMMAND_BYTES = 2 + 2 * (4 + MAX_TABLE * MAC_BYTES);

export interface VirtioNetOptions extends VirtioPciOptions {
  cable: PacketBackend;
  /** Six bytes. */
  mac: Uint8Array;
  /** Expansion ROM; the card's own ids are put into it. */
  rom?: Uint8Array | undefined;
}

export class VirtioNet extends VirtioPciDevice {
  private readonly cable: PacketBackend;
  /** The address that the card was made with. */
  private readonly mac: Uint8Array;
  private readonly filter: ReceiveFilter;
  /** Header and frame under way. */
  private readonly room = new Uint8Array(HEADER_BYTES + MAX_FRAME_BYTES);
  /** What is left of a frame that was cut. */
  private readonly segments: Uint8Array[] = [];
  private readonly header = new DataView(this.room.buffer, 0, HEADER_BYTES);

  constructor(options: VirtioNetOptions) {
    super(options, { type: TYPE_NETWORK, classCode: CLASS_CODE, queues: 3, features: FEATURES, configBytes: CONFIG_BYTES });
    this.cable = options.cable;
    this.mac = options.mac.slice(0, MAC_BYTES);
    this.deviceConfig.set(this.mac);
    this.filter = new ReceiveFilter(this.deviceConfig.subarray(0, MAC_BYTES));
    if (options.rom)
      this.addBar(ROM_BAR, romBar(options.id, options.mmio, romOf(options.rom, VIRTIO_VENDOR, VIRTIO_DEVICE_BASE + TYPE_NETWORK)));
    this.showCarrier();
    this.cable.listen({
      arrived: () => this.arrived(),
      carrierChanged: () => {
        const known = this.deviceConfig[STATUS];
        this.showCarrier();
        if (this.deviceConfig[STATUS] !== known) this.configChanged();
      },
    });
  }

  override save(): DeviceState {
    return { ...super.save(), shown: this.deviceConfig.slice(), filter: this.filter.save() };
  }

  override restore(state: DeviceState): void {
    super.restore(state);
    const reader = StateReader.open(state, this.id, 1);
    // What the driver knows, also of a carrier that is not there any more: it is told once the machine is whole (PacketListener.carrierChanged).
    this.deviceConfig.set(reader.bytes('shown', CONFIG_BYTES));
    this.filter.restore(reader.object('filter'), MAX_TABLE);
    this.segments.length = 0;
  }

  protected driverReset(): void {
    this.deviceConfig.set(this.mac);
    this.filter.reset();
    this.segments.length = 0;
    while (this.cable.waiting) this.cable.take();
    this.showCarrier();
  }

  protected queueNotified(queue: VirtQueue): void {
    if (queue === this.queues[RECEIVE]) this.fill();
    else if (queue === this.queues[SEND]) this.sendAll(queue);
    else this.obeyAll(queue);
  }

  private showCarrier(): void {
    this.deviceConfig[STATUS] = this.cable.carrier ? STATUS_LINK_UP : 0;
  }

  /** A card that nobody drives lets frames fall. */
  private arrived(): void {
    if (this.running && this.queues[RECEIVE]!.enabled) this.notified(this.queues[RECEIVE]);
    else while (this.cable.waiting) this.cable.take();
  }

  /** Hands over what waits on the cable for as long as the driver has room. */
  private fill(): void {
    const queue = this.queues[RECEIVE]!;
    while (queue.broken === undefined) {
      const segment = this.segments[0];
      if (segment) {
        if (!this.place(queue, segment)) break;
        this.segments.shift();
        continue;
      }
      const frame = this.cable.waiting;
      if (!frame || (this.filter.takes(frame) && !this.receive(queue, frame))) break;
      this.cable.take();
    }
    this.interruptQueue(queue);
  }

  /** False when the driver has no room for it now. */
  private receive(queue: VirtQueue, frame: Uint8Array): boolean {
    if (frame.length <= LONGEST_FRAME) return this.place(queue, frame);
    const long = longTcp(frame);
    if (!long) return true;
    if (this.hasFeature(F_GUEST_TSO4) && this.place(queue, frame, long)) return true;
    // A queue that never holds so much gets it in pieces.
    if (this.hasFeature(F_GUEST_TSO4) && queue.size >= LONG_QUEUE) return false;
    segmentTcp(frame, long.mss, (segment) => this.segments.push(segment.slice()));
    return true;
  }

  /** Gives a frame to the driver; a `long` one as many TCP segments in one. False when there is no room now. */
  private place(queue: VirtQueue, frame: Uint8Array, long?: LongTcp): boolean {
    const need = HEADER_BYTES + frame.length;
    const chains: Chain[] = [];
    for (let room = 0; room < need; ) {
      const chain = queue.pop();
      if (!chain) {
        queue.putBack(chains.length);
        queue.askForNotification();
        return false;
      }
      chains.push(chain);
      room += chain.writable.bytes;
      if (chain.writable.bytes < HEADER_BYTES || (room < need && !this.hasFeature(F_MRG_RXBUF))) {
        queue.broken = `${chain.writable.bytes} bytes for a frame of ${frame.length}`;
        return true;
      }
    }
    const { header, room } = this;
    room.fill(0, 0, HEADER_BYTES);
    room.set(frame, HEADER_BYTES);
    header.setUint16(10, chains.length, true);
    if (long) {
      // The driver counts on the checksum of such a frame to be left to it, half done (section 5.1.6.4.1).
      const { transport } = long.parts;
      startChecksum(room.subarray(HEADER_BYTES, need), long.parts);
      header.setUint8(0, NEEDS_CSUM);
      header.setUint8(1, GSO_TCPV4);
      header.setUint16(2, long.headerBytes, true);
      header.setUint16(4, long.mss, true);
      header.setUint16(6, transport, true);
      header.setUint16(8, TCP_CHECKSUM, true);
    } else if (this.hasFeature(F_GUEST_CSUM)) {
      const parts = transportParts(frame);
      if (parts && transportChecksumRight(frame, parts)) header.setUint8(0, DATA_VALID);
    }
    let at = 0;
    for (const { head, writable } of chains) {
      const length = Math.min(writable.bytes, need - at);
      writable.put(0, room.subarray(at, at + length));
      queue.push(head, length);
      at += length;
    }
    return true;
  }

  private sendAll(queue: VirtQueue): void {
    let sent = false;
    for (let chain = queue.pop(); chain; chain = queue.pop()) {
      this.send(chain.readable);
      queue.push(chain.head, 0);
      sent = true;
    }
    if (sent) this.cable.flush();
    if (queue.broken !== undefined) return;
    queue.askForNotification();
    this.interruptQueue(queue);
  }

  private send(data: ScatterList): void {
    const length = data.bytes - HEADER_BYTES;
    if (length < MIN_FRAME_BYTES || length > MAX_FRAME_BYTES) {
      this.log.guest(`a frame of ${length} bytes`);
      return;
    }
    data.take(0, this.room.subarray(0, HEADER_BYTES + length));
    const { header } = this;
    const frame = this.room.subarray(HEADER_BYTES, HEADER_BYTES + length);
    const gso = header.getUint8(1) & GSO_TYPE;
    if (gso !== GSO_NONE) {
      const parts = transportParts(frame);
      if (gso !== GSO_TCPV4 || !this.hasFeature(F_HOST_TSO4) || !parts || tcpHeaderBytes(frame, parts) === undefined) {
        this.log.guest(`a frame to be cut in the way ${gso}, which can not be`);
        return;
      }
      // It goes on as it is: whoever takes it off the cable cuts it, if need be.
      writeChecksums(frame, parts);
    } else if (header.getUint8(0) & NEEDS_CSUM) {
      const start = header.getUint16(6, true);
      if (!this.hasFeature(F_CSUM) || !finishChecksum(frame, start, start + header.getUint16(8, true))) {
        this.log.guest('a checksum where none may be');
        return;
      }
    }
    this.cable.send(frame);
  }

  private obeyAll(queue: VirtQueue): void {
    for (let chain = queue.pop(); chain; chain = queue.pop()) {
      const { readable, writable, head } = chain;
      if (readable.bytes < 2 || writable.bytes < 1) {
        queue.broken = 'a command without words or answer';
        return;
      }
      const command = new Uint8Array(Math.min(readable.bytes, MAX_COMMAND_BYTES));
      readable.take(0, command);
      const done = readable.bytes <= MAX_COMMAND_BYTES && this.obey(command[0]!, command[1]!, command.subarray(2));
      writable.put(writable.bytes - 1, Uint8Array.of(done ? OK : ERR));
      queue.push(head, 1);
    }
    if (queue.broken !== undefined) return;
    queue.askForNotification();
    this.interruptQueue(queue);
  }

  private obey(kind: number, command: number, data: Uint8Array): boolean {
    if (kind === CLASS_RECEIVE) return this.setMode(command, data);
    if (kind !== CLASS_MAC) return false;
    if (command === MAC_ADDRESS_SET) {
      if (data.length !== MAC_BYTES || !this.hasFeature(F_CTRL_MAC_ADDR)) return false;
      this.deviceConfig.set(data);
      this.filter.macChanged();
      return true;
    }
    return command === MAC_TABLE_SET && this.setTables(data);
  }

  private setMode(command: number, data: Uint8Array): boolean {
    if (data.length !== 1) return false;
    const on = data[0] !== 0;
    const { filter } = this;
    if (command >= 2 && !this.hasFeature(F_CTRL_RX_EXTRA)) return false;
    if (command === 0) filter.promiscuous = on;
    else if (command === 1) filter.allMulticast = on;
    else if (command === 2) filter.allUnicast = on;
    else if (command === 3) filter.noMulticast = on;
    else if (command === 4) filter.noUnicast = on;
    else if (command === 5) filter.noBroadcast = on;
    else return false;
    return true;
  }

  /** {u32 count, addresses} for stations, then for groups. */
  private setTables(data: Uint8Array): boolean {
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    const tables: Uint8Array[] = [];
    let at = 0;
    for (let table = 0; table < 2; table++) {
      if (at + 4 > data.length) return false;
      const count = view.getUint32(at, true);
      const end = at + 4 + count * MAC_BYTES;
      if (count > MAX_TABLE || end > data.length) return false;
      tables.push(data.subarray(at + 4, end));
      at = end;
    }
    this.filter.setTables(tables[0]!, tables[1]!);
    return true;
  }
}
