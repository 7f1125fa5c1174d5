import { readFile } from 'node:fs/promises';
import { uefiVariableBytes } from '../devices/platform/uefivariables.ts';
import { writeFileAtomic } from '../platform/atomicfile.ts';
import { fileError } from '../platform/nodefile.ts';
import { setNvramAside } from '../platform/nvram.ts';
import { asHypervueError } from '../util/errors.ts';
import type { Logger } from '../util/logger.ts';

/** Firmware writes variables byte by byte and in several steps; the file follows this long after the last of them. */
const SETTLE_MS = 1000;

/**
 * A machine's UEFI variables on the host: boot entries, the time zone, keys. Read from `file` at start, written when the guest has changed them. The file is
 * always replaced as a whole, so it is at every instant what the flash memory was at some moment, which is what the firmware's own journal expects.
 */
export class FirmwareVariables {
  private readonly file: string;
  private readonly contents: Uint8Array;
  private readonly log: Logger;
  private timer: NodeJS.Timeout | undefined;
  private changed = false;
  private writing: Promise<void> = Promise.resolve();
  private failing = false;

  private constructor(file: string, contents: Uint8Array, log: Logger) {
    this.file = file;
    this.contents = contents;
    this.log = log;
  }

  /**
   * Puts what `file` keeps into the firmware `image`. A file that does not fit this firmware (another build, damaged) is set aside under another name and
   * the firmware starts with its defaults. Undefined when the image has no place for variables. Rejects when the file is there but can't be read.
   */
  static async load(file: string, image: Uint8Array, log: Logger): Promise<FirmwareVariables | undefined> {
    const length = uefiVariableBytes(image);
    if (length === 0) return undefined;
    const kept = await readKept(file);
    if (kept) {
      if (kept.length === length && uefiVariableBytes(kept) === length) image.set(kept);
      else {
        const aside = await setNvramAside(file);
        log.warn(
          `the UEFI variables in ${file} do not fit this firmware; they are kept as ${aside}, and the firmware starts with its defaults`,
        );
      }
    }
    return new FirmwareVariables(file, image.slice(0, length), log);
  }

  /** The guest changed `bytes` at `offset`. */
  update(offset: number, bytes: Uint8Array): void {
    this.contents.set(bytes, offset);
    this.changed = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.write(), SETTLE_MS);
  }

  /** Writes what is not written yet. Resolves even when that fails; the log says so. */
  async close(): Promise<void> {
    clearTimeout(this.timer);
    await this.write();
  }

  private write(): Promise<void> {
    this.writing = this.writing.then(async () => {
      if (!this.changed) return;
      this.changed = false;
      try {
        await writeFileAtomic(this.file, this.contents);
        this.failing = false;
      } catch (error) {
        // Once for each trouble; the next change or the machine's end tries again.
        this.changed = true;
        if (!this.failing) this.log.error(`the UEFI variables are not saved: ${asHypervueError(error).message}`);
        this.failing = true;
      }
    });
    return this.writing;
  }
}

async function readKept(file: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(error, file, 'read');
  }
}
