/**
 * Gigabit Ethernet controller 82540EM, 8086:100E. Intel "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual" 317453.
 *
 * Registers in 128 KiB of memory (BAR 0), and through an address and a data port (BAR 1). Frames that come wait on the cable while the driver has no room,
 * where the chip would lose them. Delays of single interrupts (RDTR, TIDV) are none; their rate is limited by ITR alone.
 */
import { MIN_FRAME_BYTES, type PacketBackend } from '../../backend/packet.ts';
import type { ResetKind } from '../../bus/device.ts';
import type { MmioBus, MmioRange } from '../../bus/mmiobus.ts';
import { ROM_BAR } from '../../bus/pci/config.ts';
import { PciDevice } from '../../bus/pci/pcidevice.ts';
import { romBar } from '../../bus/pci/rombar.ts';
import type { PortBus, PortRange } from '../../bus/portbus.ts';
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Clock, Timer } from '../../util/clock.ts';
import type { Logger } from '../../util/logger.ts';
import { E1000Eeprom } from './e1000eeprom.ts';
import { E1000Phy } from './e1000phy.ts';
import * as R from './e1000registers.ts';
import { DESCRIPTOR_BYTES, E1000Sender } from './e1000sender.ts';
import { LONGEST_FRAME, longTcp, segmentTcp, transportChecksumRight, transportParts, VLAN_BYTES } from './offload.ts';

const MEMORY_BYTES = 0x2_0000;
const PORT_BYTES = 64;
const FCS_BYTES = 4;
/** Shorter frames are filled up with zeros. */
const SHORTEST = 60;
/** Of ITR, nanoseconds. */
const ITR_NS = 256;
/** The sixteen address pairs; bit 31 of the higher word makes one valid. */
const ADDRESS_VALID = 0x8000_0000;

// Receive descriptor, section 3.2.3: u64 address, u16 length, u16 checksum, u8 status, u8 errors, u16 tag.
const RX_DD = 1;
const RX_EOP = 2;
const RX_IXSM = 4;
const RX_VP = 8;
const RX_TCPCS = 0x20;
const RX_IPCS = 0x40;
const RX_TCPE = 0x20;
const LONGEST_JUMBO = 16_384 - FCS_BYTES;

export interface E1000Options {
  id: string;
  mmio: MmioBus;
  ports: PortBus;
  memory: GuestMemory;
  clock: Clock;
  cable: PacketBackend;
  /** Six bytes. */
  mac: Uint8Array;
  /** Expansion ROM. */
  rom?: Uint8Array | undefined;
  log: Logger;
}

export class E1000 extends PciDevice {
  private readonly memory: GuestMemory;
  private readonly cable: PacketBackend;
  private readonly clock: Clock;
  private readonly mac: Uint8Array;
  private readonly registers = new Uint32Array(R.REGISTER_BYTES / 4);
  private readonly eeprom: E1000Eeprom;
  private readonly phy = new E1000Phy();
  private readonly sender: E1000Sender;
  /** What is left of a frame that was cut. */
  private readonly segments: Uint8Array[] = [];
  private readonly room = new Uint8Array(LONGEST_JUMBO + FCS_BYTES);
  /** Register that the data port is. */
  private portAddress = 0;
  /** The driver knows of the link. */
  private link = false;
  /** Until then no interrupt begins. */
  private quietUntil = 0;
  private readonly throttle: Timer;
  /** The interrupt line is high. */
  private raised = false;
  private range: MmioRange | undefined;
  private portRange: PortRange | undefined;

  constructor(options: E1000Options) {
    super(options.id, {
      vendor: 0x8086,
      device: 0x100e,
      revision: 2,
      classCode: 0x020000,
      subsystemVendor: 0x1af4,
      subsystem: 0x1100,
      interruptPin: 1,
    });
    this.memory = options.memory;
    this.cable = options.cable;
    this.clock = options.clock;
    this.mac = options.mac;
    this.eeprom = new E1000Eeprom(options.mac);
    this.throttle = options.clock.createTimer(() => this.updateInterrupt());
    this.sender = new E1000Sender({
      memory: options.memory,
      log: options.log,
      vlanType: () => (this.get(R.CTRL) & R.CTRL_VME ? this.get(R.VET) : undefined),
      send: (frame) => {
        this.count(R.GPTC, R.TPT, R.GOTC, frame.length);
        this.cable.send(frame);
      },
    });
    this.addMemory(options);
    this.addPorts(options);
    if (options.rom) this.addBar(ROM_BAR, romBar(options.id, options.mmio, options.rom));
    this.seal();
    this.resetChip();
    this.cable.listen({
      arrived: () => this.receiveAll(),
      carrierChanged: () => {
        if (this.cable.carrier !== this.link) this.linkChanged();
      },
    });
  }

