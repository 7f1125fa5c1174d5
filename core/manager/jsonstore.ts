import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { writeFileAtomic } from '../platform/atomicfile.ts';
import { fileError } from '../platform/nodefile.ts';
import type { Logger } from '../util/logger.ts';

/** Turns what a file held into values; throws when it makes no sense. `parse({})` gives the defaults. */
export interface Parser<T> {
  parse(value: unknown): T;
}

/** A small JSON file: read once, written atomically. A file that can't be understood is set aside, never overwritten. */
export class JsonStore<T extends object> {
  private readonly file: string;
  private readonly parser: Parser<T>;
  private readonly mode: number | undefined;
  private values: T;
  private saving: Promise<unknown> = Promise.resolve();

  private constructor(file: string, parser: Parser<T>, values: T, mode: number | undefined) {
    this.file = file;
    this.parser = parser;
    this.values = values;
    this.mode = mode;
  }

  /** `mode`: permission bits of the file, when they are not the usual ones. */
  static async open<T extends object>(file: string, parser: Parser<T>, log: Logger, mode?: number): Promise<JsonStore<T>> {
    let text: string;
    try {
      await mkdir(path.dirname(file), { recursive: true });
      text = await readFile(file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') log.warn(`${fileError(error, file, 'read').message}; defaults are used`);
      return new JsonStore(file, parser, parser.parse({}), mode);
    }
    try {
      return new JsonStore(file, parser, parser.parse(JSON.parse(text)), mode);
    } catch {
      const aside = `${file}.unreadable`;
      log.warn(`${file} could not be understood; it was kept as ${aside} and defaults are used`);
      // A full disk must not keep the program from opening.
      await writeFileAtomic(aside, text, mode).catch((error) => log.warn(String(error)));
      return new JsonStore(file, parser, parser.parse({}), mode);
    }
  }

  get(): T {
    return this.values;
  }

  /** Reads the file again, which another process may have written. One that can't be read or understood now changes nothing. */
  reload(): Promise<T> {
    const work = this.saving.then(async () => {
      try {
        this.values = this.parser.parse(JSON.parse(await readFile(this.file, 'utf8')));
      } catch {
        // What was understood before stays.
      }
      return this.values;
    });
    this.saving = work;
    return work;
  }

  set(patch: Partial<T>): Promise<T> {
    return this.change((now) => ({ ...now, ...patch }));
  }

  /** One change at a time, so that none is lost. `edit` may throw: nothing is changed then. */
  change(edit: (now: T) => T): Promise<T> {
    const work = this.saving.then(async () => {
      const next = this.parser.parse(edit(this.values));
      await writeFileAtomic(this.file, `${JSON.stringify(next, null, 2)}\n`, this.mode);
      this.values = next;
      return next;
    });
    this.saving = work.catch(() => {});
    return work;
  }
}
