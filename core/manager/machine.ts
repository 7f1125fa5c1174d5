import { type Operation, operationWord, stateWord } from './operationwords.ts';
import path from 'node:path';
import type { LogEntry, VmConfig, VmStateName, VmStats, VmSummary } from '../contract/vm.ts';
import type { RunningVm, StateWatch } from '../engine/engine.ts';
import { NVRAM_FILE, setNvramAside } from '../platform/nvram.ts';
import { DisposableStore } from '../util/disposable.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import { say, type Saying } from '../util/say.ts';
import { MachineCables } from './machinecables.ts';
import { MachineConfig } from './machineconfig.ts';
import { MachineDriveVerbs } from './machinedriveverbs.ts';
import { lockFolder, MachineLocks } from './machinelocks.ts';
import type { MachineParts, MachineSelf } from './machineself.ts';
import { MachineStates } from './machinestates.ts';
import { MachineThumbnail } from './machinethumbnail.ts';
import { throwFirst } from './preflight.ts';
import { preflightStart } from './preflightstart.ts';
import { checkSavedState, removeStateLeftovers, SAVED_STATE, savedInfo } from './savedstate.ts';
import { VmLog } from './vmlog.ts';

/** Forcing a machine off does not wait longer for its last picture. */
const LAST_PICTURE_MS = 500;

export interface MachineSource {
  id: string;
  folder: string;
  config: VmConfig | null;
  problem: HypervueError | null;
  /** Its folder is a copy of another machine's that somebody made in the library. */
  copied?: boolean;
}

/** One machine of the library, running or not. */
export class Machine implements MachineSelf {
  readonly id: string;
  folder: string;
  state: VmStateName;
  stats: VmStats | null = null;
  problem: HypervueError | null;
  readonly parts: MachineParts;
  readonly locks: MachineLocks;
  /** What it is made of. */
  readonly settings: MachineConfig;
  readonly drives: MachineDriveVerbs;
  readonly states: MachineStates;
  private readonly cables: MachineCables;
  private readonly log: VmLog;
  private vm: RunningVm | undefined;
  /** Settles when the start under way has ended, either way. */
  private starting: Promise<unknown> | undefined;
  /** Settles when what comes before a start has ended, either way. */
  private preparing: Promise<unknown> | undefined;
  /** Forced off while it starts: its process is ended as soon as there is one. */
  private unwanted = false;
  private held = new DisposableStore();
  private startedAt: string | null = null;
  private readonly thumbnail = new MachineThumbnail();

  constructor(source: MachineSource, parts: MachineParts) {
    this.id = source.id;
    this.folder = source.folder;
    this.problem = source.problem;
    this.parts = parts;
    this.locks = new MachineLocks(parts.locks);
    this.settings = new MachineConfig(this, source.config);
    this.drives = new MachineDriveVerbs(this, this.settings);
    this.cables = new MachineCables(this);
    this.states = new MachineStates(this, this.settings);
    this.state = savedInfo(source.folder) ? 'saved' : 'off';
    this.log = new VmLog(source.folder);
    this.log.onFailure = (error) => this.record('warn', 'manager', `the log file can't be written: ${asHypervueError(error).message}`);
  }

