import type { InputSink } from '../backend/display.ts';
import type { Disposable } from '../util/disposable.ts';
import { Emitter } from '../util/emitter.ts';
import type { ToMachine } from './machinemessages.ts';

/** Viewers' input on its way to the machine thread. */
export class RemoteInput implements InputSink {
  private readonly post: (message: ToMachine) => void;
  private readonly size: () => { width: number; height: number };
  private readonly pointerMode = new Emitter<boolean>();
  private readonly ledsChanged = new Emitter<number>();
  absolute = false;
  leds = 0;

  /** `size` gives the picture's size, which absolute positions refer to. */
  constructor(post: (message: ToMachine) => void, size: () => { width: number; height: number }) {
    this.post = post;
    this.size = size;
  }

  keyScancode(code: number, down: boolean): void {
    this.post({ t: 'key', code, down });
  }

  pointerAbsolute(x: number, y: number, buttons: number): void {
    this.post({ t: 'absolute', x, y, buttons, ...this.size() });
  }

  pointerRelative(dx: number, dy: number, buttons: number): void {
    this.post({ t: 'relative', dx, dy, buttons });
  }

  onPointerModeChange(listener: (absolute: boolean) => void): Disposable {
    return this.pointerMode.on(listener);
  }

  onLedsChange(listener: (leds: number) => void): Disposable {
    return this.ledsChanged.on(listener);
  }

  setPointerMode(absolute: boolean): void {
    if (this.absolute === absolute) return;
    this.absolute = absolute;
    this.pointerMode.emit(absolute);
  }

  setLeds(leds: number): void {
    if (this.leds === leds) return;
    this.leds = leds;
    this.ledsChanged.emit(leds);
  }
}
