import type { Settings } from '../../core/contract/host.ts';
import type { Manager } from '../../core/manager/manager.ts';
import type { ElectronParts } from './electronparts.ts';
import type { ManagerWatch } from './managerwatch.ts';
import { type Texts, textsFor } from './texts.ts';

/** The manager's settings as they are now, and the words that go with their language. */
export class Preferences {
  private readonly electron: Pick<ElectronParts, 'app'>;
  private readonly listeners: (() => void)[] = [];
  private settings: Settings;
  private words: Texts;

  private constructor(electron: Pick<ElectronParts, 'app'>, settings: Settings) {
    this.electron = electron;
    this.settings = settings;
    this.words = this.wordsOf(settings);
  }

  static async open(electron: Pick<ElectronParts, 'app'>, manager: Pick<Manager, 'handlers'>, watch: ManagerWatch): Promise<Preferences> {
    const preferences = new Preferences(electron, await manager.handlers['settings.get']({}));
    watch.on('settings.changed', (settings) => preferences.accept(settings));
    return preferences;
  }

  get current(): Settings {
    return this.settings;
  }

  get texts(): Texts {
    return this.words;
  }

  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  private accept(settings: Settings): void {
    this.settings = settings;
    this.words = this.wordsOf(settings);
    for (const listener of this.listeners) listener();
  }

  private wordsOf({ language }: Settings): Texts {
    return textsFor(language, this.electron.app.getPreferredSystemLanguages());
  }
}
