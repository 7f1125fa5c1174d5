import path from 'node:path';
import type { Viewers } from '../contract/console.ts';
import type { DrivePolicy } from '../contract/drives.ts';
import type { Drive, LogEntry, VmConfig, VmPatch, VmStateName, VmStats, VmSummary } from '../contract/vm.ts';
import type { RevertRequest, RunningVm, SnapshotRequest, SnapshotTaken, StateWatch } from '../engine/engine.ts';
import { NVRAM_FILE, setNvramAside } from '../platform/nvram.ts';
import { DisposableStore } from '../util/disposable.ts';
import { readableBytes } from '../util/bytes.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import { ConfigKeeper } from './configkeeper.ts';
import { checkConfig } from './configrules.ts';
import { hardwareDiffers, withHardwareOf } from './hardware/pending.ts';
import { driveOf, growDisk, withFormats, withPolicy } from './machinedrives.ts';
import { lockFolder, MachineLocks } from './machinelocks.ts';
import { MachineThumbnail } from './machinethumbnail.ts';
import { putOverlay } from './machineoverlay.ts';
import { exchangeableDrive, exchangeMedium } from './machinemedium.ts';
import { type PreflightParts, preflightStart, throwFirst } from './preflight.ts';
import { checkSavedState, fitsSaved, removeSavedState, removeStateLeftovers, SAVED_STATE, savedInfo } from './savedstate.ts';
import { VmLog } from './vmlog.ts';

/** Forcing a machine off does not wait longer for its last picture. */
const LAST_PICTURE_MS = 500;

export interface MachineParts extends PreflightParts {
  changed(machine: Machine): void;
  logged(machine: Machine, entry: LogEntry): void;
  /** New statistics of the running machine. */
  sampled(machine: Machine, stats: VmStats): void;
  /** Who looks at the machine, or what they may do, has changed. */
  viewed(machine: Machine, viewers: Viewers): void;
}

export interface MachineSource {
  id: string;
  folder: string;
  config: VmConfig | null;
  problem: HypervueError | null;
}

/** One machine of the library, running or not. */
export class Machine {
  readonly id: string;
  folder: string;
  /** What the machine under way was started with, and what was changed in it since. */
  private startedWith: VmConfig | undefined;
  state: VmStateName;
  stats: VmStats | null = null;
  private problem: HypervueError | null;
  private readonly parts: MachineParts;
  private readonly log: VmLog;
  private vm: RunningVm | undefined;
  /** Settles when the start under way has ended, either way. */
  private starting: Promise<unknown> | undefined;
  /** Settles when what comes before a start has ended, either way. */
  private preparing: Promise<unknown> | undefined;
  /** Forced off while it starts: its process is ended as soon as there is one. */
  private unwanted = false;
  private held = new DisposableStore();
  private readonly locks: MachineLocks;
  /** Media change one at a time. */
  private changingMedium: Promise<unknown> = Promise.resolve();
  private startedAt: string | null = null;
  private readonly thumbnail = new MachineThumbnail();
  private readonly file: ConfigKeeper;

  constructor(source: MachineSource, parts: MachineParts) {
    this.id = source.id;
    this.folder = source.folder;
    this.file = new ConfigKeeper(source.id, source.config, this);
    this.problem = source.problem;
    this.parts = parts;
    this.locks = new MachineLocks(parts.locks);
    this.state = savedInfo(source.folder) ? 'saved' : 'off';
    this.log = new VmLog(source.folder);
    this.log.onFailure = (error) => this.record('warn', 'manager', `the log file can't be written: ${asHypervueError(error).message}`);
  }

  /** Null while its vm.json can't be used. */
  get config(): VmConfig | null {
    return this.file.config;
  }

  get name(): string {
    return this.config?.name ?? path.basename(this.folder);
  }

  /** A process may be under way. */
  get active(): boolean {
    return this.state !== 'off' && this.state !== 'crashed' && this.state !== 'saved';
  }

  get pid(): number | undefined {
    return this.vm?.pid;
  }

  /** Hardware of the file that the machine under way does not have yet. */
  get pending(): boolean {
    return this.startedWith !== undefined && this.config !== null && hardwareDiffers(this.startedWith, this.config);
  }

