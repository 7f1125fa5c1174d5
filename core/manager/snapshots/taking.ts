/** Takes snapshots: of machines that are on, by their processes; of those that are off or saved, in their files. */
import { operationWord, stateWord } from '../operationwords.ts';
import { randomBytes } from 'node:crypto';
import { constants, copyFile, mkdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { PlanStep, RiskKind, Snapshot } from '../../contract/snapshots.ts';
import { syncFile, syncFolder } from '../../platform/atomicfile.ts';
import { NVRAM_FILE } from '../../platform/nvram.ts';
import { asHypervueError, HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { refuseDeviceDisks } from '../devicedisks.ts';
import type { Machine } from '../machine.ts';
import { readStateMeta, SAVED_STATE, sameSavedDisks, stampSavedDisks } from '../savedstate.ts';
import { stateWatch, type TaskControl } from '../tasks.ts';
import { takeOffDisk } from './offdisks.ts';
import { step } from './plan.ts';
import { copyIfThere, type Settler } from './settling.ts';
import { anyEncrypted, writableDisks } from './snapshotdisks.ts';
import {
  endJournal,
  MEMORY_FILE,
  NVRAM,
  publicSnapshot,
  readManifest,
  snapshotFolder,
  type StoredSnapshot,
  tagOf,
  THUMBNAIL,
  writeJournal,
  writeManifest,
} from './store.ts';

export interface TakeOptions {
  name: string;
  description: string;
  /** Counts for machines that are on or saved. */
  memory: boolean;
  automatic?: RiskKind;
}

/** What of a snapshot depends on how it came to be. */
type Taken = Pick<StoredSnapshot, 'kind' | 'state' | 'memoryBytes' | 'pauseMs' | 'packed'>;

export class Taker {
  private readonly settler: Settler;
  private readonly changed: (machineId: string) => void;

  /** `changed`: there is another snapshot. */
  constructor(settler: Settler, changed: (machineId: string) => void) {
    this.settler = settler;
    this.changed = changed;
  }

  /** What taking one would do beside taking it. */
  async plan(machine: Machine, memory: boolean): Promise<PlanStep[]> {
    const config = machine.settings.present('plan');
    await refuseDeviceDisks(config, machine.folder, 'snapshot');
    const steps: PlanStep[] = [];
    for (const { id, path: file, format } of writableDisks(config))
      if (format !== 'qcow2') steps.push(step('overlaysDisk', { drive: id, path: file }));
    const withMemory = memory && (machine.active || machine.state === 'saved');
    if (machine.state === 'running') steps.push(step(withMemory ? 'standsShortly' : 'takesDisksOnly'));
    else if (withMemory) steps.push(step('keepsMemory'));
    if (withMemory && (await anyEncrypted(machine.folder, config))) steps.push(step('sealsMemory'));
    return steps;
  }

  async take(machine: Machine, how: TakeOptions, control: TaskControl): Promise<Snapshot> {
    await refuseDeviceDisks(machine.settings.present('take a snapshot'), machine.folder, 'snapshot');
    await this.settler.settle(machine);
    const { folder, state } = machine;
    if (state === 'starting' || state === 'stopping')
      throw new HypervueError(
        'invalid-state',
        say('cantDo', { operation: operationWord('take a snapshot'), name: machine.name, what: stateWord(state) }),
        { object: machine.name },
        say('fixWait'),
      );
    if (state === 'saved' && !(await sameSavedDisks(folder, machine.settings.present('take a snapshot'))))
      throw new HypervueError(
        'invalid-state',
        say('snapshotDisksChanged', { name: machine.name }),
        { object: machine.name, operation: 'snapshot' },
        say('fixStartOrDiscard'),
      );
    // What a raw image can't keep, an image on top of it can.
    for (const drive of writableDisks(machine.settings.present('take a snapshot')))
      if (drive.format !== 'qcow2') await machine.drives.overlay(drive.id);
    const config = machine.settings.present('take a snapshot');
    const id = randomBytes(8).toString('hex');
    const disks = writableDisks(config).map((drive) => ({ drive: drive.id, path: drive.path }));
    const own = snapshotFolder(folder, id);
    // Beside the work: of a busy machine it takes a while.
    const thumbnail = machine.thumbnailPng();
    await writeJournal(folder, { operation: 'take', id, disks, saved: state === 'saved' });
    try {
      await mkdir(own, { mode: 0o700 });
      const target = { id, disks, own };
      const on = state === 'running' || state === 'paused';
      const taken = await (on ? this.takeOn(machine, how.memory, target, control) : this.takeOff(machine, how.memory, target, control));
      const { png } = await thumbnail;
      if (png) await writeFile(path.join(own, THUMBNAIL), png);
      await syncFolder(own);
      // The last moment at which it is not there yet.
      control.signal.throwIfAborted();
      const manifest = await readManifest(folder);
      const stored: StoredSnapshot = {
        id,
        parent: manifest.current,
        name: how.name,
        description: how.description,
        createdAt: new Date().toISOString(),
        ...taken,
        disks,
        automatic: how.automatic ?? null,
        config,
      };
      await writeManifest(folder, { ...manifest, current: id, snapshots: [...manifest.snapshots, stored] });
      await endJournal(folder);
      const { pauseMs } = taken;
      machine.record('info', 'snapshots', `took "${how.name}"${pauseMs === null ? '' : `; the guest stood for ${pauseMs} ms`}`);
      this.changed(machine.id);
      return publicSnapshot(stored);
    } catch (error) {
      await this.settler
        .settle(machine)
        .catch((left) =>
          machine.record('warn', 'snapshots', `what is left of a failed snapshot is cleaned up later: ${asHypervueError(left).message}`),
        );
      throw error;
    }
  }

  private async takeOn(machine: Machine, memory: boolean, { id, disks, own }: Target, control: TaskControl): Promise<Taken> {
    const { state, folder } = machine;
    const stateFile = memory ? path.join(own, MEMORY_FILE) : null;
    const taken = await machine.states.take({ stateFile, tag: tagOf(id), disks: disks.map(({ drive }) => drive) }, stateWatch(control));
    await copyIfThere(path.join(folder, NVRAM_FILE), path.join(own, NVRAM));
    return {
      kind: memory ? 'memory' : 'disk',
      state: !memory ? 'off' : state === 'paused' ? 'paused' : 'running',
      memoryBytes: taken.stateBytes,
      pauseMs: state === 'running' ? Math.round(taken.pauseMs * 10) / 10 : null,
      packed: !taken.packable,
    };
  }

  private takeOff(machine: Machine, memory: boolean, { id, disks, own }: Target, control: TaskControl): Promise<Taken> {
    const { folder } = machine;
    const saved = machine.state === 'saved';
    return machine.whileOff('take a snapshot', async () => {
      for (const [index, disk] of disks.entries()) {
        control.signal.throwIfAborted();
        await takeOffDisk(folder, disk, tagOf(id));
        control.progress((index + 1) / disks.length, disk.path);
      }
      if (saved) await stampSavedDisks(folder, machine.settings.present('take a snapshot'));
      await copyIfThere(path.join(folder, NVRAM_FILE), path.join(own, NVRAM));
      if (!saved || !memory) return { kind: 'disk', state: 'off', memoryBytes: 0, pauseMs: null, packed: true };
      const from = path.join(folder, SAVED_STATE);
      const stateFile = path.join(own, MEMORY_FILE);
      // Shares its room with the saved state where the file system can do that.
      await copyFile(from, stateFile, constants.COPYFILE_FICLONE);
      await syncFile(stateFile);
      const { paused } = await readStateMeta(stateFile);
      return {
        kind: 'memory',
        state: paused ? 'paused' : 'running',
        memoryBytes: (await stat(stateFile)).size,
        pauseMs: null,
        packed: true,
      };
    });
  }
}

/** Where a snapshot goes. */
interface Target {
  id: string;
  disks: StoredSnapshot['disks'];
  own: string;
}
