/**
 * A virtio device on PCI, the "modern" interface only. Virtual I/O Device (VIRTIO) version 1.2, section 4.1.
 *
 * Two windows: the MSI-X tables (BAR 1), and 16 KiB (BAR 4) with common configuration at 0000h, interrupt status at 1000h, device configuration at
 * 2000h and notifications at 3000h (4 bytes a queue); a device may have them elsewhere (VirtioLayout). Interrupts: MSI-X with a vector a queue and one for configuration changes, else INTx with the status register.
 */
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Logger } from '../../util/logger.ts';
import type { ResetKind } from '../device.ts';
import type { MmioBus, MmioHandler, MmioRange } from '../mmiobus.ts';
import type { MessageSink } from '../pci/msi.ts';
import { CAPABILITY_MSIX, MSIX_CAPABILITY_BYTES, MSIX_WINDOW_BYTES, Msix } from '../pci/msix.ts';
import { PciDevice } from '../pci/pcidevice.ts';
import type { AccessSize } from '../portbus.ts';
import { CommonConfig, type CommonOwner } from './commonconfig.ts';
import { F_EVENT_IDX, F_INDIRECT_DESC, F_VERSION_1, STATUS_DRIVER_OK, STATUS_NEEDS_RESET } from './virtio.ts';
import { VirtQueue } from './virtqueue.ts';

export const VIRTIO_VENDOR = 0x1af4;
/** PCI device ids are this and the virtio device id (section 4.1.2). */
export const VIRTIO_DEVICE_BASE = 0x1040;
const SUBSYSTEM = 0x1100;

const CAPABILITY_VENDOR = 0x09;
/** Types of the vendor capability, section 4.1.4. */
const CAP_COMMON = 1;
const CAP_NOTIFY = 2;
const CAP_ISR = 3;
const CAP_DEVICE = 4;
const CAP_PCI = 5;
const CAP_BYTES = 16;
/** One that carries another word. */
const LONG_CAP_BYTES = 20;

const WINDOW_BYTES = 0x4000;
const DEVICE_AT = 0x2000;
const NOTIFY_AT = 0x3000;
const NOTIFY_MULTIPLIER = 4;
const COMMON_BYTES = 0x40;

const ISR_QUEUE = 1;
const ISR_CONFIG = 2;

export interface VirtioPciOptions {
  id: string;
  mmio: MmioBus;
  memory: GuestMemory;
  /** Where message signalled interrupts go. */
  message: MessageSink;
  log: Logger;
}

export interface VirtioIdentity {
  /** Virtio device id, section 5. */
  type: number;
  classCode: number;
  queues: number;
  /** Bits of the device itself; those of the transport come on top. */
  features: readonly number[];
  /** Bytes of device configuration. */
  configBytes: number;
  /** The usual one when absent. */
  layout?: VirtioLayout;
}

/** Where the windows of the device are. */
export interface VirtioLayout {
  msixBar: number;
  windowBar: number;
  /** Offsets in the window, below that of device configuration, 2000h. */
  common: number;
  isr: number;
  /** Registers of the device itself at the start of the window, 1000h bytes. */
  own?: MmioHandler;
}

const USUAL_LAYOUT: VirtioLayout = { msixBar: 1, windowBar: 4, common: 0, isr: 0x1000 };

export abstract class VirtioPciDevice extends PciDevice implements CommonOwner {
  readonly queues: readonly VirtQueue[];
  readonly msix: Msix;
  /** What the device configuration shows; the device keeps it up to date. */
  protected readonly deviceConfig: Uint8Array;
  protected readonly memory: GuestMemory;
  protected readonly log: Logger;
  private readonly common: CommonConfig;
  private isr = 0;
  private readonly layout: VirtioLayout;
  private readonly pciCap: number;
  private readonly ranges = new Map<number, MmioRange>();

