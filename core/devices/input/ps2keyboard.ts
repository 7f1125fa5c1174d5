/**
 * PS/2 keyboard (enhanced, 101/102 keys) with scan code sets 1, 2 and 3.
 * Spec: IBM PS/2 Hardware Interface Technical Reference (1988), "Keyboards: Commands from the System / to the System".
 *
 * Typematic repeat comes from whoever presses the keys: viewers repeat a held key themselves. The rate a guest sets is accepted and kept.
 */
import type { Device } from '../../bus/device.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import { Emitter } from '../../util/emitter.ts';
import type { Logger } from '../../util/logger.ts';
import { type Ps2Device, Ps2Queue } from './ps2queue.ts';
import { keySequence, set3Code } from './scancodes.ts';

const CMD_SET_LEDS = 0xed;
const CMD_ECHO = 0xee;
const CMD_SCAN_SET = 0xf0;
const CMD_IDENTIFY = 0xf2;
const CMD_TYPEMATIC = 0xf3;
const CMD_ENABLE = 0xf4;
const CMD_DISABLE = 0xf5;
const CMD_DEFAULTS = 0xf6;
const CMD_ALL_TYPEMATIC = 0xf7;
const CMD_ALL_MAKE_BREAK = 0xf8;
const CMD_ALL_MAKE = 0xf9;
const CMD_ALL_TYPEMATIC_MAKE_BREAK = 0xfa;
const CMD_KEY_TYPEMATIC = 0xfb;
const CMD_KEY_MAKE_BREAK = 0xfc;
const CMD_KEY_MAKE = 0xfd;
const CMD_RESEND = 0xfe;
const CMD_RESET = 0xff;

const ACK = 0xfa;
const BAT_OK = 0xaa;
const RESEND = 0xfe;
const ID = [0xab, 0x83] as const;
/** Buffer of a keyboard: 16 bytes, of which the last tells of an overrun. */
const BUFFER_SIZE = 16;
/** Pause: the longest of all key events in any scan code set. */
const LONGEST_SEQUENCE = 8;
/** 10.9 characters a second after 500 ms. */
const DEFAULT_TYPEMATIC = 0x2b;

/** Set 3 key types: bit 0 sends break codes, bit 1 repeats. */
const TYPE_BREAK = 1;
const TYPE_REPEAT = 2;
/** Caps Lock, both Shifts, left Ctrl, left Alt are make/break by default. */
const SET3_MAKE_BREAK = [0x14, 0x12, 0x59, 0x11, 0x19];
/** Letters, digits, signs, arrows, Delete, Backspace, Tab, Enter and Space repeat by default; function keys, Ctrl and the keypad do not. */
const SET3_REPEATING_MAX = 0x5d;
const SET3_NOT_REPEATING = [0x07, 0x08, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x39, 0x3f, 0x47, 0x4f, 0x56, 0x57, 0x58];
const SET3_REPEATING_ABOVE = [0x60, 0x61, 0x63, 0x64, 0x66, 0x6a, 0x7c];

function defaultKeyTypes(): Uint8Array {
  const types = new Uint8Array(256);
  for (let code = 1; code <= SET3_REPEATING_MAX; code++) types[code] = TYPE_REPEAT;
  for (const code of SET3_NOT_REPEATING) types[code] = 0;
  for (const code of SET3_REPEATING_ABOVE) types[code] = TYPE_REPEAT;
  for (const code of SET3_MAKE_BREAK) types[code] = TYPE_BREAK;
  return types;
}

export interface Ps2KeyboardOptions {
  id: string;
  log: Logger;
}

export class Ps2Keyboard implements Device, Ps2Device {
  readonly id: string;
  onData: (() => void) | undefined;
  /** Told when the guest changed the lights: bit 0 scroll, 1 num, 2 caps. */
  readonly ledsChanged = new Emitter<number>();
  private readonly log: Logger;
  private readonly queue = new Ps2Queue();
  /** Command that waits for its parameter, or 0. */
  private pending = 0;
  private scanning = true;
  private set: 1 | 2 | 3 = 2;
  private ledBits = 0;
  private typematic = DEFAULT_TYPEMATIC;
  private keyTypes = defaultKeyTypes();
  /** Keys that are down, by event code: a make for one of them is a repeat. */
  private readonly down = new Uint8Array(256);
  private overrun = false;
  /** Set by whoever presses the keys: called when `hasRoom` may have become true. */
  onRoom: (() => void) | undefined;
  private making = false;

  constructor({ id, log }: Ps2KeyboardOptions) {
    this.id = id;
    this.log = log;
  }

  get leds(): number {
    return this.ledBits;
  }

  get hasData(): boolean {
    return this.queue.length > 0;
  }

  /** The buffer takes any key event without an overrun. */
  get hasRoom(): boolean {
    return !this.overrun && this.queue.dataLength + LONGEST_SEQUENCE < BUFFER_SIZE;
  }

  take(): number {
    const byte = this.queue.take();
    if (this.queue.dataLength === 0) this.overrun = false;
    this.makeRoom();
    return byte;
  }

  /** A key event: set 1 make code, 0x80 | code for E0-prefixed keys. A repeated `down` is a typematic repeat. */
  key(code: number, down: boolean): void {
    const index = code & 0xff;
    const repeat = down && this.down[index] !== 0;
    this.down[index] = down ? 1 : 0;
    if (!this.scanning) return;
    if (this.set === 3) {
      const type = this.keyTypes[set3Code(index)]!;
      if ((!down && !(type & TYPE_BREAK)) || (repeat && !(type & TYPE_REPEAT))) return;
    }
    this.send(keySequence(this.set, index, down));
  }

