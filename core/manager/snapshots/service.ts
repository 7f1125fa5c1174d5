/**
 * Snapshots of machines: memory, devices and disks of one moment. Every operation is noted in a journal before it changes anything and shows in the
 * manifest when it is done, so that after a crash at any instant a snapshot is whole or absent.
 */
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { AUTOMATIC_KEPT, type PlanStep, type RiskKind, type Snapshot, type snapshotMethods } from '../../contract/snapshots.ts';
import type { Handlers } from '../../contract/server.ts';
import type { Drive, VmConfig, VmSummary } from '../../contract/vm.ts';
import { syncFolder } from '../../platform/atomicfile.ts';
import { NVRAM_FILE } from '../../platform/nvram.ts';
import { readImageHeader } from '../../platform/openimage.ts';
import { asHypervueError, HypervueError } from '../../util/errors.ts';
import { livingOwner } from '../../platform/locks.ts';
import type { Machine } from '../machine.ts';
import { LOCK_FILE } from '../machinelocks.ts';
import { SAVED_STATE } from '../savedstate.ts';
import { listed } from '../storage/volumes.ts';
import { stateWatch, type TaskControl, type Tasks } from '../tasks.ts';
import { baseOf } from '../transfer/snapshotclone.ts';
import { Packer } from './packing.ts';
import { checkOffDisk, deleteOffDisk, revertOffDisk, takeOffDisk } from './offdisks.ts';
import { exists, planClone, type PlanContext, planDelete, planRevert, sameMachine } from './plan.ts';
import {
  endJournal,
  type Journal,
  type Manifest,
  MEMORY_FILE,
  NVRAM,
  publicSnapshot,
  readJournal,
  readManifest,
  snapshotFolder,
  type StoredSnapshot,
  tagOf,
  THUMBNAIL,
  writeJournal,
  writeManifest,
} from './store.ts';

export interface SnapshotParts {
  tasks: Tasks;
  machine(id: string): Machine;
  /** Refuses when linked clones lie on the machine's disks. */
  refuseBases(machine: Machine): Promise<unknown>;
  /** Makes a machine of the disks as they were in the snapshot. */
  clone(machine: Machine, snapshot: StoredSnapshot, tag: string, how: { name: string; linked: boolean }): Promise<VmSummary>;
  /** Names of what lies on top of an image. */
  imagesAbove(file: string): Promise<string[]>;
  /** Puts an image into the trash. */
  discard(file: string): Promise<unknown>;
  changed(machineId: string): void;
  /** Whether snapshots are taken before something risky is done. */
  automatic(): boolean;
}

/** Names of automatic snapshots, with the time behind; windows have their own by `automatic`. */
const RISK_NAMES: Record<RiskKind, string> = {
  drives: 'Before a change of disks',
  shrink: 'Before a disk became smaller',
  firmware: 'Before a reset of UEFI settings',
};

/** Writable hard disks: what a guest changes and a snapshot has to keep. */
const writableDisks = (config: VmConfig): (Drive & { path: string })[] =>
  config.drives.filter((drive): drive is Drive & { path: string } => drive.kind === 'disk' && !drive.readOnly && drive.path !== null);

/** Why no snapshot can be taken of a machine of this configuration; null when it can. */
export function snapshotRefusal(config: VmConfig): HypervueError | null {
  const raw = writableDisks(config).find(({ format }) => format !== 'qcow2');
  if (!raw) return null;
  return new HypervueError(
    'unsupported',
    `${raw.id} of ${config.name} is a ${raw.format} image, which can't keep snapshots`,
    { object: config.name, drive: raw.id, path: raw.path },
    'Convert the disk to qcow2, or make it read-only.',
  );
}

export class SnapshotService {
  readonly handlers: Pick<Handlers, keyof typeof snapshotMethods>;
  private readonly parts: SnapshotParts;
  private readonly packer = new Packer((machine, id, bytes) => this.inTurn(machine, () => this.setPacked(machine, id, bytes)));
  private readonly turns = new Map<string, Promise<unknown>>();

