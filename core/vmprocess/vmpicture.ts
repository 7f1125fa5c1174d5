import { performance } from 'node:perf_hooks';
import { VgaScanout } from '../devices/display/scanout.ts';
import { readTextScreen, type TextScreen } from '../devices/display/textscreen.ts';
import type { DisplayMode } from '../engine/engine.ts';
import { type Mailbox, MB_VIEWERS } from '../memory/mailbox.ts';
import { encodePng } from '../platform/png.ts';
import { scalePicture } from './scalepicture.ts';

interface Screenshot {
  width: number;
  height: number;
  png: Uint8Array;
}

/** What a machine's screen shows, read from the shared memory. */
export class VmPicture {
  readonly scanout: VgaScanout;
  /** Changes of the picture so far. */
  frames = 0;
  /** The last screenshot, and of what it is. */
  private kept: { of: string; shot: Screenshot } | undefined;
  private readonly memory: WebAssembly.Memory;
  private mode: DisplayMode | undefined;

  constructor(memory: WebAssembly.Memory, mailbox: Mailbox) {
    this.memory = memory;
    this.scanout = new VgaScanout({
      memory,
      now: () => performance.now(),
      setViewerCount: (count) => Atomics.store(mailbox.words, MB_VIEWERS, count),
      every: (ms, callback) => {
        const timer = setInterval(callback, ms);
        return { dispose: () => clearInterval(timer) };
      },
    });
    this.scanout.onDamage(() => this.frames++);
  }

  screenshot(maxWidth?: number): Screenshot {
    this.scanout.refresh();
    const { width, height, pixels } = this.scanout;
    // Cards ask every two seconds, and most screens stand still.
    const of = `${this.frames} ${width} ${height} ${maxWidth}`;
    if (this.kept?.of === of) return this.kept.shot;
    const picture = maxWidth && width > maxWidth ? scalePicture({ width, height, pixels }, maxWidth) : { width, height, pixels };
    const shot = { width: picture.width, height: picture.height, png: encodePng(picture) };
    this.kept = { of, shot };
    return shot;
  }

  /** Null in graphics. */
  text(): TextScreen | null {
    return readTextScreen(this.memory) ?? null;
  }

  /** The mode of the display when it is another than at the last call. */
  newMode(absolutePointer: boolean): DisplayMode | undefined {
    const { width, height, text, resizable } = this.scanout.mode();
    const { mode: old } = this;
    const same = old?.width === width && old.height === height && old.text === text && old.resizable === resizable;
    if (same && old.absolutePointer === absolutePointer) return undefined;
    this.mode = { width, height, text, absolutePointer, resizable };
    return this.mode;
  }
}
