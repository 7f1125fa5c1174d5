import type { CursorImage, DisplaySource, InputSink, Rect } from '../../backend/display.ts';
import { toDisposable, type Disposable } from '../../util/disposable.ts';
import { Emitter } from '../../util/emitter.ts';

/** A picture that a test paints. */
export class FakeSource implements DisplaySource {
  width: number;
  height: number;
  pixels: Uint32Array;
  cursor: CursorImage | undefined;
  viewers = 0;
  private readonly damage = new Emitter<readonly Rect[]>();
  private readonly size = new Emitter<null>();
  private readonly cursorChange = new Emitter<null>();

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
    this.pixels = new Uint32Array(width * height);
  }

  paint(rect: Rect, colour: (x: number, y: number) => number): void {
    for (let y = rect.y; y < rect.y + rect.height; y++)
      for (let x = rect.x; x < rect.x + rect.width; x++) this.pixels[y * this.width + x] = colour(x, y) & 0xffffff;
    this.damage.emit([rect]);
  }

  /** Moves everything up by `lines` and paints the freed bottom. */
  scrollUp(lines: number, colour: (x: number, y: number) => number): void {
    this.pixels.copyWithin(0, lines * this.width);
    for (let y = this.height - lines; y < this.height; y++)
      for (let x = 0; x < this.width; x++) this.pixels[y * this.width + x] = colour(x, y) & 0xffffff;
    this.damage.emit([{ x: 0, y: 0, width: this.width, height: this.height }]);
  }

  resize(width: number, height: number): void {
    this.width = width;
    this.height = height;
    this.pixels = new Uint32Array(width * height);
    this.size.emit(null);
  }

  setCursor(cursor: CursorImage): void {
    this.cursor = cursor;
    this.cursorChange.emit(null);
  }

  refresh(): void {}

  onDamage(listener: (rects: readonly Rect[]) => void): Disposable {
    return this.damage.on(listener);
  }

  onResize(listener: (width: number, height: number) => void): Disposable {
    return this.size.on(() => listener(this.width, this.height));
  }

  onCursor(listener: () => void): Disposable {
    return this.cursorChange.on(listener);
  }

  attachViewer(): Disposable {
    this.viewers++;
    return toDisposable(() => {
      this.viewers--;
    });
  }
}

/** Records what viewers did. */
export class FakeInput implements InputSink {
  readonly log: string[] = [];
  absolute = true;
  leds = 0;
  private readonly mode = new Emitter<boolean>();
  private readonly lights = new Emitter<number>();

  keyScancode(code: number, down: boolean): void {
    this.log.push(`${down ? 'down' : 'up'} ${code.toString(16)}`);
  }

  pointerAbsolute(x: number, y: number, buttons: number): void {
    this.log.push(`abs ${x},${y} ${buttons}`);
  }

  pointerRelative(dx: number, dy: number, buttons: number): void {
    this.log.push(`rel ${dx},${dy} ${buttons}`);
  }

  onPointerModeChange(listener: (absolute: boolean) => void): Disposable {
    return this.mode.on(listener);
  }

  onLedsChange(listener: (leds: number) => void): Disposable {
    return this.lights.on(listener);
  }

  setAbsolute(absolute: boolean): void {
    this.absolute = absolute;
    this.mode.emit(absolute);
  }
}