  override reset(kind: ResetKind): void {
    super.reset(kind);
    this.portAddress = 0;
    this.phy.reset();
    this.resetChip();
  }

  override save(): DeviceState {
    const { link, portAddress } = this;
    return {
      ...super.save(),
      registers: new Uint8Array(this.registers.slice().buffer),
      eeprom: this.eeprom.save(),
      phy: this.phy.save(),
      sender: this.sender.save(),
      link,
      portAddress,
      quietNs: Math.max(0, this.quietUntil - this.clock.now()),
    };
  }

  override restore(state: DeviceState): void {
    super.restore(state);
    const reader = StateReader.open(state, this.id, 1);
    this.registers.set(new Uint32Array(reader.bytes('registers', R.REGISTER_BYTES).slice().buffer));
    this.eeprom.restore(reader.object('eeprom'));
    this.phy.restore(reader.object('phy'));
    this.sender.restore(reader.object('sender'));
    this.portAddress = reader.number('portAddress', 0, 0xffff_ffff);
    // What the driver knows, also of a carrier that is not there any more: it is told once the machine is whole (PacketListener.carrierChanged).
    this.link = reader.boolean('link');
    this.phy.setLink(this.link);
    this.segments.length = 0;
    this.raised = reader.boolean('interrupt');
    this.quietUntil = this.clock.now() + reader.number('quietNs', 0, 0xffff * ITR_NS);
    this.updateInterrupt();
  }

  private get(register: number): number {
    return this.registers[register >> 2]!;
  }

  private set(register: number, value: number): void {
    this.registers[register >> 2] = value;
  }

  /** CTRL.RST, and power on: everything but the PHY and PCI configuration. */
  private resetChip(): void {
    this.registers.fill(0);
    this.set(R.STATUS, R.STATUS_FD | R.STATUS_SPEED);
    this.set(R.CTRL, R.CTRL_SLU | 1);
    this.set(R.PBA, 0x10_0030);
    this.set(R.VET, 0x8100);
    this.set(R.RAL, (this.mac[0]! | (this.mac[1]! << 8) | (this.mac[2]! << 16) | (this.mac[3]! << 24)) >>> 0);
    this.set(R.RAL + 4, (this.mac[4]! | (this.mac[5]! << 8) | ADDRESS_VALID) >>> 0);
    this.eeprom.reset();
    this.sender.reset();
    this.segments.length = 0;
    while (this.cable.waiting) this.cable.take();
    this.throttle.disarm();
    this.quietUntil = 0;
    this.raised = false;
    this.setInterrupt(false);
    this.showLink();
  }

  private showLink(): void {
    this.link = this.cable.carrier;
    this.phy.setLink(this.link);
    const status = this.get(R.STATUS);
    this.set(R.STATUS, this.link ? status | R.STATUS_LU : status & ~R.STATUS_LU);
  }

  private linkChanged(): void {
    this.showLink();
    this.cause(R.ICR_LSC);
  }

  /** A 32-bit register at a multiple of 4. */
  private read(offset: number): number {
    switch (offset) {
      case R.EECD:
        return this.eeprom.readEecd();
      case R.EERD:
        return this.eeprom.eerdValue;
      case R.MDIC:
        return this.phy.mdicValue;
      case R.ICR: {
        const causes = this.get(R.ICR);
        this.set(R.ICR, 0);
        this.updateInterrupt();
        return causes;
      }
      case R.ICS:
        return this.get(R.ICR);
      case R.IMC:
        return 0;
      default: {
        if (offset >= R.REGISTER_BYTES) return 0;
        const value = this.get(offset);
        if (offset >= R.STATISTICS && offset < R.STATISTICS_END) this.set(offset, 0);
        return value;
      }
    }
  }

