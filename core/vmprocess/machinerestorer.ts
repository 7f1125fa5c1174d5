/** Puts saved states into the machine of this process: into one that has run nothing yet, or in place of what runs. */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { VmConfig } from '../contract/vm.ts';
import { machineShape } from '../engine/builtin/machineshape.ts';
import type { RestoreFrom, RevertRequest } from '../engine/engine.ts';
import { syncFolder } from '../platform/atomicfile.ts';
import { stampMedia } from '../platform/mediastamps.ts';
import { fileError } from '../platform/nodefile.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { SaidKey } from '../contract/saidtexts.ts';
import { checkDiskSnapshots, revertDisks } from './disksnapshots.ts';
import type { DriveService } from './drives.ts';
import type { MachineSaver } from './machinesaver.ts';
import type { MachineThreads } from './machinethreads.ts';
import { type MachineMemory, SavedMachineFile } from './savedmachine.ts';

/** Why a machine that is on can't be reverted just now. */
type Why = Extract<SaidKey, `why${string}`>;

export interface MachineRestorerParts {
  config: VmConfig;
  folder: string;
  drives: DriveService;
  threads: MachineThreads;
  saver: MachineSaver;
  memory(): MachineMemory;
  /** It is not paused. */
  running(): boolean;
  /** Why the machine can't be another one at once now; undefined when it can. */
  held(): Why | undefined;
}

export class MachineRestorer {
  private readonly parts: MachineRestorerParts;

  constructor(parts: MachineRestorerParts) {
    this.parts = parts;
  }

  /** Puts a saved machine into this one, which stands and has run nothing. */
  async restore(saved: SavedMachineFile, { file, consume }: RestoreFrom): Promise<void> {
    const { threads } = this.parts;
    await saved.unlock((drive) => this.parts.drives.deriver(drive));
    const tree = await saved.load(this.parts.memory());
    await saved.close();
    await threads.ask((id) => ({ t: 'restore', id, tree }), 'restore');
    await this.tellMedia(saved);
    if (!consume) return;
    try {
      await rm(file);
      await syncFolder(path.dirname(file));
    } catch (error) {
      throw fileError(error, file, 'remove');
    }
  }

  /**
   * The machine, which runs or is paused, becomes what it was when the snapshot was taken, and stands. Resolves with whether it was paused then. Rejects with 'unsupported' when this
   * can't be done without a new process, and like `SavedMachineFile.open` for a state that does not fit; the machine goes on then. `begins` is called before anything
   * changes: when it rejects after that, the machine is neither what it was nor what it should be, and has to be ended.
   */
  revert({ stateFile, tag, disks }: RevertRequest, begins: () => void): Promise<{ paused: boolean }> {
    const { config, drives, threads, saver } = this.parts;
    return saver.alone(async () => {
      const held = drives.waiting ? 'whyGuestWaits' : this.parts.held();
      if (held !== undefined) throw this.unsupported(held);
      const saved = await SavedMachineFile.open(stateFile, machineShape(config));
      try {
        const memory = this.parts.memory();
        if (!saved.sameFirmware(memory)) throw this.unsupported('whyFirmware');
        await saved.unlock((drive) => drives.deriver(drive));
        const images = drives.images();
        if (!(await checkDiskSnapshots(images, disks, tag))) throw this.unsupported('whyDiskSize');
        if (!(await threads.command('stand')).standsFree) {
          if (this.parts.running()) await threads.command('resume');
          throw this.unsupported('whyDiskBusy');
        }
        begins();
        const reverted = revertDisks(images, disks, tag);
        reverted.catch(() => {});
        const { tree, changed, unmark } = await saved.replace(memory, saver.baseline === stateFile);
        await reverted;
        await threads.ask((id) => ({ t: 'restore', id, tree, changed: Uint32Array.from(changed) }), 'revert');
        unmark();
        saver.baseline = stateFile;
        await this.tellMedia(saved);
        return { paused: saved.meta.paused };
      } finally {
        await saved.close();
      }
    });
  }

  /** A disc or floppy that is not what the guest knows: it hears of the change. */
  private async tellMedia(saved: SavedMachineFile): Promise<void> {
    const { config, folder, drives } = this.parts;
    const now = await stampMedia(config.drives, folder);
    for (const { id, kind } of config.drives) {
      const [before, after] = [saved.meta.media, now].map((stamps) => stamps.find(({ drive }) => drive === id));
      const same = before?.path === after?.path && before?.sizeBytes === after?.sizeBytes && before?.modifiedMs === after?.modifiedMs;
      if (kind !== 'disk' && !same) drives.replug(id);
    }
  }

  private unsupported(why: Why): HypervueError {
    const { name } = this.parts.config;
    return new HypervueError('unsupported', say('noRevertOn', { name, why: say(why) }), { object: name, operation: 'revert' });
  }
}
