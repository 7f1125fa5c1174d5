import path from 'node:path';
import { performance } from 'node:perf_hooks';
import type { UsbSelector } from '../contract/usb.ts';
import type { DriveId } from '../contract/drives.ts';
import type { Drive, VmConfig } from '../contract/vm.ts';
import { S_ICOUNT } from '../cpu/interp/wasm/stateoffsets.ts';
import type { CpuState } from '../cpu/cpustate.ts';
import type { TextScreen } from '../devices/display/textscreen.ts';
import type { VgaScanout } from '../devices/display/scanout.ts';
import { LAST_PICTURE_WIDTH } from '../engine/builtin/protocol.ts';
import type { RevertRequest } from '../engine/engine.ts';
import { machineShape } from '../engine/builtin/machineshape.ts';
import type { MachineDefinition } from '../machine/definition.ts';
import { memoryBehindRam } from '../machine/display.ts';
import { type LifecycleEvent, type LifecycleState, transition } from '../machine/lifecycle.ts';
import { CPU_STATE_BASE } from '../memory/layout.ts';
import { Mailbox, MB_DEVICE_CALLS } from '../memory/mailbox.ts';
import { createVmMemory } from '../memory/vmmemory.ts';
import { NVRAM_FILE } from '../platform/nvram.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { createLogger, type Logger } from '../util/logger.ts';
import { DebugAccess } from './debugaccess.ts';
import { DriveService } from './drives.ts';
import { readDefinition } from './machinedefinition.ts';
import { type ReportReceivers, receiveReport } from './machinereports.ts';
import { FirmwareVariables } from './firmwarevariables.ts';
import { RemoteInput } from './remoteinput.ts';
import { MachineRestorer } from './machinerestorer.ts';
import { MachineSaver } from './machinesaver.ts';
import { type MachineMemory, SavedMachineFile } from './savedmachine.ts';
import type { SerialHub } from './seriallog.ts';
import { openSerialPort } from './serialports.ts';
import { machineFingerprint, type StateHash } from './statehash.ts';
import { StatsMeter } from './statsmeter.ts';
import { MachineThreads } from './machinethreads.ts';
import { Typist } from './typing.ts';
import { VmUsb } from './vmusb.ts';
import { VmCables } from './vmcables.ts';
import { VmDrives } from './vmdrives.ts';
import { VmEvents } from './vmevents.ts';
import type { VmHostOptions } from './vmhostoptions.ts';
import { VmPicture } from './vmpicture.ts';
import { loadInterpreter } from './wasmsetup.ts';

/** A guest that has not turned the machine off by then has ignored the button: a later power-off is its own wish. */
const RESTART_MS = 15 * 60_000;

/**
 * One running machine on the process's main thread: owns the shared memory, the files, the picture and the machine thread. Used by the VM
 * process (over IPC) and by the headless runner (directly).
 */
export class VmHost extends VmEvents {
  readonly config: VmConfig;
  readonly serial: SerialHub[] = [];
  readonly input: RemoteInput;
  state: LifecycleState = 'off';
  /** Saves this machine. */
  readonly saver: MachineSaver;
  private readonly restorer: MachineRestorer;
  private machineMemory: MachineMemory | undefined;
  /** What the GDB stub and the profiler drive the machine through. */
  readonly debug: DebugAccess;
  private readonly options: VmHostOptions;
  private readonly log: Logger;
  private readonly typist: Typist;
  private readonly drives: DriveService;
  private readonly cables: VmCables;
  private readonly hostUsb: VmUsb;
  /** What is done with its drives while it runs. */
  readonly media: VmDrives;
  private readonly threads: MachineThreads;
  private readonly receivers: ReportReceivers;
  private readonly meter: StatsMeter;
  private memory: WebAssembly.Memory | undefined;
  private mailbox: Mailbox | undefined;
  private firmwareVariables: FirmwareVariables | undefined;
  private picture: VmPicture | undefined;
  private reverting = false;
  private ended = false;
  /** Why its images are closed, once they are: what then fails for want of them fails for this. */
  private endedBy: HypervueError | undefined;
  /** While recording: the state when the guest turned the machine off. */
  lastState: StateHash | undefined;
  /** Why the host could not do what the guest asked, until a resume. */
  private hostFailure: HypervueError | undefined;
  /** Until when a guest that turns the machine off is started again, by `performance.now()`. */
  private restartUntil = 0;
  /** Count of RFB viewers, for statistics. */
  viewers: () => number = () => 0;