  private write(offset: number, value: number): void {
    switch (offset) {
      case R.CTRL:
        this.writeControl(value);
        break;
      case R.EECD:
        this.eeprom.writeEecd(value);
        break;
      case R.EERD:
        this.eeprom.writeEerd(value);
        break;
      case R.MDIC:
        this.phy.writeMdic(value);
        // Bit 29 asks for an interrupt.
        if (value & (1 << 29)) this.cause(R.ICR_MDAC);
        break;
      case R.ICR:
        this.set(R.ICR, this.get(R.ICR) & ~value);
        this.updateInterrupt();
        break;
      case R.ICS:
        this.cause(value & 0x1_ffff);
        break;
      case R.IMS:
        this.set(R.IMS, this.get(R.IMS) | (value & 0x1_ffff));
        this.updateInterrupt();
        break;
      case R.IMC:
        this.set(R.IMS, this.get(R.IMS) & ~value);
        this.updateInterrupt();
        break;
      default:
        this.writePlain(offset, value);
    }
  }

  private writePlain(offset: number, value: number): void {
    const table = (offset >= R.MTA && offset < R.RA_END) || (offset >= R.VFTA && offset < R.VFTA_END);
    const mask = table ? 0xffff_ffff : R.plainRegisters.get(offset);
    if (mask === undefined) return;
    this.set(offset, value & mask);
    if (offset === R.TDT || offset === R.TCTL) this.sendAll();
    else if (offset === R.RDT || offset === R.RCTL) this.receiveAll();
  }

  private writeControl(value: number): void {
    if (value & R.CTRL_RST) {
      this.resetChip();
      return;
    }
    if (value >= R.CTRL_PHY_RST) this.phy.reset();
    this.set(R.CTRL, value & 0x7fff_ffff & ~R.CTRL_RST);
  }

  private cause(bits: number): void {
    this.set(R.ICR, this.get(R.ICR) | bits);
    this.updateInterrupt();
  }

  /** The line is high while a cause is not masked, but does not rise again before the time that ITR sets is over. */
  private updateInterrupt(): void {
    if (!(this.get(R.ICR) & this.get(R.IMS))) {
      this.throttle.disarm();
      this.raised = false;
      this.setInterrupt(false);
      return;
    }
    if (this.raised) return;
    const now = this.clock.now();
    if (now < this.quietUntil) {
      this.throttle.arm(this.quietUntil);
      return;
    }
    this.quietUntil = now + this.get(R.ITR) * ITR_NS;
    this.raised = true;
    this.setInterrupt(true);
  }

  private sendAll(): void {
    const count = this.get(R.TDLEN) / DESCRIPTOR_BYTES;
    if (!(this.get(R.TCTL) & R.TCTL_EN) || count === 0 || !this.busMaster) return;
    const base = this.get(R.TDBAL) + this.get(R.TDBAH) * 2 ** 32;
    const tail = this.get(R.TDT);
    let head = this.get(R.TDH);
    if (head === tail) return;
    let causes = R.ICR_TXQE;
    // Once round at most: a tail beyond the ring is never reached.
    for (let done = 0; head !== tail && done < count; done++) {
      if (this.sender.take(base + head * DESCRIPTOR_BYTES)) causes |= R.ICR_TXDW;
      head = head + 1 >= count ? 0 : head + 1;
    }
    this.set(R.TDH, head);
    this.cable.flush();
    this.cause(causes);
  }

  /** Hands over what waits on the cable for as long as the driver has room. A card that nobody drives lets it fall. */
  private receiveAll(): void {
    const control = this.get(R.RCTL);
    const usable = (control & R.RCTL_EN) !== 0 && this.busMaster && this.get(R.RDLEN) > 0;
    let received = false;
    for (;;) {
      const segment = this.segments[0];
      if (segment) {
        if (!usable) this.segments.length = 0;
        else if (!this.place(segment)) break;
        else {
          this.segments.shift();
          received = true;
        }
        continue;
      }
      const frame = this.cable.waiting;
      if (!frame) break;
      if (usable && this.takes(frame, control)) {
        const done = this.receive(frame, control);
        if (done === 'full') break;
        received ||= done === 'placed';
      }
      this.cable.take();
    }
    if (!received) return;
    const few = this.free <= (this.get(R.RDLEN) / DESCRIPTOR_BYTES) >> (((control >> 8) & 3) + 1);
    this.cause(R.ICR_RXT0 | (few ? R.ICR_RXDMT0 : 0));
  }

