import type { InputSink } from '../backend/display.ts';

/** Zero of a relative motion (rfbproto, QEMU Pointer Motion Change). */
const RELATIVE_ZERO = 0x7fff;

/** Turns a viewer's pointer events into what the guest's pointing device takes. */
export class PointerTranslator {
  /** The client understands QEMU's pointer motion change, so that with a relative device its positions are motions. */
  relativeClient = false;
  private readonly input: InputSink;
  private last: { x: number; y: number } | undefined;
  private buttons = 0;

  constructor(input: InputSink) {
    this.input = input;
  }

  /** Position or motion as sent, picture size in pixels. */
  move(x: number, y: number, buttons: number, width: number, height: number): void {
    this.buttons = buttons;
    if (!this.input.absolute && this.relativeClient) {
      this.last = undefined;
      this.input.pointerRelative(x - RELATIVE_ZERO, y - RELATIVE_ZERO, buttons);
      return;
    }
    const inside = { x: Math.min(x, width - 1), y: Math.min(y, height - 1) };
    this.last = inside;
    this.input.pointerAbsolute(inside.x, inside.y, buttons);
  }

  /** The viewer is gone: no button stays pressed. */
  release(): void {
    if (!this.buttons) return;
    if (this.last) this.input.pointerAbsolute(this.last.x, this.last.y, 0);
    else this.input.pointerRelative(0, 0, 0);
    this.buttons = 0;
  }
}
