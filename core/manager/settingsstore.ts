import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { type Settings, settingsSchema } from '../contract/host.ts';
import { writeFileAtomic } from '../platform/atomicfile.ts';
import type { Logger } from '../util/logger.ts';

/** settings.json: read once, written atomically. A file that can't be understood is set aside, never overwritten. */
export class SettingsStore {
  private readonly file: string;
  private values: Settings;

  private constructor(file: string, values: Settings) {
    this.file = file;
    this.values = values;
  }

  static async open(folder: string, log: Logger): Promise<SettingsStore> {
    const file = path.join(folder, 'settings.json');
    await mkdir(folder, { recursive: true });
    let text: string;
    try {
      text = await readFile(file, 'utf8');
    } catch {
      return new SettingsStore(file, settingsSchema.parse({}));
    }
    try {
      return new SettingsStore(file, settingsSchema.parse(JSON.parse(text)));
    } catch {
      const aside = `${file}.unreadable`;
      log.warn(`${file} could not be understood; it was kept as ${aside} and defaults are used`);
      await writeFileAtomic(aside, text);
      return new SettingsStore(file, settingsSchema.parse({}));
    }
  }

  get(): Settings {
    return this.values;
  }

  async set(patch: Partial<Settings>): Promise<Settings> {
    const next = settingsSchema.parse({ ...this.values, ...patch });
    await writeFileAtomic(this.file, `${JSON.stringify(next, null, 2)}\n`);
    this.values = next;
    return next;
  }
}
