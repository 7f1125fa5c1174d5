/** The command ring and its register: xHCI 1.2, sections 4.6.1 and 5.4.5. */
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { Logger } from '../../util/logger.ts';
import { command } from './commands.ts';
import type { UsbEvent } from './eventring.ts';
import type { DeviceSlot } from './slot.ts';
import * as T from './trb.ts';
import { TrbRing } from './trbring.ts';
import * as R from './xhciregisters.ts';

/** Commands that are done in one go; a ring that never ends is a broken driver. */
const MAX_COMMANDS = 1024;
/** Percent that software may plan with (section 6.2.6). */
const FREE_BANDWIDTH = 80;

export interface CommandRingOptions {
  memory: GuestMemory;
  slots: readonly DeviceSlot[];
  /** Of the root hub. */
  ports: number;
  /** Work may be done now. */
  ready(): boolean;
  post(event: UsbEvent): void;
  /** `run` is called again soon. */
  later(): void;
  /** The ring can't be worked on: the controller has an error. */
  failed(): void;
  log: Logger;
}

export class CommandRing {
  /** Both halves of the register as they were written while the ring stood. */
  low = 0;
  high = 0;
  private running = false;
  private waiting = false;
  private readonly ring: TrbRing;
  private readonly options: CommandRingOptions;

  constructor(options: CommandRingOptions) {
    this.options = options;
    this.ring = new TrbRing(options.memory);
  }

  reset(): void {
    this.low = this.high = 0;
    this.ring.set(0, 1);
    this.halt();
  }

  /** What the register shows; the address is not for reading. */
  read(): number {
    return this.running ? R.RING_RUNNING : 0;
  }

  write(low: boolean, value: number): void {
    if (this.running) {
      if (!low || !(value & (R.RING_STOP | R.RING_ABORT))) return;
      this.halt();
      this.post(this.ring.place.at, T.CC_RING_STOPPED, 0);
      return;
    }
    if (low) this.low = value;
    else this.high = value;
    this.ring.set(this.high * 2 ** 32 + this.low - (this.low & 0x3f), this.low & R.RING_CYCLE);
  }

  ringDoorbell(): void {
    this.running = this.waiting = true;
    this.run();
  }

  /** Carries out what the guest has handed over. */
  run(): void {
    const { slots, ready, later, failed, log } = this.options;
    for (let count = 0; this.waiting && ready(); count++) {
      if (count === MAX_COMMANDS) {
        later();
        return;
      }
      const trb = this.ring.next(this.ring.place);
      if (trb === undefined) this.waiting = false;
      else if (trb === 'endless') {
        log.guest('the command ring is nothing but links');
        this.waiting = false;
        failed();
      } else {
        const { code, slot } = command(trb, { slots, portBandwidth: (at) => this.portBandwidth(at) });
        this.post(trb.at, code, slot);
      }
    }
  }

  /** The controller stands; a doorbell begins anew where the ring is. */
  halt(): void {
    this.running = this.waiting = false;
  }

  save(): StateValue {
    return { ring: this.ring.save(), running: this.running, waiting: this.waiting };
  }

  restore(state: StateReader): void {
    this.ring.restore(state.object('ring'));
    this.running = state.boolean('running');
    this.waiting = state.boolean('waiting');
  }

  private post(at: number, code: number, slot: number): void {
    const control = ((slot << 24) | (T.T_COMMAND_EVENT << 10)) >>> 0;
    this.options.post({ low: at % 2 ** 32, high: Math.floor(at / 2 ** 32), status: (code << 24) >>> 0, control });
  }

  private portBandwidth(at: number): void {
    this.options.memory.write(at, Uint8Array.from([0, ...Array<number>(this.options.ports).fill(FREE_BANDWIDTH)]));
  }
}