  private receive(frame: Uint8Array, control: number): 'placed' | 'full' | 'dropped' {
    if (frame.length <= LONGEST_FRAME || (control & R.RCTL_LPE && frame.length <= LONGEST_JUMBO))
      return this.place(frame) ? 'placed' : 'full';
    const long = longTcp(frame);
    if (long) segmentTcp(frame, long.mss, (segment) => this.segments.push(segment.slice()));
    return 'dropped';
  }

  /** Descriptors that the driver has given and that are not used. */
  private get free(): number {
    const count = this.get(R.RDLEN) / DESCRIPTOR_BYTES;
    const head = this.get(R.RDH);
    const tail = this.get(R.RDT);
    if (count === 0 || head >= count || tail >= count) return 0;
    return (tail - head + count) % count;
  }

  /** Gives a frame to the driver, over several buffers if need be. False when there is no room now. */
  private place(frame: Uint8Array): boolean {
    const control = this.get(R.RCTL);
    const buffer = bufferBytes(control);
    const { room } = this;
    let length = frame.length;
    let tag: number | undefined;
    if (this.get(R.CTRL) & R.CTRL_VME && frame.length >= 18 && ((frame[12]! << 8) | frame[13]!) === this.get(R.VET)) {
      tag = (frame[14]! << 8) | frame[15]!;
      room.set(frame.subarray(0, 12));
      room.set(frame.subarray(12 + VLAN_BYTES), 12);
      length -= VLAN_BYTES;
    } else room.set(frame);
    const padded = Math.max(length, SHORTEST);
    // Of the FCS, which nobody has worked out, there are four zeros where the driver wants one.
    const total = padded + (control & R.RCTL_SECRC ? 0 : FCS_BYTES);
    room.fill(0, length, total);
    // What a ring never holds is lost.
    if ((this.get(R.RDLEN) / DESCRIPTOR_BYTES - 1) * buffer < total) return true;
    if (this.free * buffer < total) return false;
    const { status, errors } = this.checked(room.subarray(0, length));
    const count = this.get(R.RDLEN) / DESCRIPTOR_BYTES;
    const base = this.get(R.RDBAL) + this.get(R.RDBAH) * 2 ** 32;
    let head = this.get(R.RDH);
    for (let at = 0; at < total; at += buffer) {
      const gpa = base + head * DESCRIPTOR_BYTES;
      const piece = Math.min(buffer, total - at);
      const last = at + piece === total;
      this.memory.write(this.memory.read32(gpa) + this.memory.read32(gpa + 4) * 2 ** 32, room.subarray(at, at + piece));
      this.memory.write32(gpa + 8, piece);
      const word = RX_DD | (last ? RX_EOP | status | (tag === undefined ? 0 : RX_VP) | (errors << 8) : RX_IXSM) | ((tag ?? 0) << 16);
      this.memory.write32(gpa + 12, word);
      head = head + 1 >= count ? 0 : head + 1;
    }
    this.set(R.RDH, head);
    this.count(R.GPRC, R.TPR, R.GORC, total);
    return true;
  }

  /** What the chip says of a frame's checksums. */
  private checked(frame: Uint8Array): { status: number; errors: number } {
    const control = this.get(R.RXCSUM);
    const parts = control & R.RXCSUM_TUOFLD ? transportParts(frame) : undefined;
    if (!parts || (!parts.tcp && frame[parts.transport + 6] === 0 && frame[parts.transport + 7] === 0))
      return { status: RX_IXSM, errors: 0 };
    const right = transportChecksumRight(frame, parts);
    return { status: RX_TCPCS | (control & R.RXCSUM_IPOFLD ? RX_IPCS : 0), errors: right ? 0 : RX_TCPE };
  }

