/**
 * Flash memory with Intel's command set, byte-wide, in blocks of 4 KiB, which holds the variables of UEFI firmware.
 * Commands: Intel StrataFlash Memory (J3) data sheet 290667, section 4; JEDEC JESD68.01 (CFI query). Two things are as QEMU's pflash has them, because
 * OVMF looks for that: no "ready" bit until an operation ended, and one data byte for each byte written.
 *
 * While it shows its array, reads go straight to memory; in any other mode they come here.
 */
import type { Device } from '../../bus/device.ts';
import type { MmioBus } from '../../bus/mmiobus.ts';
import type { AccessSize } from '../../bus/portbus.ts';
import { PM_READ } from '../../memory/layout.ts';
import type { PhysMap } from '../../memory/physmap.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Logger } from '../../util/logger.ts';

export const FLASH_BLOCK_BYTES = 4096;

const MANUFACTURER_INTEL = 0x89;
const DEVICE_CODE = 0x18;
const STATUS_READY = 0x80;
const STATUS_ERASE_ERROR = 0x20;
const STATUS_PROGRAM_ERROR = 0x10;
/** Most bytes of one buffered write. */
const BUFFER_BYTES = 64;
const BUFFER_BITS = 6;

/** What a read gives, and what the next write means. */
const modes = ['array', 'status', 'identifier', 'query', 'program', 'erase', 'lock', 'bufferCount', 'bufferData', 'bufferConfirm'] as const;
type Mode = (typeof modes)[number];

export interface CfiFlashOptions {
  id: string;
  mmio: MmioBus;
  physMap: PhysMap;
  memory: WebAssembly.Memory;
  /** Guest-physical address, a multiple of 4096. */
  base: number;
  /** Where the contents lie in the shared memory, a multiple of 4096, and how many bytes, a multiple of the block. */
  offset: number;
  length: number;
  /** Contents changed somewhere within a block, counted from 0. */
  changed: (block: number) => void;
  log: Logger;
}

export class CfiFlash implements Device {
  readonly id: string;
  private readonly options: CfiFlashOptions;
  private readonly contents: Uint8Array;
  private readonly query: Uint8Array;
  private mode: Mode = 'array';
  private status = 0;
  /** The buffered write under way: bytes still to come, the block it stays in, what came so far. */
  private expected = 0;
  private block = 0;
  private buffered: { at: number; value: number }[] = [];

  constructor(options: CfiFlashOptions) {
    this.id = options.id;
    this.options = options;
    const { memory, base, offset, length } = options;
    this.contents = new Uint8Array(memory.buffer, offset, length);
    this.query = queryTable(length);
    options.mmio.register({
      owner: this.id,
      base,
      length,
      handler: { read: (at, size) => this.read(at, size), write: (at, value, size) => this.write(at, value, size) },
    });
    this.show();
  }

  /** The contents stay, as they do without power. */
  reset(): void {
    this.status = 0;
    this.endBuffer();
    this.enter('array', true);
  }

  save(): DeviceState {
    return {
      version: 1,
      mode: modes.indexOf(this.mode),
      status: this.status,
      expected: this.expected,
      block: this.block,
      bufferedPlaces: this.buffered.map(({ at }) => at),
      bufferedBytes: Uint8Array.from(this.buffered, ({ value }) => value),
      contents: this.contents.slice(),
    };
  }

  restore(state: DeviceState): void {
    const from = StateReader.open(state, this.id, 1);
    const { length } = this.contents;
    const mode = modes[Math.floor(from.number('mode', 0, modes.length - 1))]!;
    const contents = from.bytes('contents', length);
    const places = from.numbers('bufferedPlaces', BUFFER_BYTES);
    const bytes = from.bytes('bufferedBytes', places.length);
    this.status = from.byte('status');
    this.expected = Math.floor(from.number('expected', 0, BUFFER_BYTES));
    this.block = Math.floor(from.number('block', 0, length / FLASH_BLOCK_BYTES - 1));
    this.buffered = places.map((at, index) => ({ at: Math.floor(at), value: bytes[index]! }));
    for (let block = 0; block < length; block += FLASH_BLOCK_BYTES) {
      const now = this.contents.subarray(block, block + FLASH_BLOCK_BYTES);
      const then = contents.subarray(block, block + FLASH_BLOCK_BYTES);
      if (then.every((byte, index) => byte === now[index])) continue;
      now.set(then);
      this.options.changed(block / FLASH_BLOCK_BYTES);
    }
    this.enter(mode, true);
  }

  private read(at: number, size: AccessSize): number {
    let value = 0;
    for (let index = size - 1; index >= 0; index--) value = value * 256 + this.readByte(at + index);
    return value;
  }

  private readByte(at: number): number {
    switch (this.mode) {
      case 'array':
        return this.contents[at] ?? 0xff;
      case 'identifier':
        // Offset 2 of a block: its lock, which there is none of.
        return [MANUFACTURER_INTEL, DEVICE_CODE, 0][at % FLASH_BLOCK_BYTES] ?? 0;
      case 'query':
        return this.query[at % FLASH_BLOCK_BYTES] ?? 0;
      default:
        return this.status;
    }
  }