  /** What the machine is made of now: what it was started with while it is on, else its file. Throws when that can't be used. */
  present(operation: string): VmConfig {
    return this.startedWith ?? this.usable(operation);
  }

  summary(): VmSummary {
    const display = this.vm?.display;
    return {
      id: this.id,
      name: this.name,
      state: this.state,
      folder: this.folder,
      problem: this.problem?.toJSON() ?? null,
      config: this.config,
      runsWith: this.pending ? (this.startedWith ?? null) : null,
      stats: this.active ? this.stats : null,
      saved: this.state === 'saved' ? savedInfo(this.folder) : null,
      thumbnailVersion: this.thumbnail.version,
      startedAt: this.startedAt,
      display: display
        ? { width: display.width, height: display.height, text: display.text, absolutePointer: display.absolutePointer }
        : null,
    };
  }

  /**
   * `despiteDisks`, `passphrase`: see `vm.start` of the contract. `from`: goes on from this state file, which stays. `before`: done first, while the machine is
   * still off; it can be forced off then as during the start itself.
   */
  async start(
    how: { despiteDisks?: boolean; passphrase?: string | undefined; from?: string; before?: () => Promise<void> } = {},
  ): Promise<void> {
    if (this.usable('start').template)
      throw this.wrongState('start', 'is a template', 'Make a machine from it (clone), or take the template mark off.');
    if (this.active) throw this.wrongState('start', `is ${this.state} already`, 'Open its console.');
    if (this.preparing) throw this.wrongState('start', 'is starting already', 'Open its console.');
    this.unwanted = false;
    if (how.before) {
      const preparing = how.before();
      this.preparing = preparing.catch(() => {});
      await preparing.finally(() => {
        this.preparing = undefined;
      });
      if (this.unwanted)
        throw new HypervueError('cancelled', `${this.name} was turned off while it started`, { object: this.name, operation: 'start' });
    }
    this.state = 'starting';
    this.problem = null;
    this.held = new DisposableStore();
    this.changed();
    const work = this.launch(how);
    this.starting = work.catch(() => {});
    try {
      await work;
    } catch (cause) {
      const error = asHypervueError(cause, { object: this.name, operation: 'start' });
      this.release();
      // A machine that died while it started crashed; one that could not start is off, and the caller has the reason.
      this.state = error.kind === 'vm-crashed' ? 'crashed' : this.rest();
      this.problem = this.state === 'crashed' ? error : null;
      if (error.kind === 'cancelled') this.record('info', 'manager', 'off');
      else this.record('error', 'manager', `could not start: ${error.message}`);
      this.changed();
      throw error;
    } finally {
      this.starting = undefined;
    }
  }

  /** What the machine is when nothing runs. */
  private rest(): 'off' | 'saved' {
    return savedInfo(this.folder) ? 'saved' : 'off';
  }

  private async launch({ despiteDisks = false, passphrase, from }: Parameters<Machine['start']>[0] & object): Promise<void> {
    // First of all, so that a machine which another manager runs is refused as what it is, not for its disks being in use.
    this.locks.takeFolder(this.folder, this.name);
    // A change under way counts, and so does one made by hand or by another manager.
    await this.file.settled();
    const config = await this.file.read();
    this.file.config = config;
    const checks = await preflightStart(this.parts, config, this.folder);
    for (const check of checks) if (!check.ok && check.severity === 'warning') this.record('warn', 'manager', check.message);
    throwFirst(checks, this.name, 'start');
    for (const drive of config.drives) if (drive.path !== null) await this.locks.takeDrive(drive, this.folder, this.name);
    if (this.unwanted)
      throw new HypervueError('cancelled', `${this.name} was turned off meanwhile`, { object: this.name, operation: 'start' });
    await removeStateLeftovers(this.folder);
    const saved = from === undefined ? savedInfo(this.folder) : null;
    if (saved) await checkSavedState(this.folder, config, despiteDisks);
    this.startedAt = new Date().toISOString();
    this.stats = null;
    this.record('info', 'manager', saved ? `going on from the state saved at ${saved.at}` : `starting with ${config.memoryMiB} MiB`);
    const restore =
      from !== undefined
        ? { file: from, consume: false }
        : saved
          ? { file: path.join(this.folder, SAVED_STATE), consume: true }
          : undefined;
    this.startedWith = config;
    const vm = await this.parts.engine.start(config, this.folder, (made) => this.watch(made), restore, passphrase);
    this.shareLocks(vm);
    // What lay beside the state goes with it.
    if (saved) await removeStateLeftovers(this.folder);
    // It may have ended in the same breath, and its end has been told.
    if (this.vm === vm) this.record('info', 'manager', 'running');
  }

