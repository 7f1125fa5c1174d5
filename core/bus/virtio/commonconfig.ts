/** The common configuration structure of virtio on PCI, and what negotiation does. Virtual I/O Device (VIRTIO) version 1.2, sections 3.1 and 4.1.4.3. */
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { Msix } from '../pci/msix.ts';
import { F_VERSION_1, STATUS_DRIVER_OK, STATUS_FEATURES_OK, STATUS_NEEDS_RESET } from './virtio.ts';
import { type VirtQueue, validQueueSize } from './virtqueue.ts';

const DEVICE_FEATURE_SELECT = 0x00;
const DEVICE_FEATURE = 0x04;
const DRIVER_FEATURE_SELECT = 0x08;
const DRIVER_FEATURE = 0x0c;
const CONFIG_VECTOR = 0x10;
const NUM_QUEUES = 0x12;
const DEVICE_STATUS = 0x14;
const CONFIG_GENERATION = 0x15;
const QUEUE_SELECT = 0x16;
const QUEUE_SIZE_AT = 0x18;
const QUEUE_VECTOR = 0x1a;
const QUEUE_ENABLE = 0x1c;
const QUEUE_NOTIFY_OFF = 0x1e;
const QUEUE_DESC = 0x20;
const QUEUE_DRIVER = 0x28;
const QUEUE_DEVICE = 0x30;
const NO_VECTOR = 0xffff;

export interface CommonOwner {
  readonly queues: readonly VirtQueue[];
  readonly msix: Msix;
  featuresAgreed(): void;
  driverReady(): void;
  resetByDriver(): void;
}

export class CommonConfig {
  status = 0;
  generation = 0;
  configVector = NO_VECTOR;
  private readonly owner: CommonOwner;
  /** Offered and accepted features, 64 bits as two words. */
  private readonly offered = new Uint32Array(2);
  private readonly accepted = new Uint32Array(2);
  private deviceSelect = 0;
  private driverSelect = 0;
  private queueSelect = 0;

  constructor(owner: CommonOwner, features: readonly number[]) {
    this.owner = owner;
    for (const bit of features) this.offered[bit >> 5]! |= 1 << (bit & 31);
  }

  hasFeature(bit: number): boolean {
    return (this.accepted[bit >> 5]! & (1 << (bit & 31))) !== 0;
  }

  reset(): void {
    this.status = 0;
    this.configVector = NO_VECTOR;
    this.accepted.fill(0);
    this.deviceSelect = this.driverSelect = this.queueSelect = 0;
  }

  /** Any width; fields are little-endian and lie one after the other. */
  read(offset: number, size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.readByte(offset + i) << (8 * i);
    return value >>> 0;
  }

  /** Drivers write each field with its own width (section 4.1.3.1); the halves of 64-bit ones by themselves. */
  write(offset: number, value: number, size: number): void {
    if (size === 4 && offset >= CONFIG_VECTOR && offset < QUEUE_DESC) return;
    const queue = this.owner.queues[this.queueSelect];
    switch (offset) {
      case DEVICE_FEATURE_SELECT:
        if (size === 4) this.deviceSelect = value;
        break;
      case DRIVER_FEATURE_SELECT:
        if (size === 4) this.driverSelect = value;
        break;
      case DRIVER_FEATURE:
        if (size === 4 && this.driverSelect < 2 && !(this.status & STATUS_FEATURES_OK)) this.accepted[this.driverSelect] = value;
        break;
      case CONFIG_VECTOR:
        if (size === 2) this.configVector = this.vector(value);
        break;
      case DEVICE_STATUS:
        if (size === 1) this.writeStatus(value);
        break;
      case QUEUE_SELECT:
        if (size === 2) this.queueSelect = value;
        break;
      default:
        if (queue) this.writeQueue(queue, offset, value, size);
    }
  }

  save(): { [key: string]: StateValue } {
    const { status, generation, configVector, deviceSelect, driverSelect, queueSelect } = this;
    return { status, generation, configVector, accepted: [...this.accepted], deviceSelect, driverSelect, queueSelect };
  }

  restore(state: StateReader): void {
    this.status = state.byte('status');
    this.generation = state.byte('generation');
    this.configVector = state.number('configVector', 0, NO_VECTOR);
    const accepted = state.numbers('accepted', 2);
    this.accepted.set(this.offered.map((offered, index) => offered & (accepted[index] ?? 0)));
    this.deviceSelect = state.number('deviceSelect', 0, 0xffffffff);
    this.driverSelect = state.number('driverSelect', 0, 0xffffffff);
    this.queueSelect = state.number('queueSelect', 0, 0xffff);
  }