  private write(at: number, value: number, size: AccessSize): void {
    switch (this.mode) {
      case 'program':
        for (let index = 0; index < size; index++) this.program(at + index, (value >>> (index * 8)) & 0xff);
        this.finished();
        break;
      case 'erase':
        if ((value & 0xff) === 0xd0) this.erase(at - (at % FLASH_BLOCK_BYTES));
        else this.failed(STATUS_ERASE_ERROR | STATUS_PROGRAM_ERROR);
        break;
      case 'lock':
        // Set, clear or "lock down" a block: nothing is locked here, which the identifier mode tells.
        this.finished();
        break;
      case 'bufferCount':
        this.expected = (value & 0xff) + 1;
        this.block = Math.floor(at / FLASH_BLOCK_BYTES);
        if (this.expected > BUFFER_BYTES) this.failed(STATUS_PROGRAM_ERROR);
        else this.enter('bufferData');
        break;
      case 'bufferData':
        this.fillBuffer(at, value, size);
        break;
      case 'bufferConfirm':
        if ((value & 0xff) === 0xd0) {
          for (const { at: where, value: byte } of this.buffered) this.program(where, byte);
          this.finished();
        } else this.failed(STATUS_PROGRAM_ERROR);
        break;
      default:
        this.command(value & 0xff);
    }
  }

  private command(command: number): void {
    switch (command) {
      case 0x10:
      case 0x40:
        this.enter('program');
        break;
      case 0x20:
        this.enter('erase');
        break;
      case 0x50:
        this.status = 0;
        this.enter('array');
        break;
      case 0x60:
        this.enter('lock');
        break;
      case 0x70:
        this.enter('status');
        break;
      case 0x90:
        this.enter('identifier');
        break;
      case 0x98:
        this.enter('query');
        break;
      case 0xe8:
        // The extended status says that a buffer is free.
        this.status |= STATUS_READY;
        this.enter('bufferCount');
        break;
      case 0x00:
      case 0xf0:
      case 0xff:
        this.enter('array');
        break;
      default:
        this.options.log.debug(`flash memory does not know command ${command.toString(16)}`);
        this.enter('array');
    }
  }

  private fillBuffer(at: number, value: number, size: AccessSize): void {
    for (let index = 0; index < size && this.expected > 0; index++, this.expected--) {
      // A buffered write stays within the block it began in.
      if (Math.floor((at + index) / FLASH_BLOCK_BYTES) !== this.block) {
        this.failed(STATUS_PROGRAM_ERROR);
        return;
      }
      this.buffered.push({ at: at + index, value: (value >>> (index * 8)) & 0xff });
    }
    if (this.expected === 0) this.enter('bufferConfirm');
  }

  /** Programming can only clear bits; setting them takes an erase. Firmware relies on the value it wrote, as on real chips. */
  private program(at: number, value: number): void {
    if (!(at >= 0 && at < this.contents.length)) return;
    this.contents[at]! &= value;
    this.options.changed(Math.floor(at / FLASH_BLOCK_BYTES));
  }

  private erase(start: number): void {
    this.contents.fill(0xff, start, start + FLASH_BLOCK_BYTES);
    this.options.changed(start / FLASH_BLOCK_BYTES);
    this.finished();
  }

  private finished(): void {
    this.status |= STATUS_READY;
    this.endBuffer();
    this.enter('status');
  }

  private failed(bits: number): void {
    this.status |= STATUS_READY | bits;
    this.endBuffer();
    this.enter('status');
  }

  private endBuffer(): void {
    this.expected = 0;
    this.block = 0;
    this.buffered = [];
  }

  /** Each change between array and anything else costs the processor its TLB, so only real ones are made. */
  private enter(mode: Mode, always = false): void {
    const shown = this.mode === 'array';
    this.mode = mode;
    if (always || shown !== (mode === 'array')) this.show();
  }

  private show(): void {
    const { physMap, base, offset, length } = this.options;
    if (this.mode === 'array') physMap.map(base, offset, length, PM_READ);
    else physMap.unmap(base, length);
  }
}

/** The CFI query structure: identification, voltages and times, geometry. Offsets of JESD68.01; the device is byte-wide. */
function queryTable(length: number): Uint8Array {
  const table = new Uint8Array(0x40);
  const blocks = length / FLASH_BLOCK_BYTES;
  table.set([0x51, 0x52, 0x59, 0x01, 0x00, 0x31], 0x10); // "QRY", Intel's command set, its table at 31h
  table.set([0x45, 0x55, 0, 0, 0x07, 0x07, 0x0a, 0, 0x04, 0x04, 0x04, 0], 0x1b); // 4.5 to 5.5 V; 2^n microseconds and milliseconds
  table.set([Math.ceil(Math.log2(length)), 0, 0, BUFFER_BITS, 0, 1], 0x27); // size 2^n, x8 only, write buffer 2^n, one kind of block
  table.set([(blocks - 1) & 0xff, (blocks - 1) >> 8, (FLASH_BLOCK_BYTES >> 8) & 0xff, FLASH_BLOCK_BYTES >> 16], 0x2d);
  table.set([0x50, 0x52, 0x49, 0x31, 0x30], 0x31); // "PRI", version 1.0
  return table;
}