  /** The locks hold as long as the machine's process lives, also when this one is killed first. */
  private shareLocks(vm: RunningVm): void {
    if (vm !== this.vm || vm.pid === undefined) return;
    try {
      this.locks.share(vm.pid);
    } catch (error) {
      // Only a manager that is killed needs this, so the machine goes on.
      this.record('warn', 'manager', `its locks could not be shared with its process: ${asHypervueError(error).message}`);
    }
  }

  private watch(vm: RunningVm): void {
    this.vm = vm;
    this.shareLocks(vm);
    const subscriptions = this.held;
    subscriptions.add(vm.onLog((entry) => this.recordEntry(entry)));
    subscriptions.add(
      vm.onStats((stats) => {
        this.stats = stats;
        this.parts.sampled(this, stats);
      }),
    );
    subscriptions.add(vm.onViewers((viewers) => this.parts.viewed(this, viewers)));
    subscriptions.add(vm.onDisplayMode(() => this.changed()));
    subscriptions.add(vm.onState((state, error) => this.followState(vm, state, error)));
    if (this.unwanted) void vm.forceOff();
  }

  private followState(vm: RunningVm, state: VmStateName, error: HypervueError | undefined): void {
    if (vm !== this.vm) return;
    if (error) this.record(state === 'crashed' ? 'error' : 'warn', 'manager', error.message);
    this.state = state === 'off' ? this.rest() : state;
    // A host failure pauses a machine and says why; running again settles it.
    if (error) this.problem = error;
    else if (state === 'running' || state === 'off') this.problem = null;
    if (state === 'off' || state === 'crashed') {
      this.record('info', 'manager', this.state);
      this.release();
      this.file.after(() => this.saveThumbnail());
    }
    this.changed();
  }

  /** Lets go of everything a run held. */
  private release(): void {
    this.vm = undefined;
    this.startedWith = undefined;
    this.stats = null;
    this.locks.release();
    this.held.dispose();
  }

  pause(): Promise<void> {
    return this.inState('pause', ['running']).pause();
  }

  resume(): Promise<void> {
    return this.inState('resume', ['paused']).resume();
  }

  shutdown(): Promise<void> {
    return this.inState('shut down', ['running']).shutdown();
  }

  reset(): Promise<void> {
    return this.inState('reset', ['running', 'paused']).reset();
  }

  /** Writes the machine's state to its folder and ends it; the next start goes on from there. When it fails the machine goes on. */
  async saveState(watch?: StateWatch): Promise<void> {
    const vm = this.inState('save the state', ['running', 'paused']);
    const { saveState } = await this.parts.engine.capabilities();
    if (!saveState)
      throw new HypervueError('unsupported', `the engine of ${this.name} can't save states`, { object: this.name, operation: 'save' });
    this.refusePending('save the state', 'Revert them on its Hardware page, or shut it down instead.');
    await this.refreshThumbnail();
    this.record('info', 'manager', 'saving its state');
    try {
      await vm.saveState(path.join(this.folder, SAVED_STATE), watch);
    } catch (cause) {
      const error = asHypervueError(cause, { object: this.name, operation: 'save' });
      if (error.kind === 'cancelled') this.record('info', 'manager', 'saving its state was cancelled; it goes on');
      else this.record('error', 'manager', `its state could not be saved: ${error.message}`);
      throw error;
    }
    await this.log.flush();
  }

  /** Throws when its vm.json can't be used. */
  requireConfig(operation: string): VmConfig {
    return this.usable(operation);
  }

  /** Memory and disks of one moment, of a machine that is on. */
  async takeSnapshot(request: SnapshotRequest, watch?: StateWatch): Promise<SnapshotTaken> {
    const vm = this.inState('take a snapshot', ['running', 'paused']);
    if (!(await this.parts.engine.capabilities()).liveSnapshots)
      throw new HypervueError(
        'unsupported',
        `the engine of ${this.name} takes no snapshots of machines that are on`,
        { object: this.name, operation: 'snapshot' },
        'Shut the machine down first.',
      );
    return vm.snapshot(request, watch);
  }