  /** Null while its vm.json can't be used. */
  get config(): VmConfig | null {
    return this.settings.file.config;
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

  summary(): VmSummary {
    const display = this.vm?.display;
    return {
      id: this.id,
      name: this.name,
      state: this.state,
      folder: this.folder,
      problem: this.problem?.toJSON() ?? null,
      config: this.config,
      runsWith: this.settings.pending ? (this.settings.startedWith ?? null) : null,
      stats: this.active ? this.stats : null,
      saved: this.state === 'saved' ? savedInfo(this.folder) : null,
      thumbnailVersion: this.thumbnail.version,
      startedAt: this.startedAt,
      display: display
        ? {
            width: display.width,
            height: display.height,
            text: display.text,
            absolutePointer: display.absolutePointer,
            resizable: display.resizable,
          }
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
    this.refuseStart();
    this.unwanted = false;
    if (how.before) {
      const preparing = how.before();
      this.preparing = preparing.catch(() => {});
      await preparing.finally(() => {
        this.preparing = undefined;
      });
      if (this.unwanted)
        throw new HypervueError('cancelled', say('offWhileStarting', { name: this.name }), { object: this.name, operation: 'start' });
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

  /** Throws where the machine is none to start: a template, one that is on, one that can't be read. */
  private refuseStart(): void {
    if (this.settings.usable('start').template) throw this.wrongState('start', say('nowTemplate'), say('fixIsTemplate'));
    if (this.active) throw this.wrongState('start', stateWord(this.state), say('fixOpenConsole'));
    if (this.preparing) throw this.wrongState('start', stateWord('starting'), say('fixOpenConsole'));
  }

  /** What a start would start. Throws as `start` does where it is none to start. */
  async startable(): Promise<VmConfig> {
    this.refuseStart();
    await this.settings.file.settled();
    return this.settings.file.read();
  }

  /** What the machine is when nothing runs. */
  private rest(): 'off' | 'saved' {
    return savedInfo(this.folder) ? 'saved' : 'off';
  }

  private async launch({ despiteDisks = false, passphrase, from }: Parameters<Machine['start']>[0] & object): Promise<void> {
    // First of all, so that a machine which another manager runs is refused as what it is, not for its disks being in use.
    this.locks.takeFolder(this.folder, this.name);
    // A change under way counts, and so does one made by hand or by another manager.
    const { file } = this.settings;
    await file.settled();
    const config = await file.read();
    file.config = config;
    const resumes = from !== undefined || savedInfo(this.folder) !== null;
    const checks = await preflightStart(this.parts, config, this.folder, { resumes });
    for (const check of checks) if (!check.ok && check.severity === 'warning') this.record('warn', 'manager', check.message);
    throwFirst(checks, this.name, 'start');
    for (const drive of config.drives) if (drive.path !== null) await this.locks.takeDrive(drive, this.folder, this.name);
    if (this.unwanted)
      throw new HypervueError('cancelled', say('offMeanwhile', { name: this.name }), { object: this.name, operation: 'start' });
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
    this.settings.startedWith = config;
    const cables = await this.cables.open(config.network);
    const vm = await this.parts.engine.start(config, this.folder, (made) => this.watch(made), restore, passphrase, cables);
    this.shareLocks(vm);
    // What lay beside the state goes with it.
    if (saved) await removeStateLeftovers(this.folder);
    // It may have ended in the same breath, and its end has been told.
    if (this.vm !== vm) return;
    this.record('info', 'manager', 'running');
    // What was changed while it started.
    await this.cables.follow(() => this.settings.startedWith?.network ?? [], vm);
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
    subscriptions.add(vm.onUsbGone(() => this.changed()));
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
      this.thumbnail.end(vm.lastPicture);
      this.settings.file.after(() => this.saveThumbnail());
    }
    this.changed();
  }

  /** Lets go of everything a run held. */
  private release(): void {
    this.vm = undefined;
    this.settings.startedWith = undefined;
    this.stats = null;
    this.cables.release();
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

  restart(): Promise<void> {
    return this.inState('restart', ['running']).restart();
  }

  reset(): Promise<void> {
    return this.inState('reset', ['running', 'paused']).reset();
  }

  /** See `MachineStates.save`. */
  async saveState(watch?: StateWatch): Promise<void> {
    await this.states.save(() => this.refreshThumbnail(), watch);
    await this.log.flush();
  }

  /** Runs `work` while nobody else has this machine's folder or writes to its disks, or those in `also`. Rejects when it is on. */
  async whileOff<T>(operation: Operation, work: () => Promise<T>, also: readonly { path: string }[] = []): Promise<T> {
    const config = this.settings.usable(operation);
    if (this.active) throw this.wrongState(operation, stateWord(this.state), say('fixTurnOff'));
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

  /** Ends the machine at once, also while it starts. Resolves when its process is gone. */
  async forceOff(): Promise<void> {
    if (this.preparing) {
      this.unwanted = true;
      await this.preparing;
      return;
    }
    if (!this.active) throw this.wrongState('force off', stateWord(this.state));
    // A machine that hangs does not answer, and its owner has waited long enough.
    await Promise.race([this.refreshThumbnail(), new Promise((resolve) => setTimeout(resolve, LAST_PICTURE_MS).unref())]);
    if (this.starting) this.unwanted = true;
    await this.vm?.forceOff();
    // Settles when the machine is off again, or runs because it got there first.
    await this.starting;
    await this.vm?.forceOff();
    await this.log.flush();
  }

  /** UEFI starts with its defaults next time. Resolves with the name under which the variables that there were are kept, if any. */
  async resetFirmware(): Promise<string | null> {
    this.settings.usable('reset the UEFI settings');
    if (this.active) throw this.wrongState('reset the UEFI settings', stateWord(this.state), say('fixShutDownFirst'));
    const lock = lockFolder(this.folder, this.name, 'runs');
    try {
      const keptAs = await setNvramAside(path.join(this.folder, NVRAM_FILE));
      if (keptAs) this.record('info', 'manager', `UEFI settings reset; the old ones are kept as ${keptAs}`);
      return keptAs;
    } finally {
      lock.dispose();
    }
  }

  /** Its vm.json could not be read when it was looked at, and can be now. */
  mended(): Promise<boolean> {
    return this.settings.file.mended();
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
    await this.settings.file.settled();
    await this.log.flush();
  }

  async moveCables(): Promise<void> {
    // One that starts has them as they were then, and follows when it is there.
    if (this.vm && this.state !== 'starting') await this.cables.follow(() => this.settings.startedWith?.network ?? [], this.vm);
  }

  record(level: LogEntry['level'], scope: string, message: string): void {
    this.recordEntry({ time: new Date().toISOString(), level, scope, message });
  }

  private recordEntry(entry: LogEntry): void {
    this.parts.logged(this, this.log.add(entry));
  }

  changed(): void {
    this.parts.changed(this);
  }

  /** Its process, for what is done to a machine that is on. Throws 'invalid-state'. */
  alive(operation: Operation): RunningVm {
    return this.inState(operation, ['running', 'paused', 'stopping']);
  }

  running(): RunningVm | undefined {
    return this.vm;
  }

  inState(operation: Operation, states: readonly VmStateName[]): RunningVm {
    this.settings.usable(operation);
    if (!this.vm || !states.includes(this.state))
      throw this.wrongState(operation, stateWord(this.state), this.active ? undefined : say('fixStartFirst'));
    return this.vm;
  }

  wrongState(operation: Operation, what: Saying, fix?: Saying): HypervueError {
    return new HypervueError(
      'invalid-state',
      say('cantDo', { operation: operationWord(operation), name: this.name, what }),
      { object: this.name, operation, state: this.state },
      fix,
    );
  }
}
