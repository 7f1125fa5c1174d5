/**
 * Snapshots of machines: memory, devices and disks of one moment. Every operation is noted in a journal before it changes anything and shows in the
 * manifest when it is done, so that after a crash at any instant a snapshot is whole or absent.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { AUTOMATIC_KEPT, type PlanStep, type RiskKind, type Snapshot, type snapshotMethods } from '../../contract/snapshots.ts';
import type { Handlers } from '../../contract/server.ts';
import type { VmSummary } from '../../contract/vm.ts';
import { asHypervueError, HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { livingOwner } from '../../platform/locks.ts';
import { refuseDeviceDisks, refuseNewDevices } from '../devicedisks.ts';
import type { Machine } from '../machine.ts';
import { LOCK_FILE } from '../machinelocks.ts';
import { sameSavedDisks } from '../savedstate.ts';
import type { TaskControl, Tasks } from '../tasks.ts';
import { Packer } from './packing.ts';
import { checkOffDisk } from './offdisks.ts';
import { exists, planClone, type PlanContext, planDelete, planRevert, sameMachine } from './plan.ts';
import {
  type Journal,
  type Manifest,
  MEMORY_FILE,
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
import { Settler } from './settling.ts';
import { checkPassphrase } from './snapshotdisks.ts';
import { Taker } from './taking.ts';

export interface SnapshotParts {
  tasks: Tasks;
  machine(id: string): Machine;
  /** Refuses when linked clones lie on the machine's disks. */
  refuseBases(machine: Machine): Promise<unknown>;
  /** Makes a machine of the disks as they were in the snapshot. */
  clone(
    machine: Machine,
    snapshot: StoredSnapshot,
    tag: string,
    how: { name: string; linked: boolean; passphrase?: string | undefined },
  ): Promise<VmSummary>;
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

export class SnapshotService {
  readonly handlers: Pick<Handlers, keyof typeof snapshotMethods>;
  private readonly parts: SnapshotParts;
  private readonly settler: Settler;
  private readonly taker: Taker;
  private readonly packer = new Packer((machine, id, bytes) => this.inTurn(machine, () => this.setPacked(machine, id, bytes)));
  private readonly turns = new Map<string, Promise<unknown>>();
  /** Machines whose cut-off deletes may have left disks that nobody wants. */
  private readonly orphaned = new Set<Machine>();