  /** Section 3.2.1. */
  private takes(frame: Uint8Array, control: number): boolean {
    if (control & R.RCTL_VFE && ((frame[12]! << 8) | frame[13]!) === this.get(R.VET)) {
      if (frame.length < MIN_FRAME_BYTES + VLAN_BYTES) return false;
      const vlan = ((frame[14]! & 15) << 8) | frame[15]!;
      if (!(this.get(R.VFTA + (vlan >> 5) * 4) & (1 << (vlan & 31)))) return false;
    }
    const group = (frame[0]! & 1) !== 0;
    if (control & (group ? R.RCTL_MPE : R.RCTL_UPE)) return true;
    const low = (frame[0]! | (frame[1]! << 8) | (frame[2]! << 16) | (frame[3]! << 24)) >>> 0;
    const high = frame[4]! | (frame[5]! << 8);
    if (low === 0xffff_ffff && high === 0xffff && control & R.RCTL_BAM) return true;
    for (let at = R.RAL; at < R.RA_END; at += 8) {
      const top = this.get(at + 4);
      if (top >= ADDRESS_VALID && this.get(at) === low && (top & 0xffff) === high) return true;
    }
    if (!group) return false;
    const shift = [4, 3, 2, 0][(control >> 12) & 3]!;
    const hash = (high >> shift) & 0xfff;
    return (this.get(R.MTA + (hash >> 5) * 4) & (1 << (hash & 31))) !== 0;
  }

  /** A frame of so many bytes, in two counters of frames and one of bytes. */
  private count(good: number, all: number, octets: number, bytes: number): void {
    this.set(good, this.get(good) + 1);
    this.set(all, this.get(all) + 1);
    const sum = this.get(octets) + bytes;
    this.set(octets, sum);
    if (sum > 0xffff_ffff) this.set(octets + 4, this.get(octets + 4) + 1);
  }

  private addMemory({ mmio, log }: E1000Options): void {
    this.addBar(0, {
      kind: 'memory',
      size: MEMORY_BYTES,
      onMapped: (base) => {
        const range: MmioRange = {
          owner: this.id,
          base,
          length: MEMORY_BYTES,
          handler: {
            read: (offset, size) => {
              const word = this.read(offset & ~3);
              return size === 4 ? word : (word >>> ((offset & 3) * 8)) & (size === 2 ? 0xffff : 0xff);
            },
            // Registers are written as a whole (section 13.1).
            write: (offset, value, size) => {
              if (size === 4) this.write(offset, value);
            },
          },
        };
        try {
          mmio.register(range);
          this.range = range;
        } catch {
          log.guest(`BAR 0 at 0x${base.toString(16)} lies on another device`);
        }
      },
      onUnmapped: () => {
        if (this.range) mmio.unregister(this.range);
        this.range = undefined;
      },
    });
  }

  /** IOADDR and IODATA, section 13.1.2. */
  private addPorts({ ports, log }: E1000Options): void {
    this.addBar(1, {
      kind: 'io',
      size: PORT_BYTES,
      onMapped: (base) => {
        const range: PortRange = {
          owner: this.id,
          base,
          length: PORT_BYTES,
          maxSize: 4,
          handler: {
            read: (offset, size) => {
              const word =
                offset < 4 ? this.portAddress : offset < 8 && this.portAddress < MEMORY_BYTES ? this.read(this.portAddress & ~3) : 0;
              return size === 4 ? word : (word >>> ((offset & 3) * 8)) & (size === 2 ? 0xffff : 0xff);
            },
            write: (offset, value, size) => {
              if (size !== 4) return;
              if (offset === 0) this.portAddress = value;
              else if (offset === 4 && this.portAddress < MEMORY_BYTES) this.write(this.portAddress & ~3, value);
            },
          },
        };
        try {
          ports.register(range);
          this.portRange = range;
        } catch {
          log.guest(`BAR 1 at 0x${base.toString(16)} lies on another device's ports`);
        }
      },
      onUnmapped: () => {
        if (this.portRange) ports.unregister(this.portRange);
        this.portRange = undefined;
      },
    });
  }
}

/** RCTL.BSIZE and BSEX. */
function bufferBytes(control: number): number {
  const size = (control >> 16) & 3;
  if (!(control & R.RCTL_BSEX)) return 2048 >> size;
  return size === 0 ? 2048 : 32_768 >> size;
}
