/**
 * Two cascaded 8237A DMA controllers with the page registers of a PC AT. Channels 0..3 move bytes, 5..7 words; 4 is the cascade.
 * Spec: Intel 8237A data sheet (order 231466), "Register Description", "Software Commands"; IBM PC AT Technical Reference for the pages.
 */
import type { Device } from '../../bus/device.ts';
import type { PortBus } from '../../bus/portbus.ts';
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { DeviceState, StateValue } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Logger } from '../../util/logger.ts';

const PAGE_BASE = 0x81;
const PAGE_COUNT = 15;
/** Page port (minus 80h) of channels 0..7; channel 4 has the refresh page. */
const PAGE_OF_CHANNEL = [0x7, 0x3, 0x1, 0x2, 0xf, 0xb, 0x9, 0xa] as const;

// Register offsets of one controller (second controller: times two).
const STATUS_COMMAND = 8;
const REQUEST = 9;
const SINGLE_MASK = 10;
const MODE = 11;
const CLEAR_POINTER = 12;
const MASTER_CLEAR = 13;
const CLEAR_MASK = 14;
const ALL_MASK = 15;

// Mode: M1 M0 (demand, single, block, cascade) DEC AUTO T1 T0 (verify, write, read) CH1 CH0
const MODE_DECREMENT = 0x20;
const MODE_AUTOINIT = 0x10;
const TRANSFER_WRITE = 1;
const TRANSFER_READ = 2;
const COMMAND_DISABLE = 0x04;

interface ChannelState {
  baseAddress: number;
  baseCount: number;
  address: number;
  count: number;
  mode: number;
  masked: boolean;
  /** DREQ of the device, or the software request. */
  request: boolean;
  terminalCount: boolean;
}

export interface DmaResult {
  /** Bytes moved (or only counted, for a verify transfer). */
  bytes: number;
  /** The count ran out with the last of them. */
  terminalCount: boolean;
}

/** One channel as its device sees it. */
export interface DmaChannel {
  /** Unmasked and its controller enabled: a request would be served. */
  readonly ready: boolean;
  /** Bytes up to terminal count; 0 when not ready. */
  readonly remaining: number;
  /** DREQ: shows in the status register. */
  setRequest(level: boolean): void;
  /** Device -> guest memory. Moves nothing when the channel is not ready or programmed for the other direction; a verify counts only. */
  toMemory(source: Uint8Array): DmaResult;
  /** Guest memory -> device. */
  fromMemory(target: Uint8Array): DmaResult;
  /** Called when the guest makes the channel ready. */
  onReady(listener: () => void): void;
}

export interface Dma8237Options {
  id: string;
  ports: PortBus;
  memory: GuestMemory;
  log: Logger;
}

export class Dma8237 implements Device {
  readonly id: string;
  private readonly memory: GuestMemory;
  private readonly log: Logger;
  private readonly channels: ChannelState[] = Array.from({ length: 8 }, freshChannel);
  /** Command registers and byte pointer flip-flops of both controllers. */
  private readonly command = [0, 0];
  private readonly flipFlop = [false, false];
  private readonly pages = new Uint8Array(16);
  private readonly readyListeners: (() => void)[][] = Array.from({ length: 8 }, () => []);

  constructor({ id, ports, memory, log }: Dma8237Options) {
    this.id = id;
    this.memory = memory;
    this.log = log;
    ports.register({
      owner: id,
      base: 0x00,
      length: 16,
      handler: { read: (offset) => this.read(0, offset), write: (offset, value) => this.write(0, offset, value) },
    });
    ports.register({
      owner: id,
      base: 0xc0,
      length: 32,
      handler: { read: (offset) => this.read(1, offset >> 1), write: (offset, value) => this.write(1, offset >> 1, value) },
    });
    // Port 80h next to the pages belongs to the POST code latch.
    ports.register({
      owner: id,
      base: PAGE_BASE,
      length: PAGE_COUNT,
      handler: {
        read: (offset) => this.pages[offset + 1]!,
        write: (offset, value) => {
          this.pages[offset + 1] = value;
        },
      },
    });
  }