  constructor(parts: SnapshotParts) {
    this.parts = parts;
    this.settler = new Settler(parts);
    this.taker = new Taker(this.settler, parts.changed);
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
        task('snapshot.take', id, (machine, control) => this.taker.take(machine, { name, description, memory }, control)),
      'snapshot.plan': ({ id, snapshot, ...what }) => this.plan(parts.machine(id), snapshot, what),
      'snapshot.planTake': ({ id, memory }) => this.taker.plan(parts.machine(id), memory),
      'snapshot.revert': ({ id, snapshot, keep, passphrase }) =>
        task('snapshot.revert', id, async (machine, control) => {
          await this.revert(machine, snapshot, { keep, passphrase }, control);
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
      'snapshot.clone': ({ id, snapshot, name, linked, passphrase }) => {
        const machine = parts.machine(id);
        return this.inTurn(machine, async () => {
          const { found } = await this.find(machine, snapshot);
          for (const disk of found.disks) await checkOffDisk(machine.folder, disk, tagOf(found.id));
          return parts.clone(machine, found, tagOf(found.id), { name, linked, passphrase });
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
    if (!machine.active && machine.config && (await readJournal(machine.folder)))
      await this.inTurn(machine, () => this.settler.settle(machine));
  }

  /** Finishes or undoes what a crash cut off, for a machine that nobody works on. Leaves a machine alone that it can't do this for, and says why. */
  async recover(machine: Machine): Promise<void> {
    if (machine.active || !machine.config || livingOwner(path.join(machine.folder, LOCK_FILE))) return;
    this.packer.start(machine);
    try {
      await this.inTurn(machine, () => this.settler.settle(machine));
      if ((await readManifest(machine.folder)).orphans.length) this.orphaned.add(machine);
    } catch (error) {
      machine.record('error', 'snapshots', `a snapshot operation that was cut off could not be settled: ${asHypervueError(error).message}`);
    }
  }

  /** After `recover` of all machines that there are: what cut-off deletes left goes to the trash where nothing lies on it. `allRead`: every machine can say what it lies on. */
  async sweep(allRead: boolean): Promise<void> {
    if (!allRead) return;
    for (const machine of this.orphaned) {
      this.orphaned.delete(machine);
      await this.inTurn(machine, () => this.settler.removeBases(machine)).catch((error) =>
        machine.record('warn', 'snapshots', `the disk of a snapshot that is gone stays: ${asHypervueError(error).message}`),
      );
    }
  }

  private async list(machine: Machine): ReturnType<Handlers['snapshot.list']> {
    const { current, snapshots } = await readManifest(machine.folder);
    return {
      current,
      snapshots: snapshots.map(publicSnapshot),
    };
  }

  /**
   * Takes a snapshot before something risky is done to a machine, when the settings say so, and lets go of the oldest of such. When it fails the change must not be
   * made either. A raw disk gets an image on top of it; of a machine with a device of this computer as a disk none is taken, which its log says.
   */
  async before(machine: Machine, risk: RiskKind): Promise<void> {
    if (!this.parts.automatic()) return;
    if (!machine.config || machine.state === 'saved' || machine.state === 'starting' || machine.state === 'stopping') return;
    try {
      await refuseDeviceDisks(machine.config, machine.folder, 'snapshot');
    } catch (error) {
      // None could be taken, whatever was done first.
      machine.record('warn', 'snapshots', say('blockDeviceLeft', { problem: asHypervueError(error).saying() }).text);
      return;
    }
    await this.parts.tasks.run('snapshot.take', machine.name, (control) =>
      this.inTurn(machine, async () => {
        await this.packer.stop(machine);
        try {
          const name = `${RISK_NAMES[risk]}, ${new Date().toISOString().slice(0, 16).replace('T', ' ')}`;
          await this.taker.take(machine, { name, description: '', memory: true, automatic: risk }, control);
          const automatic = (await readManifest(machine.folder)).snapshots.filter((snapshot) => snapshot.automatic !== null);
          for (const { id } of automatic.slice(0, -AUTOMATIC_KEPT)) await this.delete(machine, id);
        } catch (cause) {
          const error = asHypervueError(cause);
          const said = say('automaticFailed', { problem: error.saying() });
          throw new HypervueError(error.kind, said, error.context, say('fixAutomaticFailed'), cause);
        } finally {
          this.packer.start(machine);
        }
      }),
    );
  }

  private async plan(
    machine: Machine,
    id: string,
    { operation, keep, linked }: { operation: 'revert' | 'delete' | 'clone'; keep: boolean; linked: boolean },
  ): Promise<PlanStep[]> {
    const { found, manifest } = await this.find(machine, id);
    const context: PlanContext = {
      folder: machine.folder,
      config: machine.settings.usable('plan'),
      active: machine.active,
      saved: machine.state === 'saved',
      manifest,
    };
    if (operation === 'delete') return planDelete(context, found, (file) => this.parts.imagesAbove(file));
    return operation === 'clone' ? planClone(context, found, linked) : planRevert(context, found, keep ? '…' : null);
  }

  private async revert(
    machine: Machine,
    id: string,
    { keep, passphrase }: { keep: string | null; passphrase: string | undefined },
    control: TaskControl,
  ): Promise<void> {
    machine.settings.usable('revert');
    await this.settler.settle(machine);
    const { folder } = machine;
    const { found } = await this.find(machine, id);
    // Everything that could stop it is looked at while nothing is lost yet.
    for (const disk of found.disks) await checkOffDisk(folder, disk, tagOf(id));
    await refuseNewDevices(machine.settings.usable('revert').drives, found.config.drives, folder);
    if (found.kind === 'memory' && !(await exists(path.join(snapshotFolder(folder, id), MEMORY_FILE))))
      throw new HypervueError('not-found', say('snapshotMemoryGone', { name: found.name }), {
        object: found.name,
        path: snapshotFolder(folder, id),
      });
    await this.parts.refuseBases(machine);
    const inPlace = machine.active && sameMachine(machine.settings.present('revert'), found.config);
    if (found.kind === 'memory' && !inPlace) await checkPassphrase(machine.folder, found.config, passphrase);
    if (keep !== null) await this.taker.take(machine, { name: keep, description: '', memory: true }, control);
    // From here on it is done to the end: half of it is no state for a machine.
    control.signal.throwIfAborted();
    control.progress(null);
    if (await this.revertRunning(machine, found)) return;
    if (machine.active) await machine.forceOff();
    await machine.whileOff(
      'revert',
      async () => {
        await writeJournal(folder, { operation: 'revert', id, disks: found.disks, saved: false });
        await this.settler.finishRevert(machine, found);
      },
      found.disks,
    );
    if (found.kind === 'memory') await machine.start({ from: path.join(snapshotFolder(folder, id), MEMORY_FILE), passphrase });
  }

  /** A machine that is on, and as it was then but for what its memory and disks hold, need not be started anew. False: it has to be. */
  private async revertRunning(machine: Machine, to: StoredSnapshot): Promise<boolean> {
    const { folder, state } = machine;
    if (to.kind !== 'memory' || (state !== 'running' && state !== 'paused')) return false;
    if (!sameMachine(machine.settings.present('revert'), to.config)) return false;
    const disks = to.disks.map(({ drive }) => drive);
    const request = { stateFile: path.join(snapshotFolder(folder, to.id), MEMORY_FILE), tag: tagOf(to.id), disks };
    await writeJournal(folder, { operation: 'revert', id: to.id, disks: to.disks, saved: false });
    // Also when it fails: what follows then begins with the same.
    if (!(await machine.states.revert(request))) return false;
    await this.settler.nowAt(machine, to);
    return true;
  }

  private async delete(machine: Machine, id: string): Promise<void> {
    await this.settler.settle(machine);
    const { found } = await this.find(machine, id);
    const config = machine.settings.usable('delete a snapshot');
    const journal: Journal = { operation: 'delete', id, disks: found.disks, saved: await sameSavedDisks(machine.folder, config) };
    await writeJournal(machine.folder, journal);
    await this.settler.forget(machine, id);
    await this.settler.finishDelete(machine, journal);
    await this.settler.removeBases(machine);
    machine.record('info', 'snapshots', `deleted "${found.name}"`);
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

  private async find(machine: Machine, id: string): Promise<{ found: StoredSnapshot; manifest: Manifest }> {
    const manifest = await readManifest(machine.folder);
    const found = manifest.snapshots.find((snapshot) => snapshot.id === id);
    if (!found)
      throw new HypervueError(
        'not-found',
        say('noSuchSnapshot', { name: machine.name }),
        { object: machine.name, snapshot: id },
        say('fixDeletedMaybe'),
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
