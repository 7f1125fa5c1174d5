import path from 'node:path';
import type { VmConfig } from '../contract/vm.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { CONFIG_FILE, readVmConfig, writeVmConfig } from './vmconfigfile.ts';

/** A machine's vm.json: as it was last read, changed one after another. */
export class ConfigKeeper {
  /** Null while the file can't be used. */
  config: VmConfig | null;
  private readonly id: string;
  private readonly place: { readonly folder: string; readonly name: string };
  private turn: Promise<unknown> = Promise.resolve();

  /** `place`: where the machine is and what it is called, at each moment. */
  constructor(id: string, config: VmConfig | null, place: { readonly folder: string; readonly name: string }) {
    this.id = id;
    this.config = config;
    this.place = place;
  }

  /** Resolves when what was asked for until now is done. */
  settled(): Promise<unknown> {
    return this.turn;
  }

  /** Does `work` after everything that was asked for before; it must not fail. */
  after(work: () => Promise<void>): void {
    this.turn = this.turn.then(work);
  }

  /**
   * One change at a time, so that none is lost; also none that was made by hand or by another manager meanwhile. `change` gets the present configuration and gives
   * the next one, or throws.
   */
  save(change: (now: VmConfig) => VmConfig | Promise<VmConfig>): Promise<void> {
    const work = this.turn.then(async () => {
      const next = await change(await this.read());
      await writeVmConfig(this.place.folder, next);
      this.config = next;
    });
    this.turn = work.catch(() => {});
    return work;
  }

  /** vm.json as it is now. Rejects when it was damaged meanwhile, so that nothing writes over what a person may still mend. */
  async read(): Promise<VmConfig> {
    const { folder, name } = this.place;
    const config = await readVmConfig(folder);
    if (config.id !== this.id)
      throw new HypervueError(
        'corrupt',
        say('configOfOther', { path: path.join(folder, CONFIG_FILE) }),
        { object: name, path: folder },
        say('fixConfigOfOther'),
      );
    return config;
  }

  /** It could not be read when it was looked at, and can be now. */
  async mended(): Promise<boolean> {
    if (this.config) return false;
    return readVmConfig(this.place.folder).then(
      () => true,
      () => false,
    );
  }
}
