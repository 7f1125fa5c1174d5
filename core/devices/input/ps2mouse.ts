/**
 * PS/2 mouse: standard three-button, IntelliMouse (wheel) and IntelliMouse Explorer (wheel and five buttons).
 * Spec: IBM PS/2 Hardware Interface Technical Reference (1988), "Mouse"; Microsoft "Magic sequences" for the two extensions
 * (sample rates 200-100-80 and 200-200-80).
 */
import type { Device } from '../../bus/device.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Logger } from '../../util/logger.ts';
import { type Ps2Device, Ps2Queue } from './ps2queue.ts';

const CMD_SCALING_1_1 = 0xe6;
const CMD_SCALING_2_1 = 0xe7;
const CMD_RESOLUTION = 0xe8;
const CMD_STATUS = 0xe9;
const CMD_STREAM = 0xea;
const CMD_READ_DATA = 0xeb;
const CMD_RESET_WRAP = 0xec;
const CMD_WRAP = 0xee;
const CMD_REMOTE = 0xf0;
const CMD_IDENTIFY = 0xf2;
const CMD_SAMPLE_RATE = 0xf3;
const CMD_ENABLE = 0xf4;
const CMD_DISABLE = 0xf5;
const CMD_DEFAULTS = 0xf6;
const CMD_RESEND = 0xfe;
const CMD_RESET = 0xff;

const ACK = 0xfa;
const NAK = 0xfe;
const BAT_OK = 0xaa;

const ID_STANDARD = 0;
const ID_WHEEL = 3;
const ID_EXPLORER = 4;

// Packet byte 0: YOVF XOVF YSIGN XSIGN 1 M R L
const PACKET_ALWAYS = 0x08;
const X_SIGN = 0x10;
const Y_SIGN = 0x20;
// Status byte: 0 REMOTE ENABLED SCALING21 0 L M R
const STATUS_REMOTE = 0x40;
const STATUS_ENABLED = 0x20;
const STATUS_SCALING = 0x10;

/** Packets waiting for the host are at most this many bytes; later movement is added up. */
const QUEUE_LIMIT = 32;
const MAX_STEP = 255;
/** Movement nobody fetches does not add up without bound. */
const MAX_PENDING = 65535;

/** Buttons: bit 0 left, 1 right, 2 middle, 3 fourth, 4 fifth. */
export type MouseButtons = number;

export interface Ps2MouseOptions {
  id: string;
  log: Logger;
}

export class Ps2Mouse implements Device, Ps2Device {
  readonly id: string;
  onData: (() => void) | undefined;
  private readonly log: Logger;
  private readonly queue = new Ps2Queue();
  private pending = 0;
  private wrap = false;
  private remote = false;
  private enabled = false;
  private scaling = false;
  private resolution = 2;
  private sampleRate = 100;
  private deviceId = ID_STANDARD;
  /** The last three sample rates, oldest first. */
  private rates: number[] = [0, 0, 0];
  private dx = 0;
  private dy = 0;
  private dz = 0;
  private buttons = 0;
  /** Buttons in the packet sent last. */
  private sentButtons = 0;

  constructor({ id, log }: Ps2MouseOptions) {
    this.id = id;
    this.log = log;
  }

  /** The guest wants movement reports. */
  get reporting(): boolean {
    return this.enabled && !this.remote && !this.wrap;
  }

  get hasData(): boolean {
    return this.queue.length > 0;
  }

  take(): number {
    const byte = this.queue.take();
    // The controller asks for `hasData` again by itself, so nobody is told here.
    if (this.queue.length === 0) this.makePackets(false);
    return byte;
  }

  /** Movement in counts, right and down positive; `dz` in wheel clicks, towards the user positive. */
  move(dx: number, dy: number, dz: number, buttons: MouseButtons): void {
    const clamp = (value: number) => Math.max(-MAX_PENDING, Math.min(MAX_PENDING, Math.trunc(value)));
    if (!this.enabled && !this.remote) {
      this.buttons = buttons & 0x1f;
      return;
    }
    this.dx = clamp(this.dx + dx);
    this.dy = clamp(this.dy - dy);
    this.dz = clamp(this.dz + dz);
    const changed = this.buttons !== (buttons & 0x1f);
    this.buttons = buttons & 0x1f;
    if (this.makePackets(changed)) this.onData?.();
  }