  /** The machine, which is on, becomes what it was; see `RunningVm.revert`. False: not while it is on, and nothing has changed. */
  async revertRunning(request: RevertRequest): Promise<boolean> {
    const vm = this.inState('revert', ['running', 'paused']);
    try {
      await vm.revert(request);
      this.problem = null;
      return true;
    } catch (cause) {
      const error = asHypervueError(cause);
      this.record(error.kind === 'unsupported' ? 'info' : 'warn', 'snapshots', `reverted by a new process: ${error.message}`);
      return false;
    }
  }

  deleteLiveSnapshots(disks: string[], tag: string): Promise<void> {
    return this.inState('delete a snapshot', ['running', 'paused']).deleteDiskSnapshots(disks, tag);
  }

  /** Runs `work` while nobody else has this machine's folder or writes to its disks, or those in `also`. Rejects when it is on. */
  async whileOff<T>(operation: string, work: () => Promise<T>, also: readonly { path: string }[] = []): Promise<T> {
    const config = this.usable(operation);
    if (this.active) throw this.wrongState(operation, `is ${this.state}`, 'Turn it off first.');
    const locks = [lockFolder(this.folder, this.name, 'works on')];
    try {
      const writable = new Set(also.map(({ path: file }) => path.resolve(this.folder, file)));
      for (const { path: file, readOnly, kind } of config.drives)
        if (kind === 'disk' && file !== null && !readOnly) writable.add(path.resolve(this.folder, file));
      for (const file of writable) locks.push(this.parts.locks.acquire(file, false, this.name));
      return await work();
    } finally {
      for (const lock of locks.reverse()) lock.dispose();
      const rest = this.rest();
      if (!this.active && this.state !== 'crashed' && this.state !== rest) {
        this.state = rest;
        this.changed();
      }
    }
  }

  /** The hardware of an earlier configuration; what the machine is called and about stays. */
  async revertConfig(then: VmConfig): Promise<void> {
    await this.save((now) => {
      // What it is called and where it is shown is no part of the machine of then.
      const { id, name, description, createdAt, tags, group, autostart } = now;
      return { ...then, id, name, description, createdAt, tags, group, autostart };
    });
    // One that was reverted while it is on is what the file says now.
    if (this.startedWith && this.config) this.startedWith = this.config;
    this.changed();
  }

  /** The machine is off, as after a power cut at the moment it was saved. */
  async discardState(): Promise<void> {
    this.usable('discard the saved state');
    if (this.state !== 'saved') throw this.wrongState('discard the saved state', `is ${this.state}`, 'Only a saved machine has one.');
    const lock = lockFolder(this.folder, this.name, 'works on');
    try {
      await removeSavedState(this.folder);
    } finally {
      lock.dispose();
    }
    this.state = 'off';
    this.problem = null;
    this.record('info', 'manager', 'the saved state was discarded');
    this.changed();
  }

  /** Ends the machine at once, also while it starts. Resolves when its process is gone. */
  async forceOff(): Promise<void> {
    if (this.preparing) {
      this.unwanted = true;
      await this.preparing;
      return;
    }
    if (!this.active) throw this.wrongState('force off', `is ${this.state}`);
    // A machine that hangs does not answer, and its owner has waited long enough.
    await Promise.race([this.refreshThumbnail(), new Promise((resolve) => setTimeout(resolve, LAST_PICTURE_MS).unref())]);
    if (this.starting) this.unwanted = true;
    await this.vm?.forceOff();
    // Settles when the machine is off again, or runs because it got there first.
    await this.starting;
    await this.vm?.forceOff();
    await this.log.flush();
  }

  changeMedium(driveId: string, file: string | null): Promise<void> {
    const work = this.changingMedium.then(() => this.exchangeMedium(driveId, file));
    this.changingMedium = work.catch(() => {});
    return work;
  }