  constructor(options: VirtioPciOptions, identity: VirtioIdentity) {
    super(options.id, {
      vendor: VIRTIO_VENDOR,
      device: VIRTIO_DEVICE_BASE + identity.type,
      revision: 1,
      classCode: identity.classCode,
      subsystemVendor: VIRTIO_VENDOR,
      subsystem: SUBSYSTEM,
      interruptPin: 1,
    });
    this.memory = options.memory;
    this.log = options.log;
    const layout = identity.layout ?? USUAL_LAYOUT;
    this.layout = layout;
    this.queues = Array.from({ length: identity.queues }, () => new VirtQueue(options.memory));
    this.deviceConfig = new Uint8Array(identity.configBytes);
    this.common = new CommonConfig(this, [...identity.features, F_INDIRECT_DESC, F_EVENT_IDX, F_VERSION_1]);
    this.msix = new Msix({
      device: this,
      config: this.config,
      writeMask: this.writeMask,
      at: this.addCapability(CAPABILITY_MSIX, MSIX_CAPABILITY_BYTES),
      bar: layout.msixBar,
      vectors: identity.queues + 1,
      sink: options.message,
    });
    this.window(CAP_COMMON, layout.common, COMMON_BYTES);
    this.window(CAP_ISR, layout.isr, 4);
    this.window(CAP_DEVICE, DEVICE_AT, identity.configBytes);
    const notify = this.window(CAP_NOTIFY, NOTIFY_AT, identity.queues * NOTIFY_MULTIPLIER, LONG_CAP_BYTES);
    new DataView(this.config.buffer).setUint32(notify + CAP_BYTES, NOTIFY_MULTIPLIER, true);
    this.pciCap = this.window(CAP_PCI, 0, 0, LONG_CAP_BYTES);
    // A window on the other windows, for software that can't map them: BAR, offset, length and the data itself.
    this.writeMask[this.pciCap + 4] = 0xff;
    this.writeMask.fill(0xff, this.pciCap + 8, this.pciCap + LONG_CAP_BYTES);
    this.addMemoryBar(options.mmio, layout.msixBar, MSIX_WINDOW_BYTES, {
      read: (offset, size) => this.msix.read(offset, size),
      write: (offset, value, size) => this.msix.write(offset, value, size),
    });
    this.addMemoryBar(options.mmio, layout.windowBar, WINDOW_BYTES, {
      read: (offset, size) => this.readWindow(offset, size),
      write: (offset, value, size) => this.writeWindow(offset, value, size),
    });
    this.seal();
  }

  /** The driver put requests into the queue. Only while it is allowed to (DRIVER_OK). */
  protected abstract queueNotified(queue: VirtQueue): void;
  /** The driver reset the device: whatever is under way must not touch its memory any more. */
  protected abstract driverReset(): void;
  /** The driver wrote the device configuration. */
  protected configurationWritten(_offset: number, _value: number, _size: number): void {}
  /** Features are agreed on. */
  protected negotiated(): void {}

  /** True when the driver took this feature. */
  hasFeature(bit: number): boolean {
    return this.common.hasFeature(bit);
  }

