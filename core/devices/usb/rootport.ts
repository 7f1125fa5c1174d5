/** A root hub port: xHCI 1.2, sections 4.19 and 5.4.8. */
import type { UsbDevice } from '../../bus/usb/usbdevice.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { StateValue } from '../../snapshot/snapshottable.ts';
import * as R from './xhciregisters.ts';

export interface RootPortOptions {
  /** From 1. */
  number: number;
  /** A USB 3 port, else a USB 2 port. */
  super: boolean;
  /** The first change since software cleared all: a port status change event is due. */
  changed(): void;
  /** The bus behind the port was reset: its device has forgotten its address and configuration. */
  busReset(): void;
}

export class RootPort {
  readonly number: number;
  readonly super: boolean;
  device: UsbDevice | undefined;
  private readonly options: RootPortOptions;
  /** PORTSC without what follows from the device. */
  private status = R.PORT_POWER;
  private power = 0;
  /** Software was told of a device. */
  private known = false;
  /** What was there when the state was saved is not what is there now: `exchange` says so. */
  stale = false;

  constructor(options: RootPortOptions) {
    this.options = options;
    this.number = options.number;
    this.super = options.super;
    this.reset();
  }

  /** Software has not seen every change yet. */
  get hasChanges(): boolean {
    return (this.status & R.PORT_CHANGES) !== 0;
  }

  /** A device is there and may be talked to. */
  get enabled(): boolean {
    return this.device !== undefined && (this.status & R.PORT_ENABLED) !== 0;
  }

  /** As after power-on: a device that is there is found as if it had just been plugged in. */
  reset(): void {
    this.power = 0;
    this.status = R.PORT_POWER;
    this.setLink(R.LINK_RX_DETECT);
    this.device?.reset();
    this.stale = false;
    this.known = this.device !== undefined;
    if (this.device) {
      this.trained();
      this.status |= R.PORT_CONNECT_CHANGE;
    }
  }

  plug(device: UsbDevice): void {
    this.device = device;
    this.stale = false;
    this.known = true;
    this.status &= ~R.PORT_ENABLED;
    this.trained();
    this.change(R.PORT_CONNECT_CHANGE);
  }

  unplug(): void {
    this.device = undefined;
    this.known = this.stale = false;
    const wasEnabled = (this.status & R.PORT_ENABLED) !== 0;
    this.status &= ~R.PORT_ENABLED;
    this.setLink(R.LINK_RX_DETECT);
    // A USB 2 port that goes off with its device says so (section 4.19.1.1).
    this.change(R.PORT_CONNECT_CHANGE | (wasEnabled && !this.super ? R.PORT_ENABLE_CHANGE : 0));
  }

  read(offset: number): number {
    if (offset === R.P_STATUS) {
      const speed = this.device && (this.super || this.enabled) ? R.SPEED_IDS[this.device.speed] : 0;
      return (this.status | (this.device ? R.PORT_CONNECTED : 0) | (speed << R.PORT_SPEED_SHIFT)) >>> 0;
    }
    return offset === R.P_POWER ? this.power : 0;
  }

  write(offset: number, value: number): void {
    if (offset === R.P_POWER) this.power = value;
    if (offset !== R.P_STATUS) return;
    this.status &= ~(value & R.PORT_CHANGES);
    this.status = (this.status & ~R.PORT_WAKES) | (value & R.PORT_WAKES);
    if (!(value & R.PORT_POWER)) {
      if (this.status & R.PORT_POWER) this.turnOff();
      return;
    }
    if (!(this.status & R.PORT_POWER)) {
      this.status |= R.PORT_POWER;
      this.setLink(R.LINK_RX_DETECT);
      if (this.device) {
        this.trained();
        this.change(R.PORT_CONNECT_CHANGE);
      }
    }
    if (value & R.PORT_RESET || (this.super && value & R.PORT_WARM_RESET)) this.resetBus((value & R.PORT_WARM_RESET) !== 0);
    else if (value & R.PORT_ENABLED && this.status & R.PORT_ENABLED) this.disable();
    else if (value & R.PORT_LINK_WRITE) this.writeLink((value & R.PORT_LINK) >>> R.PORT_LINK_SHIFT);
  }

  save(): StateValue {
    return { status: this.status >>> 0, power: this.power, known: this.known };
  }

  /** Puts the registers back. A device that was there then, and can't go on from there, is `stale`. */
  restore(state: StateReader): void {
    this.status = state.number('status', 0, 0xffffffff) | 0;
    this.power = state.number('power', 0, 0xffffffff);
    this.known = state.boolean('known');
    this.stale = this.device ? !this.known || !this.device.restore : this.known;
  }

  /** Tells software that its device is gone, and what is there in its place. */
  exchange(): void {
    if (this.device) this.plug(this.device);
    else this.unplug();
  }

  /** A device was found: a USB 3 link trains by itself, a USB 2 device waits for a reset (sections 4.19.1.1 and 4.19.1.2). */
  private trained(): void {
    if (!this.super) this.setLink(R.LINK_POLLING);
    else {
      this.status |= R.PORT_ENABLED;
      this.setLink(R.LINK_U0);
    }
  }

  private turnOff(): void {
    this.status &= ~(R.PORT_POWER | R.PORT_CHANGES);
    this.disable();
  }

  private disable(): void {
    this.status &= ~R.PORT_ENABLED;
    this.setLink(R.LINK_DISABLED);
    this.device?.reset();
    this.options.busReset();
  }

  private resetBus(warm: boolean): void {
    this.device?.reset();
    this.options.busReset();
    if (this.device) {
      this.status |= R.PORT_ENABLED;
      this.setLink(R.LINK_U0);
    }
    this.change(R.PORT_RESET_CHANGE | (warm ? R.PORT_WARM_CHANGE : 0));
  }

  private writeLink(link: number): void {
    const now = this.link;
    if (link === R.LINK_U0 && this.enabled && now !== R.LINK_U0) {
      this.setLink(R.LINK_U0);
      this.change(R.PORT_LINK_CHANGE);
    } else if ((link === R.LINK_U3 && this.enabled) || (link === R.LINK_RESUME && now === R.LINK_U3 && !this.super)) this.setLink(link);
    else if (this.super && link === R.LINK_DISABLED) this.disable();
    else if (this.super && link === R.LINK_RX_DETECT && now === R.LINK_DISABLED) {
      this.setLink(R.LINK_RX_DETECT);
      if (this.device) this.trained();
    }
  }

  private get link(): number {
    return (this.status & R.PORT_LINK) >>> R.PORT_LINK_SHIFT;
  }

  private setLink(link: number): void {
    this.status = (this.status & ~R.PORT_LINK) | (link << R.PORT_LINK_SHIFT);
  }

  private change(bits: number): void {
    const first = !this.hasChanges;
    this.status |= bits;
    if (first) this.options.changed();
  }
}
