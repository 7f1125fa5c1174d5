import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { BrowserWindow, Rectangle } from 'electron';
import { z } from 'zod';
import type { Logger } from '../../core/util/logger.ts';

/** Moves and resizes come many a second; the last one counts. */
const SETTLE_MS = 500;
/** Windows that are remembered: the library and the consoles used last. */
const MAX_WINDOWS = 100;
/** So much of a window has to lie on a screen, or its title bar could not be grasped. */
const VISIBLE = { width: 100, height: 40 };

const side = z.number().int().min(-100_000).max(100_000);
const placeSchema = z.object({
  x: side,
  y: side,
  width: z.number().int().min(1).max(100_000),
  height: z.number().int().min(1).max(100_000),
  maximized: z.boolean().default(false),
  fullscreen: z.boolean().default(false),
});
export type WindowPlace = z.infer<typeof placeSchema>;
const fileSchema = z.record(z.string().max(200), placeSchema);

type Watched = Pick<BrowserWindow, 'getNormalBounds' | 'isMaximized' | 'isFullScreen' | 'isDestroyed' | 'maximize' | 'setFullScreen'> & {
  on(event: 'resize' | 'move' | 'close' | 'maximize' | 'unmaximize', listener: () => void): unknown;
};

/** Where windows were (`windows.json` in the settings folder), by what they show. */
export class WindowState {
  private readonly file: string;
  private readonly screens: () => Rectangle[];
  private readonly log: Logger;
  private readonly places: Map<string, WindowPlace>;

  /** `screens` are the work areas of the screens there are now. */
  constructor(folder: string, screens: () => Rectangle[], log: Logger) {
    this.file = path.join(folder, 'windows.json');
    this.screens = screens;
    this.log = log;
    this.places = new Map(Object.entries(this.read()));
  }

  /** Options for a window that is to be where it was: nothing but its size when that screen is gone, and its first size when it is new. */
  options(key: string, first: { width: number; height: number }): { width: number; height: number; x?: number; y?: number } {
    const place = this.places.get(key);
    if (!place) return first;
    const { x, y, width, height } = place;
    const screen = this.screens().find((area) => overlaps(area, place));
    if (screen) return { x, y, width, height };
    const largest = this.screens().reduce((a, b) => (a.width * a.height >= b.width * b.height ? a : b), { x: 0, y: 0, ...first });
    return { width: Math.min(width, largest.width), height: Math.min(height, largest.height) };
  }

  /** Brings a new window into the state it was in, and remembers what becomes of it. */
  track(key: string, window: Watched): void {
    const place = this.places.get(key);
    if (place?.maximized) window.maximize();
    if (place?.fullscreen) window.setFullScreen(true);
    let timer: NodeJS.Timeout | undefined;
    const note = () => {
      clearTimeout(timer);
      if (window.isDestroyed()) return;
      // The latest used come last, and the first ones go when there are too many.
      this.places.delete(key);
      this.places.set(key, { ...window.getNormalBounds(), maximized: window.isMaximized(), fullscreen: window.isFullScreen() });
      if (this.places.size > MAX_WINDOWS) this.places.delete(this.places.keys().next().value!);
      this.write();
    };
    const later = () => {
      clearTimeout(timer);
      timer = setTimeout(note, SETTLE_MS);
      timer.unref?.();
    };
    for (const event of ['resize', 'move', 'maximize', 'unmaximize'] as const) window.on(event, later);
    window.on('close', note);
  }

  private read(): Record<string, WindowPlace> {
    try {
      return fileSchema.parse(JSON.parse(readFileSync(this.file, 'utf8')));
    } catch {
      // The first start, or nothing that is worth more than a window in its usual place.
      return {};
    }
  }

  /** At once: the program may be about to end. */
  private write(): void {
    try {
      mkdirSync(path.dirname(this.file), { recursive: true });
      writeFileSync(`${this.file}.new`, JSON.stringify(Object.fromEntries(this.places), null, 2));
      renameSync(`${this.file}.new`, this.file);
    } catch (error) {
      this.log.warn(`the places of windows were not kept: ${String(error)}`);
    }
  }
}

function overlaps(area: Rectangle, place: Rectangle): boolean {
  const width = Math.min(area.x + area.width, place.x + place.width) - Math.max(area.x, place.x);
  const height = Math.min(area.y + area.height, place.y + VISIBLE.height) - Math.max(area.y, place.y);
  return width >= VISIBLE.width && height >= VISIBLE.height;
}