  private async exchangeMedium(driveId: string, file: string | null): Promise<void> {
    const drive = exchangeableDrive(this.present('change medium'), driveId, file);
    if (this.state === 'starting' || this.state === 'stopping')
      throw this.wrongState('change medium', `is ${this.state}`, 'Wait a moment.');
    const { name, folder, parts, locks } = this;
    await exchangeMedium(drive, file, { name, folder, parts, locks, running: () => this.vm });
    await this.saveDrive(drive, (config) => ({
      ...config,
      drives: config.drives.map((item) => (item.id === driveId ? { ...item, path: file } : item)),
    }));
    this.record('info', 'manager', file === null ? `${driveId}: ejected` : `${driveId}: ${file}`);
    this.changed();
  }

  /** UEFI starts with its defaults next time. Resolves with the name under which the variables that there were are kept, if any. */
  async resetFirmware(): Promise<string | null> {
    this.usable('reset UEFI settings');
    if (this.active) throw this.wrongState('reset the UEFI settings', `is ${this.state}`, 'Shut it down first.');
    const lock = lockFolder(this.folder, this.name, 'runs');
    try {
      const keptAs = await setNvramAside(path.join(this.folder, NVRAM_FILE));
      if (keptAs) this.record('info', 'manager', `UEFI settings reset; the old ones are kept as ${keptAs}`);
      return keptAs;
    } finally {
      lock.dispose();
    }
  }

  /** How the host serves a drive: at once when it runs, except that the guest sees another cache only after the next start. */
  async setDrivePolicy(driveId: string, policy: DrivePolicy): Promise<void> {
    const drive = driveOf(this.present('change a drive'), driveId);
    await this.vm?.setDrivePolicy(driveId, policy);
    await this.saveDrive(drive, (config) => withPolicy(config, driveId, policy));
    this.changed();
  }

  /** Puts a qcow2 image on top of a raw disk, also while the machine runs; the guest notices nothing, and what lies below is only read from then on. */
  async overlayDisk(driveId: string): Promise<void> {
    const drive = driveOf(this.present('put an image on top of a disk'), driveId);
    const { name, folder, parts, locks } = this;
    const change = (other: Partial<Drive>) =>
      this.saveDrive(drive, (now) => ({
        ...now,
        drives: now.drives.map((item) => (item.id === driveId ? { ...item, ...other } : item)),
      }));
    const top = await putOverlay(drive, { name, folder, images: parts.locks, locks, running: () => this.vm, change });
    this.record('info', 'snapshots', `${driveId}: ${top} lies on top of ${drive.path} now, which stays as it is`);
    this.changed();
  }

  /** Makes a disk larger, also while the machine runs. */
  async growDisk(driveId: string, sizeBytes: number): Promise<void> {
    const config = this.present('resize a disk');
    if (this.state === 'starting' || this.state === 'stopping')
      throw this.wrongState('resize a disk', `is ${this.state}`, 'Wait a moment.');
    await growDisk(config, driveId, sizeBytes, { folder: this.folder, vm: this.vm, locks: this.parts.locks });
    this.record('info', 'manager', `${driveId}: ${readableBytes(sizeBytes)} large now`);
    this.changed();
  }

  /** A change of one drive that holds at once, for what runs and for the file, unless the file has another drive in that place by now. */
  private async saveDrive({ id, kind }: Drive, change: (config: VmConfig) => VmConfig): Promise<void> {
    if (this.startedWith) this.startedWith = change(this.startedWith);
    await this.save((now) => (now.drives.some((drive) => drive.id === id && drive.kind === kind) ? change(now) : now));
  }

  /** Changes the configuration. What is not about names applies at the next start; discs and policies of a running machine change through their own verbs. */
  async update(patch: VmPatch & { template?: boolean }): Promise<void> {
    const drives = patch.drives && (await withFormats(this.usable('update'), patch.drives, this.folder));
    await this.replace((now) => ({ ...now, ...patch, ...(drives ? { drives } : {}) }));
  }

  /** The same for the whole file. `before` comes right before the file is written, and what it throws keeps it from that. */
  async replace(change: (now: VmConfig) => VmConfig, before: () => Promise<void> = async () => {}): Promise<void> {
    await this.save(async (now) => {
      const next = change(now);
      checkConfig(next);
      if (this.state === 'saved' && !fitsSaved(now, next))
        throw this.wrongState(
          'change the hardware',
          'has a saved state, which would not fit any more',
          'Start it and shut it down, or discard the saved state first.',
        );
      await before();
      return next;
    });
    this.changed();
  }