  channel(number: number): DmaChannel {
    const state = this.channels[number]!;
    const isReady = () => !state.masked && !(this.command[number >> 2]! & COMMAND_DISABLE);
    return {
      get ready() {
        return isReady();
      },
      get remaining() {
        return isReady() ? (state.count + 1) * (number > 3 ? 2 : 1) : 0;
      },
      setRequest: (level) => {
        state.request = level;
      },
      toMemory: (source) => (isReady() ? this.transfer(number, source, TRANSFER_WRITE) : { bytes: 0, terminalCount: false }),
      fromMemory: (target) => (isReady() ? this.transfer(number, target, TRANSFER_READ) : { bytes: 0, terminalCount: false }),
      onReady: (listener) => {
        this.readyListeners[number]!.push(listener);
      },
    };
  }

  reset(_kind: 'power' | 'hard'): void {
    for (const channel of this.channels) Object.assign(channel, freshChannel());
    this.command.fill(0);
    this.flipFlop.fill(false);
    this.pages.fill(0);
  }

  save(): DeviceState {
    return {
      version: 1,
      channels: this.channels.map((channel): { [key: string]: StateValue } => ({ ...channel })),
      command: [...this.command],
      flipFlop: [...this.flipFlop],
      pages: this.pages.slice(),
    };
  }

