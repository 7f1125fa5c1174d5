import { connect } from 'node:net';
import type { ChannelViewer, Viewers, ViewingAction } from '../../contract/console.ts';
import type { GdbListen } from '../../contract/debug.ts';
import type { DriveId, DrivePolicy } from '../../contract/drives.ts';
import type { ChannelKind } from '../../contract/methods.ts';
import type { ByteChannel } from '../../contract/transport.ts';
import type { UsbSelector } from '../../contract/usb.ts';
import type { Drive, LogEntry, VmConfig, VmStateName, VmStats } from '../../contract/vm.ts';
import type { GdbArchitecture } from '../../debug/registers.ts';
import { socketPath } from '../../platform/folders.ts';
import { socketChannel } from '../../platform/socketchannel.ts';
import type { Disposable } from '../../util/disposable.ts';
import { Emitter } from '../../util/emitter.ts';
import { errorFrom, HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import type {
  DisplayMode,
  Engine,
  EngineCapabilities,
  RestoreFrom,
  RevertRequest,
  RunningVm,
  SnapshotRequest,
  SnapshotTaken,
  StateWatch,
} from '../engine.ts';
import { OUTPUT_KEPT, processEnded } from './processend.ts';
import type { FromVmProcess, ProcessLauncher, ToVmProcess, VmCallName, VmCalls, VmProcessHandle } from './protocol.ts';

/** How long to wait for a VM process, in milliseconds. */
export interface EngineLimits {
  /** For the process to report ready. */
  ready: number;
  /** For the machine to be set up once the process is ready. */
  start: number;
  /** For ordinary calls. */
  call: number;
  /** Force off waits this long for disks to be flushed before it kills. */
  forceOff: number;
  /** Writing or reading gigabytes of memory. */
  state: number;
  /** A process that has reported the end of its machine has this long to go. */
  exit: number;
}
const LIMITS: EngineLimits = { ready: 20_000, start: 60_000, call: 30_000, forceOff: 10_000, state: 1_800_000, exit: 5000 };
/** Longest line of its output that is kept until its end comes. */
const LINE_KEPT = 4000;
/** Most the built-in engine gives one machine, MiB. */
export const MAX_MEMORY_MIB = 3072;

export interface BuiltinEngineOptions {
  launcher: ProcessLauncher;
  /** Asked at every start, so that firmware installed meanwhile is found. */
  firmwareFolder: () => string;
  cpuWasmPath: string;
  /** Private folder for channel sockets. */
  runtimeFolder: string;
  limits?: Partial<EngineLimits>;
}

/** The hypervisor inside: one VM process a machine. */
export class BuiltinEngine implements Engine {
  readonly id = 'builtin';
  readonly name = 'Built-in hypervisor';
  private readonly options: BuiltinEngineOptions;

  constructor(options: BuiltinEngineOptions) {
    this.options = options;
  }

  async capabilities(): Promise<EngineCapabilities> {
    return {
      available: true,
      reason: say('engineReason'),
      pause: true,
      hotMediaChange: true,
      saveState: true,
      liveSnapshots: true,
      maxMemoryMiB: MAX_MEMORY_MIB,
      maxVcpus: 1,
    };
  }

  async start(
    config: VmConfig,
    folder: string,
    watch?: (vm: RunningVm) => void,
    restore?: RestoreFrom,
    passphrase?: string,
    cables?: { [card: string]: string },
  ): Promise<RunningVm> {
    const channelSocket = socketPath(this.options.runtimeFolder, config.id.replaceAll('-', '').slice(0, 16));
    const vm = new BuiltinVm(config.name, this.options.launcher.launch(config.name), channelSocket, {
      ...LIMITS,
      ...this.options.limits,
    });
    watch?.(vm);
    const { cpuWasmPath } = this.options;
    const firmwareFolder = this.options.firmwareFolder();
    await vm.start({
      config,
      folder,
      firmwareFolder,
      cpuWasmPath,
      channelSocket,
      ...(restore ? { restore } : {}),
      ...(passphrase ? { passphrase } : {}),
      ...(cables ? { cables } : {}),
    });
    return vm;
  }
}

interface PendingCall {
  operation: string;
  resolve(result: unknown): void;
  reject(error: HypervueError): void;
  timer: NodeJS.Timeout;
  progress: StateWatch['progress'] | undefined;
}

class BuiltinVm implements RunningVm {
  state: VmStateName = 'starting';
  display: DisplayMode | undefined;
  lastPicture: Uint8Array | undefined;
  private readonly name: string;
  private readonly handle: VmProcessHandle;
  private readonly socket: string;
  private readonly calls = new Map<number, PendingCall>();
  private readonly states = new Emitter<{ state: VmStateName; error?: HypervueError }>();
  private readonly modes = new Emitter<DisplayMode>();
  private readonly viewing = new Emitter<Viewers>();
  private readonly usbGone = new Emitter<void>();
  private readonly logs = new Emitter<LogEntry>();
  private readonly statistics = new Emitter<VmStats>();
  private readonly ready: Promise<void>;
  private markReady!: () => void;
  private failReady!: (error: HypervueError) => void;
  private nextId = 1;
  private exited = false;
  /** This side asked the process to end. */
  private asked = false;
  /** How the process ended, were it a crash. */
  private crash: HypervueError | undefined;
  /** The end that the process itself reported. */
  private last: { state: VmStateName; error?: HypervueError } | undefined;
  private output = '';
  private partialLine = '';
  private readonly exitListeners: (() => void)[] = [];
  private readonly limits: EngineLimits;
  /** The process listens, so it can be asked to end in order. */
  private listening = false;
  /** `start` has not ended yet: it tells how it went, and states of the end are not emitted meanwhile. */
  private settingUp = true;

  get pid(): number | undefined {
    return this.handle.pid;
  }

  constructor(name: string, handle: VmProcessHandle, socket: string, limits: EngineLimits) {
    this.limits = limits;
    this.name = name;
    this.handle = handle;
    this.socket = socket;
    this.ready = new Promise((resolve, reject) => {
      this.markReady = resolve;
      this.failReady = reject;
    });
    this.ready.catch(() => {});
    handle.onMessage((message) => this.receive(message));
    handle.onOutput((text) => {
      this.output = (this.output + text).slice(-OUTPUT_KEPT);
      const lines = (this.partialLine + text).split('\n');
      this.partialLine = lines.pop()!.slice(-LINE_KEPT);
      for (const line of lines) if (line.trim()) this.tell(line);
    });
    handle.onExit((code, signal) => this.ended(code, signal));
  }

  async start(params: VmCalls['start']['params']): Promise<void> {
    const timer = setTimeout(() => {
      this.failReady(
        new HypervueError(
          'timeout',
          say('processSlow', { name: this.name }),
          { object: this.name, operation: 'start' },
          say('fixLessBusy'),
        ),
      );
      this.handle.kill();
    }, this.limits.ready);
    try {
      await this.ready.finally(() => clearTimeout(timer));
      await this.call('start', params, params.restore ? Math.max(this.limits.start, this.limits.state) : this.limits.start);
      // It may run and end in the same breath; then the state has been told.
      this.settingUp = false;
      if (this.exited) this.announceEnd();
    } catch (error) {
      // The process ends by itself after a failed start, and with it its hold on files; one that does not is killed.
      await this.gone(this.limits.exit);
      this.state = 'off';
      throw error;
    }
  }

  onState(listener: (state: VmStateName, error?: HypervueError) => void): Disposable {
    return this.states.on(({ state, error }) => listener(state, error));
  }

  onDisplayMode(listener: (mode: DisplayMode) => void): Disposable {
    return this.modes.on(listener);
  }

  onLog(listener: (entry: LogEntry) => void): Disposable {
    return this.logs.on(listener);
  }

  onStats(listener: (stats: VmStats) => void): Disposable {
    return this.statistics.on(listener);
  }

  async pause(): Promise<void> {
    await this.call('pause', null);
  }

  async resume(): Promise<void> {
    await this.call('resume', null);
  }

  async reset(): Promise<void> {
    await this.call('reset', null);
  }

  async shutdown(): Promise<void> {
    await this.call('shutdown', null);
  }

  async restart(): Promise<void> {
    await this.call('restart', null);
  }

  /** Flushes disks and ends the process; one that does not answer in time is killed. Resolves when it is gone. */
  async forceOff(): Promise<void> {
    if (this.exited) return;
    this.asked = true;
    this.setState('stopping');
    if (this.listening) this.call('forceOff', null, this.limits.forceOff).catch(() => {});
    // It has opened nothing yet, and would not hear.
    else this.handle.kill();
    await this.gone(this.limits.forceOff);
  }

  /** Resolves when the process has ended; kills it after `limitMs`. */
  private gone(limitMs: number): Promise<void> {
    if (this.exited) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.handle.kill(), limitMs);
      this.exitListeners.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  screenshot(maxWidth?: number): Promise<VmCalls['screenshot']['result']> {
    return this.call('screenshot', maxWidth === undefined ? {} : { maxWidth });
  }

  screenText(): Promise<VmCalls['screenText']['result']> {
    return this.call('screenText', null);
  }

  async typeText(text: string, delayMs: number, progress?: (done: number, total: number) => void): Promise<void> {
    await this.call('typeText', { text, delayMs }, this.limits.call + text.length * (delayMs + 20), progress);
  }

  async cancelTyping(): Promise<void> {
    await this.call('cancelTyping', null);
  }

  async sendKeys(keys: readonly string[]): Promise<void> {
    await this.call('sendKeys', { keys: [...keys] });
  }

  async changeMedium(drive: string, path: string | null, readOnly: boolean): Promise<void> {
    await this.call('changeMedium', { drive, path, readOnly });
  }

  async setDrivePolicy(drive: string, policy: DrivePolicy): Promise<void> {
    await this.call('setDrivePolicy', { drive, policy });
  }

  async growDisk(drive: string, sizeBytes: number): Promise<void> {
    await this.call('growDisk', { drive, sizeBytes });
  }

  async plugDrive(drive: Drive, at: number, passphrase?: string): Promise<void> {
    await this.call('plugDrive', { drive, at, ...(passphrase === undefined ? {} : { passphrase }) });
  }

  async unplugDrive(drive: DriveId): Promise<void> {
    await this.call('unplugDrive', { drive });
  }

  async plugCable(card: string, socket: string | null): Promise<void> {
    await this.call('plugCable', { card, socket });
  }

  async attachUsb(device: UsbSelector): Promise<void> {
    await this.call('attachUsb', { device });
  }

  async detachUsb(device: UsbSelector): Promise<void> {
    await this.call('detachUsb', { device });
  }

  listUsb(): Promise<UsbSelector[]> {
    return this.call('listUsb', {});
  }

  async overlayDisk(drive: string, file: string): Promise<void> {
    await this.call('overlayDisk', { drive, file });
  }

  async saveState(file: string, watch?: StateWatch): Promise<void> {
    await this.watched(watch, (progress) => this.call('saveState', { file }, this.limits.state, progress));
    // Its end has been told by the process; until it is gone it may hold its disks.
    await this.gone(this.limits.exit);
  }

  snapshot(request: SnapshotRequest, watch?: StateWatch): Promise<SnapshotTaken> {
    return this.watched(watch, (progress) => this.call('snapshot', request, this.limits.state, progress));
  }

  private async watched<T>(watch: StateWatch | undefined, call: (progress: StateWatch['progress'] | undefined) => Promise<T>): Promise<T> {
    watch?.signal.throwIfAborted();
    // The call itself then rejects, or is done already.
    const cancel = () => void this.call('cancelState', null).catch(() => {});
    watch?.signal.addEventListener('abort', cancel, { once: true });
    try {
      return await call(watch && ((done, total) => watch.progress(done, total)));
    } finally {
      watch?.signal.removeEventListener('abort', cancel);
    }
  }

  async revert(request: RevertRequest): Promise<void> {
    await this.call('revert', request, this.limits.state);
  }

  async deleteDiskSnapshots(disks: string[], tag: string): Promise<void> {
    await this.call('deleteDiskSnapshots', { disks, tag }, this.limits.state);
  }

  openGdb(address: GdbListen, architecture?: GdbArchitecture): Promise<VmCalls['openGdb']['result']> {
    return this.call('openGdb', architecture === undefined ? { address } : { address, architecture });
  }

  async closeGdb(): Promise<void> {
    await this.call('closeGdb', null);
  }

  profile(options: VmCalls['profile']['params']): Promise<VmCalls['profile']['result']> {
    return this.call('profile', options);
  }

  viewers(key?: string): Promise<VmCalls['viewers']['result']> {
    return this.call('viewers', key === undefined ? {} : { key });
  }

  async setViewing(key: string, action: ViewingAction, viewer?: string): Promise<void> {
    await this.call('setViewing', { key, action, ...(viewer === undefined ? {} : { viewer }) });
  }

  onViewers(listener: (viewers: Viewers) => void): Disposable {
    return this.viewing.on(listener);
  }

  onUsbGone(listener: () => void): Disposable {
    return this.usbGone.on(listener);
  }

  async serialBreak(port: number): Promise<void> {
    await this.call('serialBreak', { port });
  }

  openChannel(kind: ChannelKind, viewer?: ChannelViewer): Promise<ByteChannel> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.socket);
      socket.once('error', (error) =>
        reject(
          new HypervueError(
            'invalid-state',
            say('noChannel', { name: this.name, kind }),
            { object: this.name, operation: 'open channel' },
            say('fixStartFirst'),
            error,
          ),
        ),
      );
      socket.once('connect', () => {
        socket.write(viewer ? `${kind} ${JSON.stringify(viewer)}\n` : `${kind}\n`);
        // Paused until the taker listens, so that no byte is lost.
        socket.pause();
        resolve(socketChannel(socket));
      });
    });
  }

  private call<K extends VmCallName>(
    call: K,
    params: VmCalls[K]['params'],
    timeoutMs = this.limits.call,
    progress?: StateWatch['progress'],
  ): Promise<VmCalls[K]['result']> {
    return new Promise((resolve, reject) => {
      if (this.exited) {
        reject(new HypervueError('invalid-state', say('notRunning', { name: this.name }), { object: this.name, operation: call }));
        return;
      }
      const id = this.nextId++;
      const timer = setTimeout(() => {
        this.calls.delete(id);
        reject(
          new HypervueError('timeout', say('noAnswer', { name: this.name }), { object: this.name, operation: call }, say('fixForceOff')),
        );
      }, timeoutMs);
      this.calls.set(id, { operation: call, resolve: resolve as (result: unknown) => void, reject, timer, progress });
      this.handle.send({ id, call, params } as ToVmProcess);
    });
  }

  private receive(message: FromVmProcess): void {
    switch (message.type) {
      case 'ready':
        this.listening = true;
        this.markReady();
        break;
      case 'result':
      case 'error': {
        const call = this.calls.get(message.id);
        if (!call) break;
        this.calls.delete(message.id);
        clearTimeout(call.timer);
        if (message.type === 'result') call.resolve(message.result);
        else call.reject(errorFrom(message.error));
        break;
      }
      case 'progress':
        this.calls.get(message.id)?.progress?.(message.done, message.total);
        break;
      case 'state': {
        const error = message.error && errorFrom(message.error);
        // The end of a machine is told once its process is gone, and with it its hold on disks.
        if (message.state === 'off' || message.state === 'crashed') {
          this.last ??= error ? { state: message.state, error } : { state: message.state };
          void this.gone(this.limits.exit);
        } else if (!this.last) this.setState(message.state, error);
        break;
      }
      case 'display':
        this.display = message.mode;
        this.modes.emit(message.mode);
        break;
      case 'viewers':
        this.viewing.emit(message.viewers);
        break;
      case 'usbGone':
        this.usbGone.emit(undefined);
        break;
      case 'picture':
        this.lastPicture = message.png;
        break;
      case 'log':
        this.logs.emit(message.entry);
        break;
      case 'stats':
        this.statistics.emit(message.stats);
        break;
    }
  }

  /** A line that the process wrote, for the machine's log. */
  private tell(message: string): void {
    this.logs.emit({ time: new Date().toISOString(), level: 'warn', scope: 'process', message });
  }

  private setState(state: VmStateName, error?: HypervueError): void {
    if (this.state === state && !error) return;
    this.state = state;
    this.states.emit(error ? { state, error } : { state });
  }

  private ended(code: number | null, signal: string | null): void {
    if (this.exited) return;
    this.exited = true;
    // Its last line may have no end, and is the one that matters.
    if (this.partialLine.trim()) this.tell(this.partialLine);
    this.crash = processEnded(this.name, code, signal, this.output);
    const orderly = this.asked || this.last?.state === 'off';
    const reason = (operation: string) =>
      orderly
        ? new HypervueError('cancelled', say('offMeanwhile', { name: this.name }), { object: this.name, operation })
        : (this.last?.error ?? this.crash!);
    this.failReady(reason('start'));
    for (const { operation, timer, reject } of this.calls.values()) {
      clearTimeout(timer);
      reject(reason(operation));
    }
    this.calls.clear();
    if (!this.settingUp) this.announceEnd();
    for (const listener of this.exitListeners.splice(0)) listener();
  }

  /** The process is gone: says whether its machine went off or crashed. */
  private announceEnd(): void {
    // Who forces a machine off gets it off, whatever it says with its last breath.
    if (this.asked) this.setState('off');
    else if (this.last) this.setState(this.last.state, this.last.error);
    else this.setState('crashed', this.crash);
  }
}