  private writeStatus(value: number): void {
    if (value === 0) {
      this.owner.resetByDriver();
      return;
    }
    const before = this.status;
    // The driver can't take bits back but by a reset, and NEEDS_RESET is the device's.
    let next = before | (value & ~STATUS_NEEDS_RESET);
    if (next & STATUS_FEATURES_OK && !(before & STATUS_FEATURES_OK)) {
      const fits = this.accepted.every((word, index) => (word & ~this.offered[index]!) === 0);
      if (fits && this.hasFeature(F_VERSION_1)) this.owner.featuresAgreed();
      else next &= ~STATUS_FEATURES_OK;
    }
    // Without agreement there is nothing to be ready for.
    if (!(next & STATUS_FEATURES_OK)) next &= ~STATUS_DRIVER_OK;
    this.status = next & 0xff;
    if (next & STATUS_DRIVER_OK && !(before & STATUS_DRIVER_OK)) this.owner.driverReady();
  }

  private writeQueue(queue: VirtQueue, offset: number, value: number, size: number): void {
    if (offset === QUEUE_VECTOR && size === 2) queue.vector = this.vector(value);
    else if (offset === QUEUE_ENABLE && size === 2) {
      if (value === 1) queue.enabled = true;
    } else if (queue.enabled) return;
    else if (offset === QUEUE_SIZE_AT && size === 2) {
      if (validQueueSize(value)) queue.size = value;
    } else if (size !== 4) return;
    else if (offset >= QUEUE_DEVICE && offset < QUEUE_DEVICE + 8) queue.device = replaceHalf(queue.device, offset, value);
    else if (offset >= QUEUE_DRIVER && offset < QUEUE_DRIVER + 8) queue.driver = replaceHalf(queue.driver, offset, value);
    else if (offset >= QUEUE_DESC && offset < QUEUE_DESC + 8) queue.descriptors = replaceHalf(queue.descriptors, offset, value);
  }

  /** A vector that does not exist reads back as none, which tells the driver (section 4.1.5.1.2). */
  private vector(value: number): number {
    return value < this.owner.msix.vectors ? value : NO_VECTOR;
  }

  private readByte(offset: number): number {
    const [at, value] = this.field(offset);
    return Math.floor(value / 2 ** (8 * (offset - at))) & 0xff;
  }

  /** The field that holds `offset`: where it begins, and its value. */
  private field(offset: number): [number, number] {
    if (offset < CONFIG_VECTOR) {
      const at = offset & ~3;
      if (at === DEVICE_FEATURE_SELECT) return [at, this.deviceSelect];
      if (at === DEVICE_FEATURE) return [at, this.offered[this.deviceSelect] ?? 0];
      return [at, at === DRIVER_FEATURE_SELECT ? this.driverSelect : (this.accepted[this.driverSelect] ?? 0)];
    }
    if (offset === DEVICE_STATUS) return [offset, this.status];
    if (offset === CONFIG_GENERATION) return [offset, this.generation];
    const queue = this.owner.queues[this.queueSelect];
    if (offset >= QUEUE_DESC) {
      const at = offset & ~7;
      return [
        at,
        at === QUEUE_DESC
          ? (queue?.descriptors ?? 0)
          : at === QUEUE_DRIVER
            ? (queue?.driver ?? 0)
            : at === QUEUE_DEVICE
              ? (queue?.device ?? 0)
              : 0,
      ];
    }
    const at = offset & ~1;
    switch (at) {
      case CONFIG_VECTOR:
        return [at, this.configVector];
      case NUM_QUEUES:
        return [at, this.owner.queues.length];
      case QUEUE_SELECT:
        return [at, this.queueSelect];
      case QUEUE_SIZE_AT:
        // 0 says that there is no such queue.
        return [at, queue ? queue.size : 0];
      case QUEUE_VECTOR:
        return [at, queue ? queue.vector : NO_VECTOR];
      case QUEUE_ENABLE:
        return [at, queue?.enabled ? 1 : 0];
      case QUEUE_NOTIFY_OFF:
        return [at, queue ? this.queueSelect : 0];
      default:
        return [at, 0];
    }
  }
}

/** A 64-bit address with one of its halves replaced; what a double can't hold is no address anyway. */
function replaceHalf(value: number, offset: number, half: number): number {
  const low = value % 2 ** 32;
  return offset & 4 ? low + half * 2 ** 32 : value - low + half;
}
