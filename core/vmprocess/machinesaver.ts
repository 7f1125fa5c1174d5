import type { VmConfig } from '../contract/vm.ts';
import { machineShape } from '../engine/builtin/machineshape.ts';
import type { SnapshotRequest, SnapshotTaken } from '../engine/engine.ts';
import { stampMedia } from '../platform/mediastamps.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { Logger } from '../util/logger.ts';
import { deleteDiskSnapshots, snapshotDisks } from './disksnapshots.ts';
import type { DriveService } from './drives.ts';
import type { SavedMachine } from './machinemessages.ts';
import { type MachineMemory, type SaveResult, saveMachine } from './savedmachine.ts';

export interface MachineSaverParts {
  config: VmConfig;
  folder: string;
  drives: DriveService;
  log: Logger;
  memory(): MachineMemory;
  /** Its owner paused it. */
  paused(): boolean;
  /** Why the machine and its images are no more; undefined while they are. */
  endedBy(): HypervueError | undefined;
  /** Asks the machine thread to stand where its state can be saved. */
  stand(): Promise<SavedMachine>;
  /** Lets the guest go on, unless a failure on the host holds it meanwhile. Gives the host time at which it did, epoch milliseconds. */
  goOn(): Promise<number>;
}

type Progress = (done: number, total: number) => void;

const HELD = 'a drive was in the middle of a command; the guest has to repeat it when this state is restored';

/** Saves the running machine of this process: its state alone, or a snapshot with its disks at the same moment. One at a time. */
export class MachineSaver {
  private readonly parts: MachineSaverParts;
  /** Every page of memory that is not marked as changed is as in this file; undefined when there is no such file. */
  baseline: string | undefined;
  private turn: Promise<unknown> = Promise.resolve();
  private readonly aborts = new Set<AbortController>();

  constructor(parts: MachineSaverParts) {
    this.parts = parts;
  }

  /** Writes the state to `file`. The machine stands afterwards; when it fails, it goes on as it was. */
  save(file: string, progress?: Progress): Promise<void> {
    return this.exclusively(async (signal) => {
      const { drives, config, folder } = this.parts;
      let stood: SavedMachine | undefined;
      try {
        const result = await this.write(file, false, {
          stand: async () => {
            stood = await this.stand('save');
            await drives.flush();
            return stood;
          },
          media: () => stampMedia(config.drives, folder),
          signal,
          progress,
        });
        await commitUnless(signal, result);
      } catch (error) {
        if (stood && !stood.wasPaused) await this.parts.goOn();
        throw error;
      }
    });
  }

  snapshot({ stateFile, tag, disks }: SnapshotRequest, progress?: Progress): Promise<SnapshotTaken> {
    return this.exclusively(async (signal) => {
      const { drives, config, folder } = this.parts;
      const images = drives.images();
      let snapshots: Promise<void> = Promise.resolve();
      const atThatMoment = () => {
        snapshots = snapshotDisks(images, disks, tag);
        snapshots.catch(() => {});
      };
      if (stateFile === null) {
        const stood = await this.stand('take a snapshot of');
        atThatMoment();
        const pauseMs = stood.wasPaused ? 0 : (await this.parts.goOn()) - stood.stoppedAt;
        await snapshots;
        return { pauseMs, stateBytes: 0, packable: false };
      }
      let stood: SavedMachine | undefined;
      let result: SaveResult | undefined;
      try {
        result = await this.write(stateFile, true, {
          stand: async () => {
            stood = await this.stand('take a snapshot of');
            return stood;
          },
          media: () => stampMedia(config.drives, folder),
          atThatMoment,
          signal,
          progress,
        });
        await snapshots;
        await commitUnless(signal, result);
        this.baseline = stateFile;
        return { pauseMs: result.pauseMs, stateBytes: result.bytes, packable: drives.sealing === undefined };
      } catch (error) {
        // Neither half without the other.
        if (stood) await this.goOnIfStanding(stood, result);
        await result?.abandon();
        await snapshots.then(
          () => deleteDiskSnapshots(images, disks, tag),
          () => {},
        );
        throw error;
      }
    });
  }

  /** Ends what is under way, or waits for its turn, with 'cancelled'. */
  cancel(): void {
    for (const abort of this.aborts)
      abort.abort(new HypervueError('cancelled', say('savingCancelled'), { object: this.parts.config.name }));
  }

  deleteDiskSnapshots(disks: readonly string[], tag: string): Promise<void> {
    return this.exclusively(() => deleteDiskSnapshots(this.parts.drives.images(), disks, tag));
  }

  private standing = false;

  private async stand(operation: string): Promise<SavedMachine> {
    const { drives, config, log } = this.parts;
    if (drives.waiting)
      throw new HypervueError(
        'invalid-state',
        say('guestWaitsFor', { operation, name: config.name }),
        { object: config.name, operation },
        say('fixRoomResume'),
      );
    const saved = await this.parts.stand();
    this.standing = !saved.wasPaused;
    if (!saved.settled) log.warn(HELD);
    return saved;
  }

  private async goOnIfStanding(stood: SavedMachine, result: SaveResult | undefined): Promise<void> {
    if (stood.wasPaused || result || !this.standing) return;
    await this.parts.goOn().catch(() => 0);
  }

  /** Does `work` while no state is being saved. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.exclusively(work);
  }

  private write(
    file: string,
    live: boolean,
    how: {
      stand(): Promise<SavedMachine>;
      media(): ReturnType<typeof stampMedia>;
      atThatMoment?: () => void;
      signal: AbortSignal;
      progress: Progress | undefined;
    },
  ): Promise<SaveResult> {
    const { config } = this.parts;
    // Marks go while a file is written, and the file may never be finished.
    this.baseline = undefined;
    return saveMachine({
      file,
      live,
      paused: this.parts.paused(),
      machine: this.parts.memory(),
      name: config.name,
      shape: machineShape(config),
      stand: how.stand,
      media: how.media,
      atThatMoment: how.atThatMoment ?? (() => {}),
      signal: how.signal,
      hurry: () => this.parts.drives.flushHold.begin(),
      seal: this.parts.drives.sealing,
      progress: how.progress ?? (() => {}),
      goOn: async () => {
        if (!live || !this.standing) return undefined;
        const at = await this.parts.goOn();
        this.standing = false;
        return at;
      },
    });
  }

  private exclusively<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const abort = new AbortController();
    this.aborts.add(abort);
    const result = this.turn
      .then(() => {
        abort.signal.throwIfAborted();
        const ended = this.parts.endedBy();
        if (ended) throw ended;
        return work(abort.signal);
      })
      .catch((error) => {
        // Images that were closed meanwhile are not what is wrong.
        throw (abort.signal.aborted ? undefined : this.parts.endedBy()) ?? error;
      })
      .finally(() => this.aborts.delete(abort));
    this.turn = result.catch(() => {});
    return result;
  }
}

/** The last moment at which a state is not there yet. */
async function commitUnless(signal: AbortSignal, result: SaveResult): Promise<void> {
  if (!signal.aborted) return result.commit();
  await result.abandon();
  throw signal.reason;
}
