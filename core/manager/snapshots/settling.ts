/** Ends what operations on snapshots began, also after they were cut off: undoes a snapshot that was being taken, finishes a delete or a revert. Each step can be done twice. */
import { copyFile, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Drive } from '../../contract/vm.ts';
import { NVRAM_FILE } from '../../platform/nvram.ts';
import type { Machine } from '../machine.ts';
import { removeSavedState, SAVED_STATE, stampSavedDisks } from '../savedstate.ts';
import { listed } from '../storage/knownvolumes.ts';
import { baseOf } from '../transfer/snapshotclone.ts';
import { deleteOffDisk, revertOffDisk } from './offdisks.ts';
import { exists } from './plan.ts';
import { writableDisks } from './snapshotdisks.ts';
import {
  endJournal,
  forgetOrphans,
  type Journal,
  NVRAM,
  readJournal,
  readManifest,
  removeRemains,
  snapshotFolder,
  type StoredSnapshot,
  tagOf,
  writeManifest,
} from './store.ts';

export interface SettlerParts {
  /** Names of what lies on top of an image. */
  imagesAbove(file: string): Promise<string[]>;
  /** Puts an image into the trash. */
  discard(file: string): Promise<unknown>;
  changed(machineId: string): void;
}

export class Settler {
  private readonly parts: SettlerParts;

  constructor(parts: SettlerParts) {
    this.parts = parts;
  }

  /** What was cut off before comes to its end first. */
  async settle(machine: Machine): Promise<void> {
    // The manager that found them when it began may have had to leave them: a machine's process outlives a killed one by as long as its flushes take.
    await removeRemains(machine.folder);
    const journal = await readJournal(machine.folder);
    if (!journal) return;
    const { snapshots } = await readManifest(machine.folder);
    const found = snapshots.find(({ id }) => id === journal.id);
    switch (journal.operation) {
      case 'take':
        if (!found) await this.finishDelete(machine, journal);
        else {
          if (journal.saved) await stampSavedDisks(machine.folder, machine.settings.usable('take a snapshot'));
          await endJournal(machine.folder);
        }
        break;
      case 'delete':
        await this.forget(machine, journal.id);
        await this.finishDelete(machine, journal);
        break;
      case 'revert':
        if (!found) await endJournal(machine.folder);
        else await machine.whileOff('revert', () => this.finishRevert(machine, found), found.disks);
        break;
    }
    machine.record('info', 'snapshots', `settled a snapshot operation that was cut off (${journal.operation})`);
  }

  /** The machine is what it was in the snapshot. */
  async nowAt(machine: Machine, { id, name }: StoredSnapshot): Promise<void> {
    const { folder } = machine;
    await writeManifest(folder, { ...(await readManifest(folder)), current: id });
    await endJournal(folder);
    machine.record('info', 'snapshots', `reverted to "${name}"`);
    this.parts.changed(machine.id);
  }

  /** What a revert does to a machine that is off; may be done again after it was cut off. */
  async finishRevert(machine: Machine, to: StoredSnapshot): Promise<void> {
    const { folder } = machine;
    const own = snapshotFolder(folder, to.id);
    for (const disk of to.disks) await revertOffDisk(folder, disk, tagOf(to.id));
    if (await exists(path.join(folder, SAVED_STATE))) await removeSavedState(folder);
    await copyIfThere(path.join(own, NVRAM), path.join(folder, NVRAM_FILE));
    const drives: Drive[] = [];
    for (const drive of to.config.drives)
      drives.push(
        drive.kind === 'disk' || drive.path === null || (await exists(path.resolve(folder, drive.path))) ? drive : { ...drive, path: null },
      );
    await machine.settings.revert({ ...to.config, drives });
    await this.nowAt(machine, to);
  }

  /**
   * Disks as they were in snapshots that are gone, for linked clones of which there is none any more. Those that are used stay, as volumes of the machine. Only once all machines are
   * known: after a crash the manifest remembers them until then.
   */
  async removeBases(machine: Machine): Promise<void> {
    const { orphans } = await readManifest(machine.folder);
    for (const { id, disks } of orphans)
      for (const disk of disks) {
        const base = baseOf(machine.folder, id, disk);
        if (!(await exists(base))) continue;
        const above = await this.parts.imagesAbove(base);
        if (above.length) machine.record('info', 'snapshots', `${path.basename(base)} stays: ${listed(above)} lies on it`);
        // A clone that is in the trash may still want it.
        else await this.parts.discard(base);
      }
    if (orphans.length) await forgetOrphans(machine.folder, orphans);
  }

  /** Out of the manifest: from here on it does not exist. */
  async forget(machine: Machine, id: string): Promise<void> {
    const manifest = await readManifest(machine.folder);
    const gone = manifest.snapshots.find((snapshot) => snapshot.id === id);
    if (!gone) return;
    const { disks } = gone;
    const bases = await Promise.all(disks.map((disk) => exists(baseOf(machine.folder, id, disk))));
    await writeManifest(machine.folder, {
      ...manifest,
      current: manifest.current === id ? gone.parent : manifest.current,
      snapshots: manifest.snapshots
        .filter((snapshot) => snapshot !== gone)
        .map((snapshot) => (snapshot.parent === id ? { ...snapshot, parent: gone.parent } : snapshot)),
      orphans: bases.includes(true) ? [...manifest.orphans, { id, disks }] : manifest.orphans,
    });
    this.parts.changed(machine.id);
  }

  /** Removes what lies in disks and folder; also for a snapshot that was not taken to its end. */
  async finishDelete(machine: Machine, { id, disks, saved }: Journal): Promise<void> {
    const { folder } = machine;
    if (machine.state === 'running' || machine.state === 'paused') {
      // Disks that were put into the machine since, or taken out, are not its process's.
      const own = writableDisks(machine.settings.present('delete a snapshot'));
      const its = disks.filter(({ drive, path: file }) => own.some((one) => one.id === drive && one.path === file));
      await machine.states.deleteSnapshots(
        its.map(({ drive }) => drive),
        tagOf(id),
      );
      for (const disk of disks) if (!its.includes(disk)) await deleteOffDisk(folder, disk, tagOf(id));
    } else
      await machine.whileOff(
        'delete a snapshot',
        async () => {
          for (const disk of disks) await deleteOffDisk(folder, disk, tagOf(id));
          if (saved) await stampSavedDisks(folder, machine.settings.usable('delete a snapshot'));
        },
        await present(folder, disks),
      );
    await rm(snapshotFolder(folder, id), { recursive: true, force: true });
    await endJournal(folder);
  }
}

/** Disks whose images are there. */
async function present(folder: string, disks: Journal['disks']): Promise<Journal['disks']> {
  const there = await Promise.all(disks.map((disk) => exists(path.resolve(folder, disk.path))));
  return disks.filter((_, index) => there[index]);
}

export async function copyIfThere(from: string, to: string): Promise<void> {
  if (await exists(from)) await copyFile(from, to);
}
