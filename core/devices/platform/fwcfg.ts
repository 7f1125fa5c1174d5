import type { Device, ResetKind } from '../../bus/device.ts';
import type { PortBus } from '../../bus/portbus.ts';
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import { HypervueError } from '../../util/errors.ts';
import type { Logger } from '../../util/logger.ts';

/*
 * QEMU firmware configuration device (QEMU docs/specs/fw_cfg). Selector at 0x510 (16 bits), data at 0x511 (bytes), DMA address at 0x514
 * (big-endian, 64 bits; writing the low half starts the transfer).
 *
 * FWCfgDmaAccess in guest memory, big-endian: u32 control, u32 length, u64 address.
 */
const SELECTOR = 0x510;
const DATA = 0x511;
const DMA = 0x514;
/** All ports of the device, for the operating system's tables. */
export const FW_CFG_BASE = SELECTOR;
export const FW_CFG_BYTES = DMA + 8 - SELECTOR;
const DMA_SIGNATURE = [0x51, 0x45, 0x4d, 0x55, 0x20, 0x43, 0x46, 0x47];
const CTL_ERROR = 0x01;
const CTL_READ = 0x02;
const CTL_SKIP = 0x04;
const CTL_SELECT = 0x08;
const CTL_WRITE = 0x10;

/** Well-known keys. */
export const FW_CFG_SIGNATURE = 0x00;
export const FW_CFG_ID = 0x01;
export const FW_CFG_UUID = 0x02;
export const FW_CFG_RAM_SIZE = 0x03;
export const FW_CFG_NB_CPUS = 0x05;
export const FW_CFG_BOOT_MENU = 0x0e;
export const FW_CFG_MAX_CPUS = 0x0f;
/** Architecture-local item 2: not 0 when ISA interrupt 0 is wired to I/O APIC input 2. */
export const FW_CFG_IRQ0_OVERRIDE = 0x8002;
export const FW_CFG_FILE_DIR = 0x19;
const FILE_FIRST = 0x20;
/** Traditional interface and DMA. */
const FEATURES = 3;
const MAX_NAME = 55;
/** A single DMA request beyond this is cut off: the guest can't have more memory. */
const MAX_TRANSFER = 0xffff_ffff;

export interface FwCfgOptions {
  id: string;
  ports: PortBus;
  memory: GuestMemory;
  log: Logger;
}

interface Item {
  data: Uint8Array;
  onSelect: (() => void) | undefined;
}

export class FwCfg implements Device {
  readonly id: string;
  private readonly memory: GuestMemory;
  private readonly log: Logger;
  private readonly items = new Map<number, Item>();
  private readonly files: { name: string; key: number; size: number }[] = [];
  private selector = 0;
  private position = 0;
  private dmaHigh = 0;

  constructor({ id, ports, memory, log }: FwCfgOptions) {
    this.id = id;
    this.memory = memory;
    this.log = log;
    this.add(FW_CFG_SIGNATURE, new TextEncoder().encode('QEMU'));
    this.add(FW_CFG_ID, Uint8Array.of(FEATURES, 0, 0, 0));
    this.rebuildDirectory();
    ports.register({
      owner: id,
      base: SELECTOR,
      length: 2,
      maxSize: 2,
      handler: {
        read: (offset) => (offset === DATA - SELECTOR ? this.readByte() : 0),
        write: (offset, value, size) => {
          if (offset === 0 && size === 2) this.select(value);
        },
      },
    });
    ports.register({
      owner: id,
      base: DMA,
      length: 8,
      maxSize: 4,
      handler: {
        read: (offset, size) => {
          let value = 0;
          for (let i = 0; i < size; i++) value |= DMA_SIGNATURE[offset + i]! << (i * 8);
          return value >>> 0;
        },
        write: (offset, value, size) => {
          if (size !== 4) return;
          if (offset === 0) this.dmaHigh = swap32(value);
          else if (offset === 4) {
            const address = this.dmaHigh * 2 ** 32 + swap32(value);
            this.dmaHigh = 0;
            this.transfer(address);
          }
        },
      },
    });
  }