  constructor(parts: SnapshotParts) {
    this.parts = parts;
    const task = <T>(kind: string, id: string, work: (machine: Machine, control: TaskControl) => Promise<T>): Promise<T> => {
      const machine = parts.machine(id);
      return parts.tasks.run(kind, machine.name, (control) =>
        this.inTurn(machine, async () => {
          control.signal.throwIfAborted();
          await this.packer.stop(machine);
          try {
            return await work(machine, control);
          } finally {
            this.packer.start(machine);
          }
        }),
      );
    };
    this.handlers = {
      'snapshot.list': ({ id }) => this.list(parts.machine(id)),
      'snapshot.take': ({ id, name, description, memory }) =>
        task('snapshot.take', id, (machine, control) => this.take(machine, { name, description, memory }, control)),
      'snapshot.plan': ({ id, snapshot, ...what }) => this.plan(parts.machine(id), snapshot, what),
      'snapshot.revert': ({ id, snapshot, keep }) =>
        task('snapshot.revert', id, async (machine, control) => {
          await this.revert(machine, snapshot, keep, control);
          return machine.summary();
        }),
      'snapshot.delete': ({ id, snapshot }) =>
        task('snapshot.delete', id, async (machine) => {
          await this.delete(machine, snapshot);
          return null;
        }),
      'snapshot.update': ({ id, snapshot, name, description }) => {
        const machine = parts.machine(id);
        return this.inTurn(machine, () => this.update(machine, snapshot, name, description));
      },
      'snapshot.clone': ({ id, snapshot, name, linked }) => {
        const machine = parts.machine(id);
        return this.inTurn(machine, async () => {
          const { found } = await this.find(machine, snapshot);
          for (const disk of found.disks) await checkOffDisk(machine.folder, disk, tagOf(found.id));
          return parts.clone(machine, found, tagOf(found.id), { name, linked });
        });
      },
      'snapshot.thumbnail': async ({ id, snapshot }) => {
        const file = path.join(snapshotFolder(parts.machine(id).folder, snapshot), THUMBNAIL);
        return { png: await readFile(file, 'base64').catch(() => null) };
      },
    };
  }

  /** A machine that was to be reverted when a crash came must not run before that is done. */
  async beforeStart(machine: Machine): Promise<void> {
    if (!machine.active && machine.config && (await readJournal(machine.folder))) await this.inTurn(machine, () => this.settle(machine));
  }

  /** Finishes or undoes what a crash cut off, for a machine that nobody works on. Leaves a machine alone that it can't do this for, and says why. */
  async recover(machine: Machine): Promise<void> {
    if (machine.active || !machine.config || livingOwner(path.join(machine.folder, LOCK_FILE))) return;
    this.packer.start(machine);
    try {
      const journal = await readJournal(machine.folder);
      if (journal) await this.inTurn(machine, () => this.settle(machine));
    } catch (error) {
      machine.record('error', 'snapshots', `a snapshot operation that was cut off could not be settled: ${asHypervueError(error).message}`);
    }
  }

  private async list(machine: Machine): ReturnType<Handlers['snapshot.list']> {
    const { current, snapshots } = await readManifest(machine.folder);
    const refusal = machine.config && snapshotRefusal(machine.config);
    const { message, fix } = refusal ?? {};
    return {
      current,
      snapshots: snapshots.map(publicSnapshot),
      refusal: message === undefined ? null : { message, ...(fix ? { fix } : {}) },
    };
  }

