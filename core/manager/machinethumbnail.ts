import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { RunningVm } from '../engine/engine.ts';

const THUMBNAIL_FILE = 'thumbnail.png';
/** Of a card, sharp on screens with two pixels to a point. Text modes are no wider: they come as they are. */
const THUMBNAIL_WIDTH = 720;

/** The last picture of a machine's screen: a small one while it runs, a larger one in its folder when it is off. */
export class MachineThumbnail {
  /** Counts pictures that differ. */
  version = 0;
  private png: Uint8Array | undefined;
  private hash = '';
  private refreshing: Promise<boolean> | undefined;

  /** Takes a new picture, or waits for the one that is being taken. True when it differs from the last. */
  refresh(vm: RunningVm): Promise<boolean> {
    this.refreshing ??= this.look(vm).finally(() => {
      this.refreshing = undefined;
    });
    return this.refreshing;
  }

  /** The machine has ended: `png` is what its screen showed, where that is known. */
  end(png: Uint8Array | undefined): void {
    if (!png) return;
    this.png = png;
    this.hash = '';
    this.version++;
  }

  private async look(vm: RunningVm): Promise<boolean> {
    try {
      const { png } = await vm.screenshot(THUMBNAIL_WIDTH);
      const hash = createHash('sha1').update(png).digest('base64');
      if (hash === this.hash) return false;
      this.hash = hash;
      this.png = png;
      this.version++;
      return true;
    } catch {
      // The machine ended meanwhile: the last picture stays.
      return false;
    }
  }

  async read(folder: string): Promise<Uint8Array | null> {
    this.png ??= await readFile(path.join(folder, THUMBNAIL_FILE)).catch(() => undefined);
    return this.png ?? null;
  }

  /** The picture outlives the process. A lost one is no harm, so no fsync. */
  async save(folder: string): Promise<void> {
    if (this.png) await writeFile(path.join(folder, THUMBNAIL_FILE), this.png);
  }
}
