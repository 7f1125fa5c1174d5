import type { InputSink } from '../../backend/display.ts';
import type { Disposable } from '../../util/disposable.ts';
import { Emitter } from '../../util/emitter.ts';
import { TABLET_MAX, type UsbTablet } from '../usb/tablet.ts';
import type { Ps2Keyboard } from './ps2keyboard.ts';
import type { Ps2Mouse } from './ps2mouse.ts';
import type { VmMouse } from './vmmouse.ts';

// InputSink buttons: 0 left, 1 middle, 2 right, 3 wheel up, 4 wheel down, 5 wheel left, 6 wheel right.
const SINK_LEFT = 0x01;
const SINK_MIDDLE = 0x02;
const SINK_RIGHT = 0x04;
const SINK_WHEEL_UP = 0x08;
const SINK_WHEEL_DOWN = 0x10;

export interface GuestInputOptions {
  keyboard: Ps2Keyboard;
  mouse: Ps2Mouse;
  vmmouse?: VmMouse;
  tablet?: UsbTablet | undefined;
  /** The picture that absolute positions refer to. */
  display: { readonly width: number; readonly height: number };
}

type Receiver = 'tablet' | 'vmmouse' | 'vmmouse relative' | 'mouse';

/** x, y in pixels of the picture; movement right and down, wheel towards the user; buttons: left, right, middle in bits 0..2. */
interface Pointer {
  x: number;
  y: number;
  dx: number;
  dy: number;
  dz: number;
  buttons: number;
}

/** Key events that wait for the guest to read those before them: a long line of text. More are not taken. */
const BACKLOG_MAX = 512;

/** Brings viewers' keys and pointer to the guest: absolute positions where the guest takes them, else as movement of the PS/2 mouse. */
export class GuestInput implements InputSink {
  private readonly options: GuestInputOptions;
  private lastX: number | undefined;
  private lastY: number | undefined;
  private lastButtons = 0;
  private sent: { receiver: Receiver; held: number } = { receiver: 'mouse', held: 0 };
  private readonly absoluteChanged = new Emitter<boolean>();
  private wasAbsolute = false;
  private readonly held = new Set<number>();
  /** Key events the keyboard has no room for yet: a machine that the host lets wait gets many keys at once, and a lost release would stick. */
  private readonly backlog: { key: number; down: boolean }[] = [];

  constructor(options: GuestInputOptions) {
    this.options = options;
    options.keyboard.onRoom = () => this.sendBacklog();
    options.tablet?.listeningChanged.on(() => this.modeMayHaveChanged());
    options.vmmouse?.absoluteChanged.on(() => this.modeMayHaveChanged());
  }

  keyScancode(code: number, down: boolean): void {
    const key = code & 0xff;
    if (down) {
      // Only presses are refused, so that every key which went down comes up.
      if (this.backlog.length >= BACKLOG_MAX) return;
      this.held.add(key);
    }
    // A release nobody pressed is a viewer that came late.
    else if (!this.held.delete(key)) return;
    this.backlog.push({ key, down });
    this.sendBacklog();
  }

  private sendBacklog(): void {
    const { keyboard } = this.options;
    while (this.backlog.length > 0 && keyboard.hasRoom) {
      const { key, down } = this.backlog.shift()!;
      keyboard.key(key, down);
    }
  }

  /** The machine was reset: what was typed before it is not for the system that comes up now. Keys that are down come up as they always do. */
  reset(): void {
    this.backlog.length = 0;
  }

  /** Lets go of everything that is held: for a viewer that went away with keys down. */
  releaseAll(): void {
    for (const key of [...this.held]) this.keyScancode(key, false);
    if (this.lastButtons !== 0) this.pointerRelative(0, 0, 0);
  }

  pointerAbsolute(x: number, y: number, buttons: number): void {
    const dz = this.wheel(buttons);
    const dx = this.lastX === undefined ? 0 : x - this.lastX;
    const dy = this.lastY === undefined ? 0 : y - this.lastY;
    this.lastX = x;
    this.lastY = y;
    this.send({ x, y, dx, dy, dz, buttons: deviceButtons(buttons) });
  }

  pointerRelative(dx: number, dy: number, buttons: number): void {
    if (this.absolute) {
      const { display } = this.options;
      const clamp = (value: number, size: number) => Math.max(0, Math.min(size - 1, value));
      this.pointerAbsolute(clamp((this.lastX ?? 0) + dx, display.width), clamp((this.lastY ?? 0) + dy, display.height), buttons);
    } else this.send({ x: 0, y: 0, dx, dy, dz: this.wheel(buttons), buttons: deviceButtons(buttons) });
  }

  get absolute(): boolean {
    const { receiver } = this;
    return receiver === 'tablet' || receiver === 'vmmouse';
  }

  onPointerModeChange(listener: (absolute: boolean) => void): Disposable {
    return this.absoluteChanged.on(listener);
  }

  get leds(): number {
    return this.options.keyboard.leds;
  }

  onLedsChange(listener: (leds: number) => void): Disposable {
    return this.options.keyboard.ledsChanged.on(listener);
  }

  /**
   * Who gets the pointer, one at a time: the tablet while a driver in the guest asks it for reports, for it was plugged in on purpose; else VMware's pointer
   * when the guest has turned it on; else the mouse that every system knows.
   */
  private get receiver(): Receiver {
    const { tablet, vmmouse } = this.options;
    if (tablet?.listening) return 'tablet';
    return vmmouse?.absolute ? 'vmmouse' : vmmouse?.enabled ? 'vmmouse relative' : 'mouse';
  }

  private send(pointer: Pointer): void {
    const { receiver, held } = this.sent;
    const now = this.receiver;
    // A button that went down at one comes up there.
    if (receiver !== now && held !== 0) this.sendTo(receiver, { ...pointer, dx: 0, dy: 0, dz: 0, buttons: 0 });
    this.sent = { receiver: now, held: pointer.buttons };
    this.sendTo(now, pointer);
  }

  private sendTo(receiver: Receiver, { x, y, dx, dy, dz, buttons }: Pointer): void {
    const { mouse, vmmouse, tablet, display } = this.options;
    const scaled = (value: number, size: number, full: number) => Math.round((value * full) / Math.max(1, size - 1));
    if (receiver === 'mouse') mouse.move(dx, dy, dz, buttons);
    else if (receiver === 'vmmouse relative') vmmouse?.move(dx, dy, dz, buttons);
    else {
      const full = receiver === 'tablet' ? TABLET_MAX : 0xffff;
      (receiver === 'tablet' ? tablet : vmmouse)?.moveTo(scaled(x, display.width, full), scaled(y, display.height, full), dz, buttons);
    }
  }

  private modeMayHaveChanged(): void {
    if (this.absolute === this.wasAbsolute) return;
    this.wasAbsolute = this.absolute;
    this.absoluteChanged.emit(this.absolute);
  }

  /** Wheel clicks come as presses of buttons 3 and 4; only the press counts. */
  private wheel(buttons: number): number {
    const pressed = buttons & ~this.lastButtons;
    this.lastButtons = buttons;
    return (pressed & SINK_WHEEL_DOWN ? 1 : 0) - (pressed & SINK_WHEEL_UP ? 1 : 0);
  }
}

/** To left, right, middle in bits 0..2. */
function deviceButtons(buttons: number): number {
  return (buttons & SINK_LEFT ? 1 : 0) | (buttons & SINK_RIGHT ? 2 : 0) | (buttons & SINK_MIDDLE ? 4 : 0);
}