  /**
   * Takes a snapshot before something risky is done to a machine, when the settings say so, and lets go of the oldest of such. A machine that can't have one goes without, and
   * its log says why; when it could and fails, the change must not be made either.
   */
  async before(machine: Machine, risk: RiskKind): Promise<void> {
    if (!this.parts.automatic()) return;
    const { config, state } = machine;
    if (!config) return;
    if (state === 'saved' || state === 'starting' || state === 'stopping') return;
    const refusal = snapshotRefusal(config) ?? (await encryptedRefusal(machine, config));
    if (refusal) {
      machine.record('warn', 'snapshots', `no automatic snapshot: ${refusal.message}`);
      return;
    }
    await this.parts.tasks.run('snapshot.take', machine.name, (control) =>
      this.inTurn(machine, async () => {
        await this.packer.stop(machine);
        try {
          const name = `${RISK_NAMES[risk]}, ${new Date().toISOString().slice(0, 16).replace('T', ' ')}`;
          await this.take(machine, { name, description: '', memory: true, automatic: risk }, control);
          const automatic = (await readManifest(machine.folder)).snapshots.filter((snapshot) => snapshot.automatic !== null);
          for (const { id } of automatic.slice(0, -AUTOMATIC_KEPT)) await this.delete(machine, id);
        } catch (cause) {
          const { kind, message, context } = asHypervueError(cause);
          throw new HypervueError(
            kind,
            `nothing was changed: the automatic snapshot before it failed (${message})`,
            context,
            'Make room, or turn off automatic snapshots in the settings.',
            cause,
          );
        } finally {
          this.packer.start(machine);
        }
      }),
    );
  }