  write(value: number): void {
    if (this.pending !== 0) {
      const command = this.pending;
      this.pending = 0;
      if (this.parameter(command, value)) {
        this.announce();
        return;
      }
    }
    this.command(value);
    this.makeRoom();
    this.announce();
  }

  reset(_kind: 'power' | 'hard'): void {
    this.queue.restore(new Uint8Array(), new Uint8Array(), 0);
    this.pending = 0;
    this.overrun = false;
    this.down.fill(0);
    this.defaults();
    this.scanning = true;
    this.setLeds(0);
  }

  save(): DeviceState {
    const { pending, scanning, set, ledBits, typematic, overrun } = this;
    return {
      ...{ version: 1, pending, scanning, set, ledBits, typematic, overrun },
      queue: this.queue.save(),
      keyTypes: this.keyTypes.slice(),
      down: this.down.slice(),
    };
  }

  restore(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, 1);
    const queue = reader.object('queue');
    this.pending = reader.byte('pending');
    this.scanning = reader.boolean('scanning');
    this.set = reader.number('set', 1, 3) as 1 | 2 | 3;
    this.typematic = reader.byte('typematic');
    this.overrun = reader.boolean('overrun');
    this.keyTypes = reader.bytes('keyTypes', 256);
    this.down.set(reader.bytes('down', 256));
    this.queue.restore(queue.bytes('replies'), queue.bytes('data'), queue.byte('last'));
    this.setLeds(reader.number('ledBits', 0, 7));
  }

  /** True when `value` was the parameter of `command`; a command byte in its place cancels it. */
  private parameter(command: number, value: number): boolean {
    switch (command) {
      case CMD_SET_LEDS:
        if (value >= CMD_SET_LEDS) return false;
        this.setLeds(value & 7);
        this.queue.reply(ACK);
        return true;
      case CMD_TYPEMATIC:
        if (value >= CMD_SET_LEDS) return false;
        this.typematic = value & 0x7f;
        this.queue.reply(ACK);
        return true;
      case CMD_SCAN_SET:
        if (value > 3) {
          if (value >= CMD_SET_LEDS) return false;
          this.queue.reply(RESEND);
        } else if (value === 0) this.queue.reply(ACK, this.set);
        else {
          this.set = value as 1 | 2 | 3;
          this.queue.reply(ACK);
        }
        return true;
      default: {
        // Key types: a list of set 3 codes that the next command ends.
        if (value >= CMD_SET_LEDS) return false;
        this.keyTypes[value] = command === CMD_KEY_TYPEMATIC ? TYPE_REPEAT : command === CMD_KEY_MAKE_BREAK ? TYPE_BREAK : 0;
        this.queue.reply(ACK);
        this.pending = command;
        return true;
      }
    }
  }

  private command(value: number): void {
    switch (value) {
      case CMD_SET_LEDS:
      case CMD_SCAN_SET:
      case CMD_TYPEMATIC:
        this.pending = value;
        this.queue.reply(ACK);
        break;
      case CMD_KEY_TYPEMATIC:
      case CMD_KEY_MAKE_BREAK:
      case CMD_KEY_MAKE:
        this.pending = value;
        this.scanning = false;
        this.queue.reply(ACK);
        break;
      case CMD_ECHO:
        this.queue.reply(CMD_ECHO);
        break;
      case CMD_IDENTIFY:
        this.queue.reply(ACK, ...ID);
        break;
      case CMD_ENABLE:
        this.queue.clear();
        this.scanning = true;
        this.queue.reply(ACK);
        break;
      case CMD_DISABLE:
      case CMD_DEFAULTS:
        this.queue.clear();
        this.defaults();
        this.scanning = value === CMD_DEFAULTS;
        this.queue.reply(ACK);
        break;
      case CMD_ALL_TYPEMATIC:
      case CMD_ALL_MAKE_BREAK:
      case CMD_ALL_MAKE:
      case CMD_ALL_TYPEMATIC_MAKE_BREAK:
        this.keyTypes.fill(
          value === CMD_ALL_TYPEMATIC
            ? TYPE_REPEAT
            : value === CMD_ALL_MAKE_BREAK
              ? TYPE_BREAK
              : value === CMD_ALL_MAKE
                ? 0
                : TYPE_BREAK | TYPE_REPEAT,
        );
        this.queue.reply(ACK);
        break;
      case CMD_RESEND:
        this.queue.reply(this.queue.lastSent);
        break;
      case CMD_RESET:
        this.queue.clear();
        this.defaults();
        this.scanning = true;
        this.setLeds(0);
        this.queue.reply(ACK, BAT_OK);
        break;
      default:
        this.log.guest(`unknown keyboard command 0x${value.toString(16)}`);
        this.queue.reply(RESEND);
    }
  }

  private defaults(): void {
    this.set = 2;
    this.typematic = DEFAULT_TYPEMATIC;
    this.keyTypes = defaultKeyTypes();
  }

  private setLeds(bits: number): void {
    if (bits === this.ledBits) return;
    this.ledBits = bits;
    this.ledsChanged.emit(bits);
  }

  private send(bytes: readonly number[]): void {
    if (bytes.length === 0) return;
    if (this.queue.dataLength + bytes.length >= BUFFER_SIZE) {
      // Overrun code: 00h in sets 2 and 3, FFh in set 1.
      if (!this.overrun) this.queue.push(this.set === 1 ? 0xff : 0x00);
      this.overrun = true;
    } else if (!this.overrun) this.queue.push(...bytes);
    this.announce();
  }

  /** Lets keys that wait follow. They are not announced: the controller that is taking a byte looks for the next one by itself. */
  private makeRoom(): void {
    if (!this.hasRoom) return;
    this.making = true;
    this.onRoom?.();
    this.making = false;
  }

  private announce(): void {
    if (this.queue.length > 0 && !this.making) this.onData?.();
  }
}