  /** Sets the value of a numbered item. */
  add(key: number, data: Uint8Array, onSelect?: () => void): void {
    this.items.set(key, { data, onSelect });
  }

  addU16(key: number, value: number): void {
    this.add(key, Uint8Array.of(value, value >> 8));
  }

  addU64(key: number, value: number): void {
    const data = new Uint8Array(8);
    new DataView(data.buffer).setBigUint64(0, BigInt(value), true);
    this.add(key, data);
  }

  /** Adds a named file; throws 'invalid-argument' for a name that does not fit and 'already-exists' for a second one of that name. */
  addFile(name: string, data: Uint8Array): void {
    if (name.length > MAX_NAME) throw new HypervueError('invalid-argument', `the firmware file name ${name} is too long`, { object: name });
    if (this.files.some((file) => file.name === name))
      throw new HypervueError('already-exists', `the firmware file ${name} exists`, { object: name });
    const key = FILE_FIRST + this.files.length;
    this.files.push({ name, key, size: data.length });
    this.add(key, data);
    this.rebuildDirectory();
  }

  reset(_kind: ResetKind): void {
    this.selector = 0;
    this.position = 0;
    this.dmaHigh = 0;
  }

  save(): DeviceState {
    return { version: 1, selector: this.selector, position: this.position, dmaHigh: this.dmaHigh };
  }

  restore(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, 1);
    this.selector = reader.number('selector', 0, 0xffff);
    this.position = reader.number('position', 0, Number.MAX_SAFE_INTEGER);
    this.dmaHigh = reader.number('dmaHigh', 0, 0xffffffff);
  }

  /** FWCfgFiles: u32 count, then 64 bytes a file: u32 size, u16 key, u16 reserved, name. Big-endian. */
  private rebuildDirectory(): void {
    const data = new Uint8Array(4 + 64 * this.files.length);
    const view = new DataView(data.buffer);
    view.setUint32(0, this.files.length);
    [...this.files]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .forEach((file, index) => {
        const at = 4 + index * 64;
        view.setUint32(at, file.size);
        view.setUint16(at + 4, file.key);
        data.set(new TextEncoder().encode(file.name), at + 8);
      });
    this.add(FW_CFG_FILE_DIR, data);
  }

  private select(key: number): void {
    this.selector = key & 0xffff;
    this.position = 0;
    this.items.get(this.selector)?.onSelect?.();
  }

  private readByte(): number {
    return this.items.get(this.selector)?.data[this.position++] ?? 0;
  }

  private transfer(address: number): void {
    const { memory } = this;
    const control = swap32(memory.read32(address));
    const length = Math.min(MAX_TRANSFER, swap32(memory.read32(address + 4)));
    const target = swap32(memory.read32(address + 8)) * 2 ** 32 + swap32(memory.read32(address + 12));
    if (control & CTL_SELECT) this.select(control >>> 16);
    const item = this.items.get(this.selector);
    let result = 0;
    if (control & CTL_READ) {
      const available = item ? item.data.subarray(this.position, this.position + length) : new Uint8Array(0);
      memory.write(target, available);
      this.zero(target + available.length, length - available.length);
      this.position += length;
    } else if (control & CTL_SKIP) this.position += length;
    else if (control & CTL_WRITE) {
      // No item here is writable by the guest.
      this.log.guest(`write to item 0x${this.selector.toString(16)} refused`);
      result = CTL_ERROR;
    }
    memory.write32(address, swap32(result));
  }

  /** What lies past an item's end reads as zero; a bogus length stops at the end of memory. */
  private zero(address: number, length: number): void {
    const chunk = new Uint8Array(4096);
    const end = Math.min(address + length, this.memory.ramBytes);
    for (let at = address; at < end; at += chunk.length) this.memory.write(at, chunk.subarray(0, Math.min(chunk.length, end - at)));
  }
}

function swap32(value: number): number {
  return (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}