  /** A packet that makes the guest look at another pointer interface, as the VMware pointer does; it moves nothing worth seeing. */
  wake(): void {
    this.move(1, 0, 0, this.buttons);
  }

  write(value: number): void {
    if (this.wrap && value !== CMD_RESET && value !== CMD_RESET_WRAP) {
      this.queue.reply(value);
      this.onData?.();
      return;
    }
    const command = this.pending;
    this.pending = 0;
    if (command === CMD_RESOLUTION) {
      if (value <= 3) this.resolution = value;
      this.queue.reply(value <= 3 ? ACK : NAK);
    } else if (command === CMD_SAMPLE_RATE) {
      this.setSampleRate(value);
      this.queue.reply(ACK);
    } else this.command(value);
    if (this.queue.length > 0) this.onData?.();
  }

  reset(_kind: 'power' | 'hard'): void {
    this.queue.restore(new Uint8Array(), new Uint8Array(), 0);
    this.defaults();
    this.deviceId = ID_STANDARD;
    this.pending = 0;
    this.wrap = false;
    this.rates = [0, 0, 0];
    this.buttons = 0;
    this.sentButtons = 0;
  }

  save(): DeviceState {
    const { pending, wrap, remote, enabled, scaling, resolution, sampleRate, deviceId, dx, dy, dz, buttons, sentButtons } = this;
    return {
      ...{ version: 1, pending, wrap, remote, enabled, scaling, resolution, sampleRate, deviceId, dx, dy, dz, buttons, sentButtons },
      rates: [...this.rates],
      queue: this.queue.save(),
    };
  }