  get running(): boolean {
    return (this.common.status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET)) === STATUS_DRIVER_OK;
  }

  /** Tells the driver of what the queue gave back, if it wants to know. */
  protected interruptQueue(queue: VirtQueue): void {
    if (!queue.takeInterrupt()) return;
    if (this.msix.enabled) this.msix.send(queue.vector);
    else this.raise(ISR_QUEUE);
  }

  /** The device configuration has changed. */
  protected configChanged(): void {
    this.common.generation = (this.common.generation + 1) & 0xff;
    if (!this.running) return;
    this.interruptConfig();
  }

  /** The driver broke the rules: nothing works any more until it resets the device (section 2.1.2). */
  protected needsReset(reason: string): void {
    this.log.guest(`the driver of ${this.id} made a mistake: ${reason}`);
    const tell = this.running;
    this.common.status |= STATUS_NEEDS_RESET;
    if (tell) this.interruptConfig();
  }

  /** CommonConfig: the driver is ready. */
  driverReady(): void {
    for (const queue of this.queues) this.notified(queue);
  }

  /** CommonConfig: features are agreed on. */
  featuresAgreed(): void {
    for (const queue of this.queues) {
      queue.eventIndex = this.hasFeature(F_EVENT_IDX);
      queue.indirect = this.hasFeature(F_INDIRECT_DESC);
    }
    this.negotiated();
  }

  /** CommonConfig: the driver wrote 0 to the status. */
  resetByDriver(): void {
    this.common.reset();
    for (const queue of this.queues) queue.reset();
    this.isr = 0;
    this.setInterrupt(false);
    this.driverReset();
  }

  override reset(kind: ResetKind): void {
    super.reset(kind);
    this.msix.reset();
    this.resetByDriver();
    if (kind === 'power') this.common.generation = 0;
  }

  override save(): DeviceState {
    return {
      ...super.save(),
      common: this.common.save(),
      isr: this.isr,
      queues: this.queues.map((queue) => queue.save()),
      msix: this.msix.save(),
    };
  }

  override restore(state: DeviceState): void {
    super.restore(state);
    const reader = StateReader.open(state, this.id, 1);
    this.common.restore(reader.object('common'));
    this.isr = reader.byte('isr');
    reader.objects('queues', this.queues.length).forEach((queue, index) => {
      this.queues[index]!.restore(queue);
    });
    this.msix.restore(reader.object('msix'));
  }

  override readConfig(offset: number, size: number): number {
    if (offset >= this.pciCap + CAP_BYTES && offset < this.pciCap + LONG_CAP_BYTES) {
      const { at, size: length } = this.indirectAccess();
      if (at !== undefined) {
        const value = this.readWindow(at, length);
        for (let i = 0; i < 4; i++) this.config[this.pciCap + CAP_BYTES + i] = value >>> (8 * i);
      }
    }
    return super.readConfig(offset, size);
  }

  protected override configWritten(offset: number, size: number): void {
    if (offset < this.pciCap) this.msix.configWritten();
    if (offset + size <= this.pciCap + CAP_BYTES || offset >= this.pciCap + LONG_CAP_BYTES) return;
    const { at, size: length } = this.indirectAccess();
    if (at !== undefined) this.writeWindow(at, super.readConfig(this.pciCap + CAP_BYTES, length), length);
  }

  /** The driver, or somebody in its place, says that there are requests. */
  protected notified(queue: VirtQueue | undefined): void {
    if (!queue || !this.running) return;
    this.queueNotified(queue);
    if (queue.broken !== undefined) this.needsReset(queue.broken);
  }

  private raise(bit: number): void {
    this.isr |= bit;
    this.setInterrupt(true);
  }

  private interruptConfig(): void {
    if (this.msix.enabled) this.msix.send(this.common.configVector);
    else this.raise(ISR_CONFIG);
  }

  private readWindow(offset: number, size: AccessSize): number {
    const { common, isr, own } = this.layout;
    if (offset >= NOTIFY_AT) return 0;
    if (offset >= DEVICE_AT) {
      let value = 0;
      for (let i = 0; i < size; i++) value |= (this.deviceConfig[offset - DEVICE_AT + i] ?? 0) << (8 * i);
      return value >>> 0;
    }
    if (offset >= isr) {
      if (offset !== isr) return 0;
      const value = this.isr;
      this.isr = 0;
      this.setInterrupt(false);
      return value;
    }
    if (offset >= common) return this.common.read(offset - common, size);
    return own ? own.read(offset, size) : 0;
  }

  private writeWindow(offset: number, value: number, size: AccessSize): void {
    const { common, isr, own } = this.layout;
    if (offset >= NOTIFY_AT) this.notified(this.queues[Math.floor((offset - NOTIFY_AT) / NOTIFY_MULTIPLIER)]);
    else if (offset >= DEVICE_AT) this.configurationWritten(offset - DEVICE_AT, value, size);
    else if (offset >= isr) return;
    else if (offset >= common) this.common.write(offset - common, value, size);
    else own?.write(offset, value, size);
  }

  /** Where the access through configuration space goes, or undefined when it names nothing. */
  private indirectAccess(): { at: number | undefined; size: AccessSize } {
    const bar = super.readConfig(this.pciCap + 4, 1);
    const at = super.readConfig(this.pciCap + 8, 4);
    const size = super.readConfig(this.pciCap + 12, 4);
    const good = bar === this.layout.windowBar && (size === 1 || size === 2 || size === 4) && at % size === 0 && at + size <= WINDOW_BYTES;
    return { at: good ? at : undefined, size: good ? size : 4 };
  }

  private window(type: number, offset: number, length: number, bytes = CAP_BYTES): number {
    const at = this.addCapability(CAPABILITY_VENDOR, bytes);
    this.config[at + 2] = bytes;
    this.config[at + 3] = type;
    this.config[at + 4] = this.layout.windowBar;
    const view = new DataView(this.config.buffer, at);
    view.setUint32(8, offset, true);
    view.setUint32(12, length, true);
    return at;
  }

  private addMemoryBar(mmio: MmioBus, index: number, size: number, handler: MmioRange['handler']): void {
    this.addBar(index, {
      kind: 'memory',
      size,
      onMapped: (base) => {
        const range: MmioRange = { owner: this.id, base, length: size, handler };
        try {
          mmio.register(range);
          this.ranges.set(index, range);
        } catch {
          this.log.guest(`BAR ${index} at 0x${base.toString(16)} lies on another device`);
        }
      },
      onUnmapped: () => {
        const range = this.ranges.get(index);
        if (range) mmio.unregister(range);
        this.ranges.delete(index);
      },
    });
  }
}