  /** Takes back what the file says about the next start: it is again what the machine under way has. */
  async revertPending(): Promise<void> {
    const { startedWith } = this;
    if (!this.pending || !startedWith) throw this.wrongState('revert changes', 'has none that wait for its next start');
    await this.save((now) => withHardwareOf(now, startedWith));
    this.record('info', 'manager', 'changes for its next start were taken back');
    this.changed();
  }

  /** A state fits only the hardware that it was saved with. */
  private refusePending(operation: string, fix: string): void {
    const { startedWith, config } = this;
    if (startedWith && config && !fitsSaved(startedWith, config))
      throw this.wrongState(operation, 'has changes of its hardware that wait for its next start, and the state would not fit them', fix);
  }

  /** Drives of its file, and those that it still has while it is on. */
  usedDrives(): Drive[] {
    const drives = this.config?.drives ?? [];
    const gone = (this.startedWith?.drives ?? []).filter((had) => !drives.some((drive) => drive.path === had.path));
    return [...drives, ...gone];
  }

  /** Its vm.json could not be read when it was looked at, and can be now. */
  mended(): Promise<boolean> {
    return this.file.mended();
  }

  /** Absolute paths of its images. */
  images(): string[] {
    return (this.config?.drives ?? []).flatMap((drive) => (drive.path === null ? [] : [path.resolve(this.folder, drive.path)]));
  }

  /** Absolute paths of the images that lie in its own folder and go where that goes. */
  imagesInFolder(): string[] {
    return this.images().filter((file) => file.startsWith(this.folder + path.sep));
  }

  async logEntries(lines: number): Promise<LogEntry[]> {
    return this.log.last(lines);
  }

  async thumbnailPng(): Promise<{ version: number; png: Uint8Array | null }> {
    if (this.active) await this.refreshThumbnail();
    const png = await this.thumbnail.read(this.folder);
    return { version: this.thumbnail.version, png };
  }

  /** Takes a new picture of a running machine; tells clients when it differs. */
  async refreshThumbnail(): Promise<void> {
    const { vm } = this;
    if (vm && (this.state === 'running' || this.state === 'paused') && (await this.thumbnail.refresh(vm))) this.changed();
  }

  private async saveThumbnail(): Promise<void> {
    try {
      await this.thumbnail.save(this.folder);
    } catch (error) {
      this.record('warn', 'manager', `the thumbnail can't be saved: ${asHypervueError(error).message}`);
    }
  }

  /** Before the folder is moved away. */
  async close(): Promise<void> {
    await this.file.settled();
    await this.log.flush();
  }

  record(level: LogEntry['level'], scope: string, message: string): void {
    this.recordEntry({ time: new Date().toISOString(), level, scope, message });
  }

  private recordEntry(entry: LogEntry): void {
    this.parts.logged(this, this.log.add(entry));
  }

  private save(change: (now: VmConfig) => VmConfig | Promise<VmConfig>): Promise<void> {
    return this.file.save((now) => {
      this.usable('update');
      return change(now);
    });
  }

  private changed(): void {
    this.parts.changed(this);
  }

  private usable(operation: string): VmConfig {
    if (!this.config) throw this.problem ?? new HypervueError('corrupt', `${this.name} can't be used`, { object: this.name, operation });
    return this.config;
  }

  /** Its process, for what is done to a machine that is on. Throws 'invalid-state'. */
  alive(operation: string): RunningVm {
    return this.inState(operation, ['running', 'paused', 'stopping']);
  }

  private inState(operation: string, states: readonly VmStateName[]): RunningVm {
    this.usable(operation);
    if (!this.vm || !states.includes(this.state))
      throw this.wrongState(operation, `is ${this.state}`, this.active ? undefined : 'Start the machine first.');
    return this.vm;
  }

  private wrongState(operation: string, what: string, fix?: string): HypervueError {
    return new HypervueError(
      'invalid-state',
      `can't ${operation}: ${this.name} ${what}`,
      { object: this.name, operation, state: this.state },
      fix,
    );
  }
}