  restore(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, 1);
    const pages = reader.bytes('pages', 16);
    const command = reader.numbers('command', 2);
    const flipFlop = state.flipFlop;
    reader.objects('channels', 8).forEach((saved, index) => {
      Object.assign(this.channels[index]!, {
        baseAddress: saved.number('baseAddress', 0, 0xffff),
        baseCount: saved.number('baseCount', 0, 0xffff),
        address: saved.number('address', 0, 0xffff),
        count: saved.number('count', 0, 0xffff),
        mode: saved.byte('mode'),
        masked: saved.boolean('masked'),
        request: saved.boolean('request'),
        terminalCount: saved.boolean('terminalCount'),
      });
    });
    this.command[0] = command[0] ?? 0;
    this.command[1] = command[1] ?? 0;
    this.flipFlop[0] = Array.isArray(flipFlop) && flipFlop[0] === true;
    this.flipFlop[1] = Array.isArray(flipFlop) && flipFlop[1] === true;
    this.pages.set(pages);
  }

  private read(controller: 0 | 1, register: number): number {
    if (register < 8) {
      const channel = this.channels[controller * 4 + (register >> 1)]!;
      const value = register & 1 ? channel.count : channel.address;
      return this.flip(controller) ? value >> 8 : value & 0xff;
    }
    const own = this.channels.slice(controller * 4, controller * 4 + 4);
    switch (register) {
      case STATUS_COMMAND: {
        // Bits 7..4 requests, 3..0 terminal counts, which a read clears.
        let status = 0;
        own.forEach((channel, index) => {
          if (channel.terminalCount) status |= 1 << index;
          if (channel.request) status |= 0x10 << index;
          channel.terminalCount = false;
        });
        return status;
      }
      case ALL_MASK:
        return own.reduce((bits, channel, index) => bits | (channel.masked ? 1 << index : 0), 0xf0);
      default:
        return 0;
    }
  }

  private write(controller: 0 | 1, register: number, value: number): void {
    const first = controller * 4;
    if (register < 8) {
      const channel = this.channels[first + (register >> 1)]!;
      const key = register & 1 ? 'baseCount' : 'baseAddress';
      // Both the base and the current register take the byte.
      const current = register & 1 ? 'count' : 'address';
      const high = this.flip(controller);
      channel[key] = high ? (channel[key] & 0x00ff) | (value << 8) : (channel[key] & 0xff00) | value;
      channel[current] = high ? (channel[current] & 0x00ff) | (value << 8) : (channel[current] & 0xff00) | value;
      return;
    }
    const selected = first + (value & 3);
    switch (register) {
      case STATUS_COMMAND: {
        const wasOff = this.command[controller]! & COMMAND_DISABLE;
        this.command[controller] = value;
        if (value & 0x01) this.log.guest('memory-to-memory DMA does not exist on a PC AT board');
        if (wasOff && !(value & COMMAND_DISABLE)) for (let n = first; n < first + 4; n++) this.announce(n);
        break;
      }
      case REQUEST:
        this.channels[selected]!.request = (value & 4) !== 0;
        break;
      case SINGLE_MASK:
        this.setMask(selected, (value & 4) !== 0);
        break;
      case MODE:
        this.channels[selected]!.mode = value & 0xfc;
        break;
      case CLEAR_POINTER:
        this.flipFlop[controller] = false;
        break;
      case MASTER_CLEAR:
        this.command[controller] = 0;
        this.flipFlop[controller] = false;
        for (let n = first; n < first + 4; n++) {
          this.channels[n]!.masked = true;
          this.channels[n]!.request = false;
          this.channels[n]!.terminalCount = false;
        }
        break;
      case CLEAR_MASK:
        for (let n = first; n < first + 4; n++) this.setMask(n, false);
        break;
      case ALL_MASK:
        for (let n = first; n < first + 4; n++) this.setMask(n, (value & (1 << (n - first))) !== 0);
        break;
    }
  }

  private setMask(number: number, masked: boolean): void {
    const channel = this.channels[number]!;
    const was = channel.masked;
    channel.masked = masked;
    if (was && !masked) this.announce(number);
  }

  private announce(number: number): void {
    if (this.channels[number]!.masked || this.command[number >> 2]! & COMMAND_DISABLE) return;
    for (const listener of this.readyListeners[number]!) listener();
  }

  private flip(controller: 0 | 1): boolean {
    const high = this.flipFlop[controller]!;
    this.flipFlop[controller] = !high;
    return high;
  }

  private transfer(number: number, buffer: Uint8Array, direction: number): DmaResult {
    const channel = this.channels[number]!;
    const type = (channel.mode >> 2) & 3;
    if (type !== 0 && type !== direction) {
      this.log.guest(`DMA channel ${number} is programmed for the other direction`);
      return { bytes: 0, terminalCount: false };
    }
    const unit = number > 3 ? 2 : 1;
    const page = this.pages[PAGE_OF_CHANNEL[number]!]!;
    let done = 0;
    let terminalCount = false;
    // Runs of units up to the count or the 64 Ki wrap of the address counter move in one piece.
    while (done + unit <= buffer.length && !terminalCount) {
      const descending = (channel.mode & MODE_DECREMENT) !== 0;
      const toWrap = descending ? 1 : 0x10000 - channel.address;
      const units = Math.min(Math.floor((buffer.length - done) / unit), channel.count + 1, toWrap);
      const gpa = unit === 1 ? (page << 16) | channel.address : ((page & 0xfe) << 16) | (channel.address << 1);
      const piece = buffer.subarray(done, done + units * unit);
      if (type === TRANSFER_WRITE) this.memory.write(gpa, piece);
      else if (type === TRANSFER_READ) this.memory.read(gpa, piece);
      done += units * unit;
      channel.address = (channel.address + (descending ? -units : units)) & 0xffff;
      channel.count -= units;
      if (channel.count >= 0) continue;
      terminalCount = true;
      channel.terminalCount = true;
      if (channel.mode & MODE_AUTOINIT) {
        channel.address = channel.baseAddress;
        channel.count = channel.baseCount;
      } else {
        channel.count = 0xffff;
        channel.masked = true;
      }
    }
    return { bytes: done, terminalCount };
  }
}

function freshChannel(): ChannelState {
  return { baseAddress: 0, baseCount: 0, address: 0, count: 0, mode: 0, masked: true, request: false, terminalCount: false };
}