  restore(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, 1);
    const queue = reader.object('queue');
    const rates = reader.numbers('rates', 3);
    this.pending = reader.byte('pending');
    this.wrap = reader.boolean('wrap');
    this.remote = reader.boolean('remote');
    this.enabled = reader.boolean('enabled');
    this.scaling = reader.boolean('scaling');
    this.resolution = reader.number('resolution', 0, 3);
    this.sampleRate = reader.byte('sampleRate');
    this.deviceId = reader.byte('deviceId');
    this.dx = reader.number('dx', -MAX_PENDING, MAX_PENDING);
    this.dy = reader.number('dy', -MAX_PENDING, MAX_PENDING);
    this.dz = reader.number('dz', -MAX_PENDING, MAX_PENDING);
    this.buttons = reader.number('buttons', 0, 31);
    this.sentButtons = reader.number('sentButtons', 0, 31);
    this.rates = rates;
    this.queue.restore(queue.bytes('replies'), queue.bytes('data'), queue.byte('last'));
  }

  private command(value: number): void {
    // Every valid command drops unsent movement data.
    if (value !== CMD_RESEND) this.queue.clear();
    switch (value) {
      case CMD_SCALING_1_1:
      case CMD_SCALING_2_1:
        this.scaling = value === CMD_SCALING_2_1;
        this.queue.reply(ACK);
        break;
      case CMD_RESOLUTION:
      case CMD_SAMPLE_RATE:
        this.pending = value;
        this.queue.reply(ACK);
        break;
      case CMD_STATUS: {
        const { buttons } = this;
        const lmr = ((buttons & 1) << 2) | ((buttons & 4) >> 1) | ((buttons & 2) >> 1);
        const flags = (this.remote ? STATUS_REMOTE : 0) | (this.enabled ? STATUS_ENABLED : 0) | (this.scaling ? STATUS_SCALING : 0);
        this.queue.reply(ACK, flags | lmr, this.resolution, this.sampleRate);
        break;
      }
      case CMD_STREAM:
        this.remote = false;
        this.clearMovement();
        this.queue.reply(ACK);
        break;
      case CMD_READ_DATA:
        this.queue.reply(ACK, ...this.packet(false));
        break;
      case CMD_RESET_WRAP:
        this.wrap = false;
        this.queue.reply(ACK);
        break;
      case CMD_WRAP:
        this.wrap = true;
        this.queue.reply(ACK);
        break;
      case CMD_REMOTE:
        this.remote = true;
        this.clearMovement();
        this.queue.reply(ACK);
        break;
      case CMD_IDENTIFY:
        this.queue.reply(ACK, this.deviceId);
        break;
      case CMD_ENABLE:
        this.enabled = true;
        this.clearMovement();
        this.queue.reply(ACK);
        break;
      case CMD_DISABLE:
        this.enabled = false;
        this.queue.reply(ACK);
        break;
      case CMD_DEFAULTS:
        this.defaults();
        this.queue.reply(ACK);
        break;
      case CMD_RESEND:
        this.queue.reply(this.queue.lastSent);
        break;
      case CMD_RESET:
        this.defaults();
        this.wrap = false;
        this.deviceId = ID_STANDARD;
        this.rates = [0, 0, 0];
        this.queue.reply(ACK, BAT_OK, ID_STANDARD);
        break;
      default:
        this.log.guest(`unknown mouse command 0x${value.toString(16)}`);
        this.queue.reply(NAK);
    }
  }

  private setSampleRate(rate: number): void {
    this.sampleRate = rate;
    this.rates = [this.rates[1]!, this.rates[2]!, rate];
    const [a, b, c] = this.rates;
    if (a === 200 && b === 100 && c === 80) this.deviceId = ID_WHEEL;
    else if (a === 200 && b === 200 && c === 80) this.deviceId = ID_EXPLORER;
  }

  private defaults(): void {
    this.enabled = false;
    this.remote = false;
    this.scaling = false;
    this.resolution = 2;
    this.sampleRate = 100;
    this.clearMovement();
  }

  private clearMovement(): void {
    this.dx = 0;
    this.dy = 0;
    this.dz = 0;
  }

  /** Movement waits while packets are on their way; a change of buttons gets a packet of its own as long as there is room. */
  private makePackets(buttonsChanged: boolean): boolean {
    if (!this.reporting) return false;
    const size = this.deviceId === ID_STANDARD ? 3 : 4;
    let force = buttonsChanged && this.queue.dataLength + size <= QUEUE_LIMIT;
    if (!force && this.queue.length > 0) return false;
    if (this.deviceId === ID_STANDARD) this.dz = 0;
    let sent = false;
    // At most four packets at once: a long way goes in several steps.
    for (let i = 0; i < 4 && (force || this.dx || this.dy || this.dz || this.buttons !== this.sentButtons); i++) {
      if (this.queue.dataLength + size > QUEUE_LIMIT) break;
      this.queue.push(...this.packet(this.scaling));
      force = false;
      sent = true;
    }
    return sent;
  }

  private packet(scaled: boolean): number[] {
    const step = (value: number, limit: number) => Math.max(-limit, Math.min(limit, value));
    const dx = step(this.dx, MAX_STEP);
    const dy = step(this.dy, MAX_STEP);
    this.dx -= dx;
    this.dy -= dy;
    const x = scaled ? step(scale(dx), MAX_STEP) : dx;
    const y = scaled ? step(scale(dy), MAX_STEP) : dy;
    const bytes = [PACKET_ALWAYS | (this.buttons & 7) | (x < 0 ? X_SIGN : 0) | (y < 0 ? Y_SIGN : 0), x & 0xff, y & 0xff];
    if (this.deviceId === ID_WHEEL) {
      const dz = step(this.dz, 127);
      this.dz -= dz;
      bytes.push(dz & 0xff);
    } else if (this.deviceId === ID_EXPLORER) {
      const dz = step(this.dz, 7);
      this.dz -= dz;
      bytes.push((dz & 0x0f) | ((this.buttons & 0x18) << 1));
    }
    this.sentButtons = this.buttons;
    return bytes;
  }
}

/** Scaling 2:1 of stream mode: 0 1 1 3 6 9, then double (technical reference, "Set Scaling 2:1"). */
function scale(value: number): number {
  const size = Math.abs(value);
  return Math.sign(value) * (size < 6 ? [0, 1, 1, 3, 6, 9][size]! : size * 2);
}