  private async take(
    machine: Machine,
    how: { name: string; description: string; memory: boolean; automatic?: RiskKind },
    control: TaskControl,
  ): Promise<Snapshot> {
    const config = machine.requireConfig('take a snapshot');
    await this.settle(machine);
    const refusal = snapshotRefusal(config);
    if (refusal) throw refusal;
    const { folder, state } = machine;
    const encrypted = await encryptedRefusal(machine, config);
    if (encrypted) throw encrypted;
    if (state === 'starting' || state === 'stopping')
      throw new HypervueError(
        'invalid-state',
        `can't take a snapshot: ${machine.name} is ${state}`,
        { object: machine.name },
        'Wait a moment.',
      );
    refuseSaved(machine, 'take a snapshot');
    const live = state === 'running' || state === 'paused';
    const memory = how.memory && live;
    const id = randomBytes(8).toString('hex');
    const tag = tagOf(id);
    const disks = writableDisks(config).map((drive) => ({ drive: drive.id, path: drive.path }));
    const own = snapshotFolder(folder, id);
    const journal: Journal = { operation: 'take', id, disks };
    const png = (await machine.thumbnailPng()).png;
    await writeJournal(folder, journal);
    let pauseMs: number | null = null;
    let memoryBytes = 0;
    let packed = true;
    try {
      await mkdir(own, { mode: 0o700 });
      const stateFile = path.join(own, MEMORY_FILE);
      if (live) {
        const request = { stateFile: memory ? stateFile : null, tag, disks: disks.map(({ drive }) => drive) };
        const taken = await machine.takeSnapshot(request, stateWatch(control));
        memoryBytes = taken.stateBytes;
        packed = !taken.packable;
        pauseMs = state === 'running' ? Math.round(taken.pauseMs * 10) / 10 : null;
        await copyIfThere(path.join(folder, NVRAM_FILE), path.join(own, NVRAM));
      } else
        await machine.whileOff('take a snapshot', async () => {
          for (const [index, disk] of disks.entries()) {
            control.signal.throwIfAborted();
            await takeOffDisk(folder, disk, tag);
            control.progress((index + 1) / disks.length, disk.path);
          }
          await copyIfThere(path.join(folder, NVRAM_FILE), path.join(own, NVRAM));
        });
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
        kind: memory ? 'memory' : 'disk',
        state: !memory ? 'off' : state === 'paused' ? 'paused' : 'running',
        memoryBytes,
        pauseMs,
        disks,
        automatic: how.automatic ?? null,
        config,
        packed,
      };
      await writeManifest(folder, { ...manifest, current: id, snapshots: [...manifest.snapshots, stored] });
      await endJournal(folder);
      machine.record('info', 'snapshots', `took "${how.name}"${pauseMs === null ? '' : `; the guest stood for ${pauseMs} ms`}`);
      this.parts.changed(machine.id);
      return publicSnapshot(stored);
    } catch (error) {
      await this.settle(machine).catch((left) =>
        machine.record('warn', 'snapshots', `what is left of a failed snapshot is cleaned up later: ${asHypervueError(left).message}`),
      );
      throw error;
    }
  }

  private async plan(
    machine: Machine,
    id: string,
    { operation, keep, linked }: { operation: 'revert' | 'delete' | 'clone'; keep: boolean; linked: boolean },
  ): Promise<PlanStep[]> {
    const { found, manifest } = await this.find(machine, id);
    const context: PlanContext = {
      folder: machine.folder,
      config: machine.requireConfig('plan'),
      active: machine.active,
      saved: machine.state === 'saved',
      manifest,
    };
    if (operation === 'delete') return planDelete(context, found, (file) => this.parts.imagesAbove(file));
    return operation === 'clone' ? planClone(context, found, linked) : planRevert(context, found, keep ? '…' : null);
  }

  private async revert(machine: Machine, id: string, keep: string | null, control: TaskControl): Promise<void> {
    machine.requireConfig('revert');
    await this.settle(machine);
    const { folder } = machine;
    const { found } = await this.find(machine, id);
    // Everything that could stop it is looked at while nothing is lost yet.
    for (const disk of found.disks) await checkOffDisk(folder, disk, tagOf(id));
    if (found.kind === 'memory' && !(await exists(path.join(snapshotFolder(folder, id), MEMORY_FILE))))
      throw new HypervueError('not-found', `the memory of "${found.name}" is gone`, {
        object: found.name,
        path: snapshotFolder(folder, id),
      });
    await this.parts.refuseBases(machine);
    if (keep !== null) await this.take(machine, { name: keep, description: '', memory: true }, control);
    // From here on it is done to the end: half of it is no state for a machine.
    control.signal.throwIfAborted();
    control.progress(null);
    if (await this.revertRunning(machine, found)) return;
    if (machine.active) await machine.forceOff();
    await machine.whileOff(
      'revert',
      async () => {
        await writeJournal(folder, { operation: 'revert', id, disks: found.disks });
        await this.finishRevert(machine, found);
      },
      found.disks,
    );
    if (found.kind === 'memory') await machine.start({ from: path.join(snapshotFolder(folder, id), MEMORY_FILE) });
  }

  /** A machine that is on, and as it was then but for what its memory and disks hold, need not be started anew. False: it has to be. */
  private async revertRunning(machine: Machine, to: StoredSnapshot): Promise<boolean> {
    const { folder, state } = machine;
    if (to.kind !== 'memory' || (state !== 'running' && state !== 'paused')) return false;
    if (!sameMachine(machine.requireConfig('revert'), to.config)) return false;
    const disks = to.disks.map(({ drive }) => drive);
    const request = { stateFile: path.join(snapshotFolder(folder, to.id), MEMORY_FILE), tag: tagOf(to.id), disks };
    await writeJournal(folder, { operation: 'revert', id: to.id, disks: to.disks });
    // Also when it fails: what follows then begins with the same.
    if (!(await machine.revertRunning(request))) return false;
    await this.nowAt(machine, to);
    return true;
  }

  /** The machine is what it was in the snapshot. */
  private async nowAt(machine: Machine, { id, name }: StoredSnapshot): Promise<void> {
    const { folder } = machine;
    await writeManifest(folder, { ...(await readManifest(folder)), current: id });
    await endJournal(folder);
    machine.record('info', 'snapshots', `reverted to "${name}"`);
    this.parts.changed(machine.id);
  }

  /** What a revert does to a machine that is off; may be done again after it was cut off. */
  private async finishRevert(machine: Machine, to: StoredSnapshot): Promise<void> {
    const { folder } = machine;
    const own = snapshotFolder(folder, to.id);
    for (const disk of to.disks) await revertOffDisk(folder, disk, tagOf(to.id));
    await rm(path.join(folder, SAVED_STATE), { force: true });
    await copyIfThere(path.join(own, NVRAM), path.join(folder, NVRAM_FILE));
    const drives: Drive[] = [];
    for (const drive of to.config.drives)
      drives.push(
        drive.kind === 'disk' || drive.path === null || (await exists(path.resolve(folder, drive.path))) ? drive : { ...drive, path: null },
      );
    await machine.revertConfig({ ...to.config, drives });
    await this.nowAt(machine, to);
  }

  private async delete(machine: Machine, id: string): Promise<void> {
    await this.settle(machine);
    refuseSaved(machine, 'delete a snapshot');
    const { found } = await this.find(machine, id);
    await writeJournal(machine.folder, { operation: 'delete', id, disks: found.disks });
    await this.forget(machine, id);
    await this.finishDelete(machine, { operation: 'delete', id, disks: found.disks });
    await this.removeBases(machine, found);
    machine.record('info', 'snapshots', `deleted "${found.name}"`);
  }

  /** Disks as they were in a snapshot that is gone, for linked clones of which there is none any more. Those that are used stay, as volumes of the machine. */
  private async removeBases(machine: Machine, { id, disks }: StoredSnapshot): Promise<void> {
    for (const disk of disks) {
      const base = baseOf(machine.folder, id, disk);
      if (!(await exists(base))) continue;
      const above = await this.parts.imagesAbove(base);
      if (above.length) machine.record('info', 'snapshots', `${path.basename(base)} stays: ${listed(above)} lies on it`);
      // A clone that is in the trash may still want it.
      else await this.parts.discard(base);
    }
  }

  /** Out of the manifest: from here on it does not exist. */
  private async forget(machine: Machine, id: string): Promise<void> {
    const manifest = await readManifest(machine.folder);
    const gone = manifest.snapshots.find((snapshot) => snapshot.id === id);
    if (!gone) return;
    await writeManifest(machine.folder, {
      ...manifest,
      current: manifest.current === id ? gone.parent : manifest.current,
      snapshots: manifest.snapshots
        .filter((snapshot) => snapshot !== gone)
        .map((snapshot) => (snapshot.parent === id ? { ...snapshot, parent: gone.parent } : snapshot)),
    });
    this.parts.changed(machine.id);
  }

  /** Removes what lies in disks and folder; also for a snapshot that was not taken to its end. */
  private async finishDelete(machine: Machine, { id, disks }: Journal): Promise<void> {
    const { folder } = machine;
    if (machine.state === 'running' || machine.state === 'paused') {
      // Disks that were put into the machine since, or taken out, are not its process's.
      const own = writableDisks(machine.requireConfig('delete a snapshot'));
      const its = disks.filter(({ drive, path: file }) => own.some((one) => one.id === drive && one.path === file));
      await machine.deleteLiveSnapshots(
        its.map(({ drive }) => drive),
        tagOf(id),
      );
      for (const disk of disks) if (!its.includes(disk)) await deleteOffDisk(folder, disk, tagOf(id));
    } else
      await machine.whileOff(
        'delete a snapshot',
        async () => {
          for (const disk of disks) await deleteOffDisk(folder, disk, tagOf(id));
        },
        await present(folder, disks),
      );
    await rm(snapshotFolder(folder, id), { recursive: true, force: true });
    await endJournal(folder);
  }

  private async update(machine: Machine, id: string, name: string | undefined, description: string | undefined): Promise<Snapshot> {
    const { found, manifest } = await this.find(machine, id);
    // Who gives it a name wants to keep it.
    const automatic = name === undefined || name === found.name ? found.automatic : null;
    const next = { ...found, name: name ?? found.name, description: description ?? found.description, automatic };
    await writeManifest(machine.folder, {
      ...manifest,
      snapshots: manifest.snapshots.map((snapshot) => (snapshot === found ? next : snapshot)),
    });
    this.parts.changed(machine.id);
    return publicSnapshot(next);
  }

  private async setPacked(machine: Machine, id: string, memoryBytes: number): Promise<void> {
    const manifest = await readManifest(machine.folder);
    if (!manifest.snapshots.some((snapshot) => snapshot.id === id && !snapshot.packed)) return;
    const snapshots = manifest.snapshots.map((snapshot) => (snapshot.id === id ? { ...snapshot, memoryBytes, packed: true } : snapshot));
    await writeManifest(machine.folder, { ...manifest, snapshots });
    this.parts.changed(machine.id);
  }

  /** Before the machine's folder goes elsewhere. */
  async release(machine: Machine): Promise<void> {
    await this.packer.stop(machine);
  }

  /** Nothing is under way any more in the background. */
  close(): Promise<void> {
    return this.packer.close();
  }

  /** What was cut off before comes to its end first. */
  private async settle(machine: Machine): Promise<void> {
    const journal = await readJournal(machine.folder);
    if (!journal) return;
    const { snapshots } = await readManifest(machine.folder);
    const found = snapshots.find(({ id }) => id === journal.id);
    switch (journal.operation) {
      case 'take':
        if (found) await endJournal(machine.folder);
        else await this.finishDelete(machine, journal);
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

  private async find(machine: Machine, id: string): Promise<{ found: StoredSnapshot; manifest: Manifest }> {
    const manifest = await readManifest(machine.folder);
    const found = manifest.snapshots.find((snapshot) => snapshot.id === id);
    if (!found)
      throw new HypervueError(
        'not-found',
        `${machine.name} has no such snapshot`,
        { object: machine.name, snapshot: id },
        'It may have been deleted.',
      );
    return { found, manifest };
  }

  private inTurn<T>(machine: Machine, work: () => Promise<T>): Promise<T> {
    const result = (this.turns.get(machine.id) ?? Promise.resolve()).then(work);
    const settled = result.catch(() => {});
    this.turns.set(machine.id, settled);
    void settled.then(() => {
      if (this.turns.get(machine.id) === settled) this.turns.delete(machine.id);
    });
    return result;
  }
}

/** Disks whose images are there. */
async function present(folder: string, disks: Journal['disks']): Promise<Journal['disks']> {
  const there = await Promise.all(disks.map((disk) => exists(path.resolve(folder, disk.path))));
  return disks.filter((_, index) => there[index]);
}

async function copyIfThere(from: string, to: string): Promise<void> {
  if (await exists(from)) await copyFile(from, to);
}

/** The memory of such a machine would lie beside its disks in clear, and nothing here has the passphrase. */
async function encryptedRefusal(machine: Machine, config: VmConfig): Promise<HypervueError | null> {
  for (const { id, path: file } of writableDisks(config)) {
    const { encryption } = await readImageHeader(path.resolve(machine.folder, file));
    if (encryption !== 'none')
      return new HypervueError(
        'unsupported',
        `${id} of ${machine.name} is encrypted, and no snapshots are taken of machines with such disks`,
        { object: machine.name, drive: id, path: file },
        'Copy the disk while the machine is off (hypervue disk clone).',
      );
  }
  return null;
}

/** Changing the images would make a saved state unfit for them. */
function refuseSaved(machine: Machine, operation: string): void {
  if (machine.state === 'saved')
    throw new HypervueError(
      'invalid-state',
      `can't ${operation}: ${machine.name} has a saved state, which its disks have to stay as they are for`,
      { object: machine.name, operation },
      'Start the machine, or discard the saved state.',
    );
}