  constructor(options: VmHostOptions) {
    super();
    this.options = options;
    this.config = options.start.config;
    this.log = createLogger((level, scope, message) => this.onLog.emit({ time: new Date().toISOString(), level, scope, message }), '', 20);
    this.threads = new MachineThreads({
      name: this.config.name,
      entry: options.machineThread,
      log: this.log,
      receive: (message) => receiveReport(message, this.receivers),
      died: (error) => void this.threadDied(error),
    });
    this.input = new RemoteInput(
      (message) => this.threads.post(message),
      () => ({ width: this.picture?.scanout.width ?? 1, height: this.picture?.scanout.height ?? 1 }),
    );
    this.debug = new DebugAccess({
      name: this.config.name,
      state: () => this.state,
      setState: (state) => this.setState(state),
      onState: (listener) => this.onState.on(({ state }) => listener(state)),
      ask: async (request) => (await this.threads.ask((id) => ({ t: 'debug', id, request }), request.op)).debug,
      reset: () => this.reset(),
      forceOff: () => this.forceOff(),
    });
    this.typist = new Typist(
      () => this.input,
      (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    );
    this.drives = new DriveService({
      folder: options.start.folder,
      passphrase: options.start.passphrase,
      post: (message) => this.threads.post(message),
      onHostError: (drive, error) => this.hostError(drive, error),
      log: this.log.child('disk'),
    });
    this.media = new VmDrives(this.drives, this.config, {
      needOn: () => this.needOn('change the drives of'),
      endedBy: () => this.endedBy,
    });
    this.cables = new VmCables(this.config, (message, transfer) => this.threads.post(message, transfer), this.log.child('network'));
    this.hostUsb = new VmUsb({
      config: this.config,
      post: (message) => this.threads.post(message),
      log: this.log.child('usb'),
      needOn: () => this.needOn('attach a USB device to'),
      gone: () => this.onUsbGone.emit(null),
    });
    this.meter = new StatsMeter({
      instructions: () => this.instructions(),
      readBytes: () => this.drives.readBytes,
      writtenBytes: () => this.drives.writtenBytes,
      receivedBytes: () => this.cables.receivedBytes,
      sentBytes: () => this.cables.sentBytes,
      viewers: () => this.viewers(),
      deviceCalls: () => (this.mailbox?.words[MB_DEVICE_CALLS] ?? 0) >>> 0,
      frames: () => this.picture?.frames ?? 0,
      look: () => this.updateDisplayMode(),
      stats: (stats) => this.onStats.emit(stats),
    });
    this.saver = new MachineSaver({
      config: this.config,
      folder: options.start.folder,
      drives: this.drives,
      log: this.log.child('state'),
      memory: () => {
        this.needOn('save');
        return this.machineMemory!;
      },
      paused: () => this.state === 'paused',
      endedBy: () => this.endedBy,
      stand: async () => (await this.threads.command('saveState')).saved!,
      goOn: async () => {
        const now = () => performance.timeOrigin + performance.now();
        return this.state === 'running' ? ((await this.threads.command('resume')).at ?? now()) : now();
      },
    });
    this.receivers = {
      events: this,
      drives: this.drives,
      cables: this.cables,
      usb: this.hostUsb,
      serial: this.serial,
      input: this.input,
      debug: this.debug,
      log: this.log,
      firmwareVariables: () => this.firmwareVariables,
      poweredOff: (state) => {
        this.lastState = state;
        void (this.startsAgain() ? this.startAgain() : this.finish());
      },
      pointerChanged: () => this.updateDisplayMode(),
    };
    this.restorer = new MachineRestorer({
      config: this.config,
      folder: options.start.folder,
      drives: this.drives,
      threads: this.threads,
      saver: this.saver,
      memory: () => this.machineMemory!,
      running: () => this.state === 'running',
      held: () => {
        if (this.debug.attached) return 'whyDebugger';
        return options.rerun?.record || options.rerun?.replay ? 'whyRecorded' : undefined;
      },
    });
  }

  /** The picture. Only after `start`. */
  get scanout(): VgaScanout {
    return this.shown.scanout;
  }

  private get shown(): VmPicture {
    if (!this.picture)
      throw new HypervueError('invalid-state', say('notRunning', { name: this.config.name }), { object: this.config.name });
    return this.picture;
  }

  /** Resolves when guest code runs. Rejects and leaves nothing open when the machine can't be set up. */
  async start(): Promise<void> {
    this.move('start');
    /** Forced off meanwhile. */
    const stillWanted = () => {
      if (this.ended)
        throw new HypervueError('cancelled', say('offWhileStarting', { name: this.config.name }), { object: this.config.name });
    };
    let saved: SavedMachineFile | undefined;
    try {
      const restore = this.options.start.restore;
      saved = restore && (await SavedMachineFile.open(restore.file, machineShape(this.config)));
      const definition = { ...(await this.readDefinition()), ...(saved ? { bios: saved.bios, vgaBios: saved.vgaBios } : {}) };
      stillWanted();
      const behind = memoryBehindRam(definition);
      this.memory = createVmMemory(definition.ramBytes, behind);
      this.machineMemory = {
        memory: this.memory,
        ramBytes: definition.ramBytes + behind,
        vramBytes: definition.vramBytes,
        biosBytes: definition.bios.length,
      };
      this.mailbox = new Mailbox(this.memory);
      const media = await this.drives.open(this.config.drives);
      const cpuWasm = await loadInterpreter(this.options.start.cpuWasmPath);
      stillWanted();
      for (let index = 0; index < definition.serialPorts; index++)
        this.serial.push(
          openSerialPort(this.options.start, index, (bytes) => this.threads.post({ t: 'serialInput', index, bytes }), this.log),
        );
      this.picture = new VmPicture(this.memory, this.mailbox);
      const { rerun, checkMachine } = this.options;
      checkMachine?.(machineFingerprint(definition, media));
      // Exact slices leave the recompiler so little to do at a time that the interpreter is quicker, with the very same results.
      const compile = this.config.cpu.accel === 'jit' && (definition.time.source === 'host' || rerun?.recompile === true);
      await this.threads.start(
        {
          memory: this.memory,
          definition,
          cpuWasm,
          media,
          cables: this.cables.shared,
          ...(rerun ? { rerun } : {}),
          ...(saved ? { restoring: true } : {}),
        },
        compile,
      );
      if (saved) await this.restorer.restore(saved, restore!);
      for (const [card, socket] of Object.entries(this.options.start.cables ?? {})) this.cables.get(card)?.plug(socket);
      const standing = this.options.startPaused || saved?.meta.paused === true;
      if (!standing) await this.threads.command('resume');
      stillWanted();
      this.move('started');
      if (standing) this.setState('paused');
      this.meter.start();
      // The guest may have been quick to write.
      if (this.hostFailure) this.hostError('disk', this.hostFailure);
    } catch (error) {
      await saved?.close();
      // Who ended it meanwhile also says how; what was opened since is closed all the same.
      const endedMeanwhile = this.ended;
      // A thread that ends because it was told to is no failure.
      const reason =
        endedMeanwhile && !(error instanceof HypervueError)
          ? new HypervueError('cancelled', say('offWhileStarting', { name: this.config.name }), { object: this.config.name })
          : asHypervueError(error, { object: this.config.name, operation: 'start' });
      await this.shutDownThreads();
      // Then the thread's end is no failure of its own.
      if (endedMeanwhile) stillWanted();
      this.move('failed', reason);
      throw reason;
    }
  }

  async pause(): Promise<void> {
    this.needOn('pause');
    const next = transition(this.state, 'pause', this.config.name);
    await this.threads.command('pause');
    this.setState(next);
  }

  async resume(): Promise<void> {
    this.needOn('resume');
    transition(this.state, 'resume', this.config.name);
    if (this.debug.attached)
      throw new HypervueError(
        'invalid-state',
        say('debuggerHolds', { name: this.config.name }),
        { object: this.config.name, operation: 'resume' },
        say('fixDebuggerHolds'),
      );
    this.hostFailure = undefined;
    // While the guest still stands: what did not fit before goes first, and when it does not fit yet the guest must not go on.
    if (!(await this.drives.retry()) && this.hostFailure) throw this.hostFailure;
    const next = transition(this.state, 'resume', this.config.name);
    await this.threads.command('resume');
    // A write may have failed again in the meantime, while the state still said paused.
    if (this.hostFailure) await this.threads.command('pause');
    else this.setState(next);
  }

  async reset(): Promise<void> {
    this.needOn('reset');
    transition(this.state, 'reset', this.config.name);
    this.restartUntil = 0;
    await this.threads.command('reset');
  }

  async shutdown(): Promise<void> {
    await this.powerButton('shut down', 0);
  }

  /** Presses the power button. When the guest then turns the machine off it is reset and runs on: process, viewers and passphrase stay. */
  async restart(): Promise<void> {
    if (this.options.rerun) {
      const { name } = this.config;
      throw new HypervueError('unsupported', say('noRestartRecorded', { name }), { object: name, operation: 'restart' });
    }
    await this.powerButton('restart', performance.now() + RESTART_MS);
  }

  private async powerButton(operation: 'shut down' | 'restart', restartUntil: number): Promise<void> {
    this.needOn(operation);
    transition(this.state, 'powerButton', this.config.name);
    this.restartUntil = restartUntil;
    await this.threads.command('powerButton');
  }

  private startsAgain(): boolean {
    return performance.now() < this.restartUntil && !this.ended;
  }

  /** The guest has turned the machine off and stands. */
  private async startAgain(): Promise<void> {
    this.restartUntil = 0;
    this.log.info('it starts again, as asked');
    try {
      await Promise.all([this.threads.command('reset'), ...(this.state === 'running' ? [this.threads.command('resume')] : [])]);
      // Somebody paused it in the meantime.
      if (this.state === 'paused') await this.threads.command('pause');
    } catch (error) {
      // A machine that is being ended takes no commands.
      if (this.ended) return;
      this.log.error(`it can't start again: ${asHypervueError(error).message}`);
      await this.finish();
    }
  }

  /** Ends the machine at once; flushes and closes the images first. */
  async forceOff(): Promise<void> {
    this.move('forceOff');
    await this.finish();
  }

  /** Tells the guest of the size that its picture had better have: its driver now, or when it begins. False for a display that can't. */
  resizeDisplay(width: number, height: number): boolean {
    if (this.config.display.model !== 'virtio' || (this.state !== 'running' && this.state !== 'paused')) return false;
    this.threads.post({ t: 'displaySize', width, height });
    return true;
  }

  /** Plugs a USB drive in; not in the middle of a snapshot. See `VmDrives.plug`. */
  plugDrive(drive: Drive, at: number, passphrase?: string): Promise<void> {
    return this.saver.alone(() => this.media.plug(drive, at, passphrase));
  }

  unplugDrive(drive: DriveId): Promise<void> {
    return this.saver.alone(() => this.media.unplug(drive));
  }

  /** Plugs the cable of a network card into the socket of a network's process; null pulls it out. */
  plugCable(card: string, socket: string | null): void {
    this.needOn('plug a cable of');
    this.cables.get(card)?.plug(socket);
  }

  /** USB devices of this computer that the machine has; given to it and taken back. */
  get usb(): VmUsb {
    this.needOn('reach the USB devices of');
    return this.hostUsb;
  }

  /** What it has of them; none while it is not on. */
  get usbList(): UsbSelector[] {
    return this.hostUsb.list;
  }

  typeText(text: string, delayMs: number, progress?: (done: number, total: number) => void): Promise<void> {
    this.needRunning('type text');
    return this.typist.type(text, delayMs, progress);
  }

  cancelTyping(): void {
    this.typist.cancel();
  }

  sendKeys(keys: readonly string[]): Promise<void> {
    this.needRunning('send keys');
    return this.typist.chord(keys);
  }

  serialBreak(index: number): void {
    this.needRunning('send a break');
    this.threads.post({ t: 'serialBreak', index });
  }

  screenshot(maxWidth?: number): { width: number; height: number; png: Uint8Array } {
    return this.shown.screenshot(maxWidth);
  }

  /** What the screen shows at the end; undefined when the machine never ran. A picture is not worth a failure. */
  lastPicture(): Uint8Array | undefined {
    try {
      return this.picture?.screenshot(LAST_PICTURE_WIDTH).png;
    } catch (error) {
      this.log.warn(`the last picture can't be taken: ${error instanceof Error ? error.message : error}`);
      return undefined;
    }
  }

  screenText(): TextScreen | null {
    return this.picture?.text() ?? null;
  }

  async cpuState(): Promise<CpuState> {
    return (await this.threads.command('cpuState')).cpuState!;
  }

  /** What the whole machine is like now; with a clock of instructions at a point where it can be like that again. */
  async stateHash(): Promise<StateHash> {
    return (await this.threads.command('stateHash')).stateHash!;
  }

  /** Writes the state to `file` and ends the machine. When it fails the machine goes on. */
  async saveState(file: string, progress?: (done: number, total: number) => void): Promise<void> {
    this.typist.cancel();
    await this.saver.save(file, progress);
    this.move('forceOff');
    await this.finish();
  }

  /** Becomes what it was when a snapshot was taken; see `MachineRestorer.revert`. A machine that is neither what it was nor what it should be is ended. */
  async revert(request: RevertRequest): Promise<void> {
    this.needOn('revert');
    try {
      const { paused } = await this.restorer.revert(request, () => {
        this.typist.cancel();
        this.reverting = true;
        // The guest that was asked to restart is gone.
        this.restartUntil = 0;
      });
      const { name } = this.config;
      if (this.ended) throw new HypervueError('cancelled', say('offWhileReverting', { name }), { object: name });
      this.hostFailure = undefined;
      if (!paused) await this.threads.command('resume');
      this.setState(paused ? 'paused' : 'running');
    } catch (error) {
      if (this.reverting && !this.ended) await this.finish();
      throw error;
    } finally {
      this.reverting = false;
    }
  }

  /** Guest instructions executed since start; read from shared memory without stopping the guest. */
  instructions(): number {
    return this.memory ? Number(new BigUint64Array(this.memory.buffer, CPU_STATE_BASE + S_ICOUNT, 1)[0]) : 0;
  }

  private async readDefinition(): Promise<MachineDefinition> {
    const { start, unpaced = false, debugExit = false } = this.options;
    const definition = await readDefinition(start, { unpaced, debugExit });
    this.firmwareVariables = await FirmwareVariables.load(
      start.nvramFile ?? path.join(start.folder, NVRAM_FILE),
      definition.bios,
      this.log.child('firmware'),
    );
    return definition;
  }

  /** A write failed on the host: hold the machine so that the guest loses nothing. */
  private hostError(drive: string, error: HypervueError): void {
    this.hostFailure = error;
    this.log.error(`${error.message.startsWith(`${drive}: `) ? '' : `${drive}: `}${error.message}; the machine is paused`);
    if (this.state === 'paused') {
      this.setState('paused', error);
      return;
    }
    if (this.state !== 'running') return;
    this.threads.command('pause').then(
      () => {
        if (this.state === 'running' || this.state === 'paused') this.setState('paused', error);
      },
      () => {},
    );
  }

  private async finish(): Promise<void> {
    if (this.ended) return;
    const { name } = this.config;
    this.endedBy = new HypervueError('cancelled', say('offMeanwhile', { name }), { object: name });
    await this.shutDownThreads();
    this.move('ended');
  }

  private async threadDied(error: Error): Promise<void> {
    if (this.ended || this.state === 'off' || this.state === 'crashed') return;
    const reason = new HypervueError(
      'vm-crashed',
      say('threadFailed', { name: this.config.name, problem: error.message }),
      { object: this.config.name },
      say('fixThreadFailed'),
      error,
    );
    this.endedBy = reason;
    this.log.error(error.stack ?? error.message);
    this.threads.reject(reason);
    await this.shutDownThreads();
    this.move('failed', reason);
  }

  private async shutDownThreads(): Promise<void> {
    this.ended = true;
    this.meter.stop();
    this.typist.cancel();
    this.cables.close();
    this.hostUsb.close();
    await this.threads.stop();
    await this.drives.close();
    await this.firmwareVariables?.close();
    for (const hub of this.serial) hub.close();
    this.threads.close();
  }

  private updateDisplayMode(): void {
    const mode = this.picture?.newMode(this.input.absolute);
    if (mode) this.onDisplayMode.emit(mode);
  }

  /** Running or paused, and nobody makes it another machine just now. */
  private needOn(operation: string): void {
    const { name } = this.config;
    const why = this.reverting ? 'nowReverting' : this.state !== 'running' && this.state !== 'paused' ? 'nowNotRunning' : null;
    if (why) throw new HypervueError('invalid-state', say('machineIs', { name, what: say(why) }), { object: name, operation });
  }

  private needRunning(operation: string): void {
    if (this.state !== 'running')
      throw new HypervueError('invalid-state', say('notRunning', { name: this.config.name }), { object: this.config.name, operation });
  }

  private move(event: LifecycleEvent, error?: HypervueError): void {
    this.setState(transition(this.state, event, this.config.name), error);
  }

  private setState(state: LifecycleState, error?: HypervueError): void {
    if (state === this.state && !error) return;
    this.state = state;
    this.onState.emit(error ? { state, error } : { state });
  }
}
