import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { type Settings, settingsSchema } from '../contract/host.ts';
import { writeFileAtomic } from '../platform/atomicfile.ts';
import { fileError } from '../platform/nodefile.ts';
import type { Logger } from '../util/logger.ts';

/** settings.json: read once, written atomically. A file that can't be understood is set aside, never overwritten. */
export class SettingsStore {
  private readonly file: string;
  private values: Settings;
  private saving: Promise<unknown> = Promise.resolve();

  private constructor(file: string, values: Settings) {
    this.file = file;
    this.values = values;
  }

  static async open(folder: string, log: Logger): Promise<SettingsStore> {
    const file = path.join(folder, 'settings.json');
    let text: string;
    try {
      await mkdir(folder, { recursive: true });
      text = await readFile(file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') log.warn(`${fileError(error, file, 'read').message}; defaults are used`);
      return new SettingsStore(file, settingsSchema.parse({}));
    }
    try {
      return new SettingsStore(file, settingsSchema.parse(JSON.parse(text)));
    } catch {
      const aside = `${file}.unreadable`;
      log.warn(`${file} could not be understood; it was kept as ${aside} and defaults are used`);
      // A full disk must not keep the program from opening.
      await writeFileAtomic(aside, text).catch((error) => log.warn(String(error)));
      return new SettingsStore(file, settingsSchema.parse({}));
    }
  }

  get(): Settings {
    return this.values;
  }

  /** One change at a time, so that none is lost. */
  set(patch: Partial<Settings>): Promise<Settings> {
    const work = this.saving.then(async () => {
      const next = settingsSchema.parse({ ...this.values, ...patch });
      await writeFileAtomic(this.file, `${JSON.stringify(next, null, 2)}\n`);
      this.values = next;
      return next;
    });
    this.saving = work.catch(() => {});
    return work;
  }
}
