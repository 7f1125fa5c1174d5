import { appendFile, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { DrivePolicy } from '../contract/drives.ts';
import type { LogEntry, VmConfig, VmStats } from '../contract/vm.ts';
import { S_ICOUNT } from '../cpu/interp/wasm/stateoffsets.ts';
import type { CpuState } from '../cpu/cpustate.ts';
import { VgaScanout } from '../devices/display/scanout.ts';
import { readTextScreen } from '../devices/display/textscreen.ts';
import type { DisplayMode } from '../engine/engine.ts';
import type { RestoreFrom } from '../engine/engine.ts';
import { machineShape } from '../engine/builtin/machineshape.ts';
import type { VmProcessStart } from '../engine/builtin/protocol.ts';
import type { MachineDefinition } from '../machine/definition.ts';
import type { TimedInput } from '../machine/inputschedule.ts';
import { INSTRUCTION_CLOCK_START_MS } from '../machine/instructionclock.ts';
import { type LifecycleEvent, type LifecycleState, transition } from '../machine/lifecycle.ts';
import { CPU_STATE_BASE } from '../memory/layout.ts';
import { Mailbox, MB_VIEWERS } from '../memory/mailbox.ts';
import { createVmMemory } from '../memory/vmmemory.ts';
import { findUefi, UEFI_FIX } from '../platform/firmware.ts';
import { syncFolder } from '../platform/atomicfile.ts';
import { fileError } from '../platform/nodefile.ts';
import { stampMedia } from '../platform/mediastamps.ts';
import { NVRAM_FILE } from '../platform/nvram.ts';
import { encodePng } from '../platform/png.ts';
import { Emitter } from '../util/emitter.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import { createLogger, type Logger } from '../util/logger.ts';
import { DebugAccess } from './debugaccess.ts';
import { DriveService } from './drives.ts';
import type {
  CompileThreadData,
  FromMachine,
  InputMessage,
  MachineCommand,
  MachineThreadData,
  RerunOptions,
  ToMachine,
} from './machinemessages.ts';
import { FirmwareVariables } from './firmwarevariables.ts';
import { compileThreadBeside } from './runtimepaths.ts';
import { RemoteInput } from './remoteinput.ts';
import { MachineSaver } from './machinesaver.ts';
import { type MachineMemory, SavedMachineFile } from './savedmachine.ts';
import { scalePicture } from './scalepicture.ts';
import { SerialHub } from './seriallog.ts';
import { machineFingerprint, type StateHash } from './statehash.ts';
import { Typist } from './typing.ts';
import { loadInterpreter, tuneWasm } from './wasmsetup.ts';

/** Neither thread keeps many young objects; V8's usual 48 MiB for them would only fill up with garbage before it is collected. */
const THREAD_LIMITS = { maxYoungGenerationSizeMb: 6 };

/** The whole memory behind an image, where nothing else lies in it. */
function ownBuffer(image: Uint8Array | undefined): ArrayBuffer | undefined {
  return image?.buffer instanceof ArrayBuffer && image.byteLength === image.buffer.byteLength ? image.buffer : undefined;
}

/** What a caller may ask beyond the VM's own configuration. */
export interface VmHostOptions {
  start: VmProcessStart;
  /** Entry of the machine thread. */
  machineThread: URL;
  /** isa-debug-exit for tests. */
  debugExit?: boolean;
  /** Recording and replay; needs `timekeeping: 'instructions'`. */
  rerun?: RerunOptions;
  /** Called before anything runs with what tells machines apart that would not do the same; may throw. */
  checkMachine?: (fingerprint: string) => void;
  /** A halted guest with a clock of instructions sleeps no time at all. */
  unpaced?: boolean;
  /** Start paused, before the first instruction, for a debugger. */
  startPaused?: boolean;
}

/**
 * One running machine on the process's main thread: owns the shared memory, the files, the picture and the machine thread. Used by the VM
 * process (over IPC) and by the headless runner (directly).
 */
export class VmHost {
  readonly onState = new Emitter<{ state: LifecycleState; error?: HypervueError }>();
  readonly onDisplayMode = new Emitter<DisplayMode>();
  readonly onLog = new Emitter<LogEntry>();
  readonly onStats = new Emitter<VmStats>();
  readonly onDebugOutput = new Emitter<Uint8Array>();
  readonly onDebugExit = new Emitter<number>();
  /** While recording: an input reached the guest. */
  readonly onApplied = new Emitter<TimedInput<InputMessage>>();
  /** The machine came to the time at which it was to stop. */
  readonly onStopped = new Emitter<StateHash>();
  readonly onTripleFault = new Emitter<null>();
  /** HLT with interrupts off: nothing but a reset or NMI goes on from here. */
  readonly onHalted = new Emitter<null>();
  readonly config: VmConfig;
  readonly serial: SerialHub[] = [];
  readonly input: RemoteInput;
  state: LifecycleState = 'off';
  /** Saves this machine. */
  readonly saver: MachineSaver;
  private machineMemory: MachineMemory | undefined;
  /** What the GDB stub and the profiler drive the machine through. */
  readonly debug: DebugAccess;
  private readonly options: VmHostOptions;
  private readonly log: Logger;
  private readonly typist: Typist;
  private readonly drives: DriveService;
  private memory: WebAssembly.Memory | undefined;
  private mailbox: Mailbox | undefined;
  private firmwareVariables: FirmwareVariables | undefined;
  private worker: Worker | undefined;
  private compiler: Worker | undefined;
  private port: MessagePort | undefined;
  private scanoutSource: VgaScanout | undefined;
  private readonly commands = new Map<
    number,
    { resolve: (message: Extract<FromMachine, { t: 'done' }>) => void; reject: (error: Error) => void }
  >();
  private nextCommand = 1;
  private statsTimer: NodeJS.Timeout | undefined;
  private displayMode: DisplayMode | undefined;
  private startedAt = 0;
  private ended = false;
  /** While recording: the state when the guest turned the machine off. */
  lastState: StateHash | undefined;
  /** Why the host could not do what the guest asked, until a resume. */
  private hostFailure: HypervueError | undefined;
  /** Count of RFB viewers, for statistics. */
  viewers: () => number = () => 0;

  constructor(options: VmHostOptions) {
    this.options = options;
    this.config = options.start.config;
    this.log = createLogger((level, scope, message) => this.onLog.emit({ time: new Date().toISOString(), level, scope, message }), '', 20);
    this.input = new RemoteInput(
      (message) => this.post(message),
      () => ({ width: this.scanoutSource?.width ?? 1, height: this.scanoutSource?.height ?? 1 }),
    );
    this.debug = new DebugAccess({
      name: this.config.name,
      state: () => this.state,
      setState: (state) => this.setState(state),
      onState: (listener) => this.onState.on(({ state }) => listener(state)),
      ask: async (request) => (await this.ask((id) => ({ t: 'debug', id, request }), request.op)).debug,
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
      post: (message) => this.post(message),
      onHostError: (drive, error) => this.hostError(drive, error),
      log: this.log.child('disk'),
    });
    this.saver = new MachineSaver({
      config: this.config,
      folder: options.start.folder,
      drives: this.drives,
      log: this.log.child('state'),
      memory: () => {
        if (!this.machineMemory || (this.state !== 'running' && this.state !== 'paused'))
          throw new HypervueError('invalid-state', `${this.config.name} is not running`, { object: this.config.name, operation: 'save' });
        return this.machineMemory;
      },
      paused: () => this.state === 'paused',
      stand: async () => (await this.command('saveState')).saved!,
      goOn: async () => {
        const now = () => performance.timeOrigin + performance.now();
        return this.state === 'running' ? ((await this.command('resume')).at ?? now()) : now();
      },
    });
  }

  /** The picture. Only after `start`. */
  get scanout(): VgaScanout {
    if (!this.scanoutSource) throw new HypervueError('invalid-state', `${this.config.name} is not running`, { object: this.config.name });
    return this.scanoutSource;
  }

  /** Resolves when guest code runs. Rejects and leaves nothing open when the machine can't be set up. */
  async start(): Promise<void> {
    this.move('start');
    /** Forced off meanwhile. */
    const stillWanted = () => {
      if (this.ended)
        throw new HypervueError('cancelled', `${this.config.name} was turned off while it started`, { object: this.config.name });
    };
    let saved: SavedMachineFile | undefined;
    try {
      const restore = this.options.start.restore;
      saved = restore && (await SavedMachineFile.open(restore.file, machineShape(this.config)));
      const definition = { ...(await this.definition()), ...(saved ? { bios: saved.bios, vgaBios: saved.vgaBios } : {}) };
      stillWanted();
      this.memory = createVmMemory(definition.ramBytes);
      this.machineMemory = {
        memory: this.memory,
        ramBytes: definition.ramBytes,
        vramBytes: definition.vramBytes,
        biosBytes: definition.bios.length,
      };
      this.mailbox = new Mailbox(this.memory);
      const media = await this.drives.open(this.config.drives);
      const cpuWasm = await loadInterpreter(this.options.start.cpuWasmPath);
      stillWanted();
      for (let index = 0; index < definition.serialPorts; index++) this.serial.push(this.serialHub(index));
      this.scanoutSource = new VgaScanout({
        memory: this.memory,
        now: () => performance.now(),
        setViewerCount: (count) => Atomics.store(this.mailbox!.words, MB_VIEWERS, count),
        every: (ms, callback) => {
          const timer = setInterval(callback, ms);
          return { dispose: () => clearInterval(timer) };
        },
      });
      const { rerun, checkMachine } = this.options;
      checkMachine?.(machineFingerprint(definition, media));
      await this.launch({
        memory: this.memory,
        definition,
        cpuWasm,
        media,
        port: undefined,
        compilePort: undefined,
        ...(rerun ? { rerun } : {}),
        ...(saved ? { restoring: true } : {}),
      });
      if (saved) await this.restore(saved, restore!);
      const standing = this.options.startPaused || saved?.meta.paused === true;
      if (!standing) await this.command('resume');
      stillWanted();
      this.startedAt = performance.now();
      this.move('started');
      if (standing) this.setState('paused');
      this.watch();
      // The guest may have been quick to write.
      if (this.hostFailure) this.hostError('disk', this.hostFailure);
    } catch (error) {
      await saved?.close();
      // Who ended it meanwhile also says how; what was opened since is closed all the same.
      const endedMeanwhile = this.ended;
      // A thread that ends because it was told to is no failure.
      const reason =
        endedMeanwhile && !(error instanceof HypervueError)
          ? new HypervueError('cancelled', `${this.config.name} was turned off while it started`, { object: this.config.name })
          : asHypervueError(error, { object: this.config.name, operation: 'start' });
      await this.shutDownThreads();
      // Then the thread's end is no failure of its own.
      if (endedMeanwhile) stillWanted();
      this.move('failed', reason);
      throw reason;
    }
  }

  async pause(): Promise<void> {
    const next = transition(this.state, 'pause', this.config.name);
    await this.command('pause');
    this.setState(next);
  }

  async resume(): Promise<void> {
    transition(this.state, 'resume', this.config.name);
    if (this.debug.attached)
      throw new HypervueError(
        'invalid-state',
        `a debugger holds ${this.config.name}`,
        { object: this.config.name, operation: 'resume' },
        'Continue in the debugger, or detach it.',
      );
    this.hostFailure = undefined;
    // While the guest still stands: what did not fit before goes first, and when it does not fit yet the guest must not go on.
    if (!(await this.drives.retry()) && this.hostFailure) throw this.hostFailure;
    const next = transition(this.state, 'resume', this.config.name);
    await this.command('resume');
    // A write may have failed again in the meantime, while the state still said paused.
    if (this.hostFailure) await this.command('pause');
    else this.setState(next);
  }

  async reset(): Promise<void> {
    transition(this.state, 'reset', this.config.name);
    await this.command('reset');
  }

  async shutdown(): Promise<void> {
    transition(this.state, 'powerButton', this.config.name);
    await this.command('powerButton');
  }

  /** Ends the machine at once; flushes and closes the images first. */
  async forceOff(): Promise<void> {
    this.move('forceOff');
    await this.finish();
  }

  typeText(text: string, delayMs: number): Promise<void> {
    this.needRunning('type text');
    return this.typist.type(text, delayMs);
  }

  cancelTyping(): void {
    this.typist.cancel();
  }

  sendKeys(keys: readonly string[]): Promise<void> {
    this.needRunning('send keys');
    return this.typist.chord(keys);
  }

  setDrivePolicy(drive: string, policy: DrivePolicy): void {
    this.drives.setPolicy(drive, policy);
  }

  growDisk(drive: string, sizeBytes: number): Promise<void> {
    return this.drives.grow(drive, sizeBytes);
  }

  async changeMedium(drive: string, imagePath: string | null, readOnly: boolean): Promise<void> {
    await this.drives.changeMedium(drive, imagePath, readOnly);
  }

  screenshot(maxWidth?: number): { width: number; height: number; png: Uint8Array } {
    this.scanout.refresh();
    const { width, height, pixels } = this.scanout;
    const picture = maxWidth && width > maxWidth ? scalePicture({ width, height, pixels }, maxWidth) : { width, height, pixels };
    return { width: picture.width, height: picture.height, png: encodePng(picture) };
  }

  screenText(): { rows: string[]; cursor: { x: number; y: number } | null } | null {
    const screen = this.memory ? readTextScreen(this.memory) : undefined;
    return screen ? { rows: screen.rows, cursor: screen.cursor ?? null } : null;
  }

  async cpuState(): Promise<CpuState> {
    return (await this.command('cpuState')).cpuState!;
  }

  /** What the whole machine is like now; with a clock of instructions at a point where it can be like that again. */
  async stateHash(): Promise<StateHash> {
    return (await this.command('stateHash')).stateHash!;
  }

  /** Writes the state to `file` and ends the machine. When it fails the machine goes on. */
  async saveState(file: string): Promise<void> {
    this.typist.cancel();
    await this.saver.save(file);
    this.move('forceOff');
    await this.finish();
  }

  /** Puts a saved machine into this one, which stands and has run nothing. */
  private async restore(saved: SavedMachineFile, { file, consume }: RestoreFrom): Promise<void> {
    const tree = await saved.load(this.machineMemory!);
    await saved.close();
    await this.ask((id) => ({ t: 'restore', id, tree }), 'restore');
    // A disc or floppy that is not what the guest knows: it hears of the change.
    const now = await stampMedia(this.config.drives, this.options.start.folder);
    for (const { id, kind } of this.config.drives) {
      const [before, after] = [saved.meta.media, now].map((stamps) => stamps.find(({ drive }) => drive === id));
      const same = before?.path === after?.path && before?.sizeBytes === after?.sizeBytes && before?.modifiedMs === after?.modifiedMs;
      if (kind !== 'disk' && !same) this.drives.replug(id);
    }
    if (!consume) return;
    try {
      await rm(file);
      await syncFolder(path.dirname(file));
    } catch (error) {
      throw fileError(error, file, 'remove');
    }
  }

  /** Guest instructions executed since start; read from shared memory without stopping the guest. */
  instructions(): number {
    return this.memory ? Number(new BigUint64Array(this.memory.buffer, CPU_STATE_BASE + S_ICOUNT, 1)[0]) : 0;
  }

  private async definition(): Promise<MachineDefinition> {
    const { config } = this;
    const { folder, firmwareFolder } = this.options.start;
    const [bios, vgaBios] = await Promise.all([
      config.firmware === 'uefi'
        ? readUefi(this.options.start.uefiImage ?? findUefi(firmwareFolder).file)
        : readFirmware(firmwareFolder, 'bios-256k.bin'),
      readFirmware(firmwareFolder, 'vgabios-stdvga.bin'),
    ]);
    this.firmwareVariables = await FirmwareVariables.load(
      this.options.start.nvramFile ?? path.join(folder, NVRAM_FILE),
      bios,
      this.log.child('firmware'),
    );
    const direct = config.boot.kernel;
    const counted = config.timekeeping === 'instructions';
    return {
      name: config.name,
      uuid: config.id,
      cpuModel: config.cpu.model,
      ramBytes: config.memoryMiB * 1024 * 1024,
      vramBytes: config.display.vramMiB * 1024 * 1024,
      bios,
      vgaBios,
      drives: config.drives.map(({ id, kind, cache }) => ({ id, kind, writeCache: cache !== 'writethrough' })),
      bootOrder: config.boot.order,
      bootMenu: config.boot.menu,
      directBoot: direct
        ? {
            kernel: await readImage(path.resolve(folder, direct.path)),
            initrd: direct.initrd ? await readImage(path.resolve(folder, direct.initrd)) : undefined,
            cmdline: direct.cmdline,
            label: path.basename(direct.path),
          }
        : undefined,
      serialPorts: config.serial.length,
      hpet: config.hpet,
      paravirt: config.paravirt,
      time: counted ? { source: 'instructions', startMs: INSTRUCTION_CLOCK_START_MS, paced: !this.options.unpaced } : { source: 'host' },
      // A machine that is to be the same everywhere has no time zone.
      clockOffsetMs: config.clock === 'localtime' && !counted ? -new Date().getTimezoneOffset() * 60_000 : 0,
      debugExit: this.options.debugExit ?? false,
    };
  }

  private async launch(data: MachineThreadData): Promise<void> {
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    const { bios, vgaBios, directBoot } = data.definition;
    // The machine thread alone needs the images from here on; a kernel and its initrd are large.
    const images = [bios, vgaBios, directBoot?.kernel, directBoot?.initrd].flatMap((image) => ownBuffer(image) ?? []);
    const transfer: (MessagePort | ArrayBuffer)[] = [port2, ...new Set(images)];
    let compilePort: MessagePort | undefined;
    // Exact slices leave the recompiler so little to do at a time that the interpreter is quicker, with the very same results.
    if (this.config.cpu.accel === 'jit' && (data.definition.time.source === 'host' || data.rerun?.recompile)) {
      tuneWasm();
      const channel = new MessageChannel();
      compilePort = channel.port1;
      transfer.push(compilePort);
      const compileData: CompileThreadData = { memory: data.memory, port: channel.port2 };
      this.compiler = new Worker(compileThreadBeside(this.options.machineThread), {
        workerData: compileData,
        transferList: [channel.port2],
        name: 'compile',
        resourceLimits: THREAD_LIMITS,
      });
      // Without it the guest goes on in the interpreter.
      this.compiler.on('error', (error) =>
        this.log.error(`the compile thread failed: ${error instanceof Error ? error.message : String(error)}`),
      );
    }
    const worker = new Worker(this.options.machineThread, {
      workerData: { ...data, port: port2, compilePort },
      transferList: transfer,
      name: 'machine',
      resourceLimits: THREAD_LIMITS,
    });
    this.worker = worker;
    await new Promise<void>((resolve, reject) => {
      port1.on('message', (message: FromMachine) => {
        if (message.t === 'started') resolve();
        else if (message.t === 'failed')
          reject(new HypervueError(message.error.kind, message.error.message, message.error.context, message.error.fix));
        else this.receive(message);
      });
      worker.on('error', (error) => {
        reject(error);
        void this.threadDied(error instanceof Error ? error : new Error(String(error)));
      });
      worker.on('exit', (code) => {
        reject(new Error(`the machine thread ended with code ${code}`));
        void this.threadDied(new Error(`the machine thread ended with code ${code}`));
      });
    });
  }

  private receive(message: FromMachine): void {
    switch (message.t) {
      case 'block':
        void this.drives.handle(message);
        break;
      case 'done': {
        const command = this.commands.get(message.id);
        this.commands.delete(message.id);
        if (message.error)
          command?.reject(new HypervueError(message.error.kind, message.error.message, message.error.context, message.error.fix));
        else command?.resolve(message);
        break;
      }
      case 'serialOutput':
        this.serial[message.index]?.output(message.bytes);
        break;
      case 'flash':
        this.firmwareVariables?.update(message.offset, message.bytes);
        break;
      case 'debugOutput':
        this.onDebugOutput.emit(message.bytes);
        break;
      case 'powerOff':
        this.log.info('the guest turned the machine off');
        this.lastState = message.stateHash;
        void this.finish();
        break;
      case 'debugExit':
        this.onDebugExit.emit(message.code);
        break;
      case 'applied':
        this.onApplied.emit(message.timed);
        break;
      case 'stopped':
        this.onStopped.emit(message.stateHash);
        break;
      case 'tripleFault':
        this.log.warn('the guest CPU shut down (triple fault); the machine was reset');
        this.onTripleFault.emit(null);
        break;
      case 'halted':
        this.onHalted.emit(null);
        break;
      case 'debugStop':
        this.debug.stopped(message.stop);
        break;
      case 'pointerMode':
        this.input.setPointerMode(message.absolute);
        this.updateDisplayMode();
        break;
      case 'leds':
        this.input.setLeds(message.leds);
        break;
      case 'log':
        this.onLog.emit({ time: new Date().toISOString(), level: message.level, scope: message.scope, message: message.message });
        break;
    }
  }

  private post(message: ToMachine): void {
    this.port?.postMessage(message);
    this.mailbox?.ring();
  }

  private command(command: MachineCommand): Promise<Extract<FromMachine, { t: 'done' }>> {
    return this.ask((id) => ({ t: 'command', id, command }), command);
  }

  /** Sends a request that the machine thread answers with `done`. */
  private ask(message: (id: number) => ToMachine, operation: string): Promise<Extract<FromMachine, { t: 'done' }>> {
    if (!this.port) throw new HypervueError('invalid-state', `${this.config.name} is not running`, { object: this.config.name, operation });
    const id = this.nextCommand++;
    return new Promise((resolve, reject) => {
      this.commands.set(id, { resolve, reject });
      this.post(message(id));
    });
  }

  private serialHub(index: number): SerialHub {
    const hub = new SerialHub((bytes) => this.post({ t: 'serialInput', index, bytes }));
    const port = this.config.serial[index];
    if (port?.type === 'file') {
      const file = path.resolve(this.options.start.folder, port.path ?? `serial${index}.log`);
      let writing: Promise<void> = Promise.resolve();
      let failing = false;
      hub.onOutput = (bytes) => {
        writing = writing
          .then(() => appendFile(file, bytes))
          .then(
            () => {
              failing = false;
            },
            (error) => {
              // Once for each trouble: a guest writes on and on.
              if (!failing) this.log.error(`serial${index}: ${fileError(error, file, 'write').message}; its output is lost meanwhile`);
              failing = true;
            },
          );
      };
    }
    return hub;
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
    this.command('pause').then(
      () => {
        if (this.state === 'running' || this.state === 'paused') this.setState('paused', error);
      },
      () => {},
    );
  }

  private async finish(): Promise<void> {
    if (this.ended) return;
    this.ended = true;
    await this.shutDownThreads();
    this.move('ended');
  }

  private async threadDied(error: Error): Promise<void> {
    if (this.ended || this.state === 'off' || this.state === 'crashed') return;
    this.ended = true;
    const reason = new HypervueError(
      'vm-crashed',
      `the machine thread of ${this.config.name} failed: ${error.message}`,
      { object: this.config.name },
      'Start the machine again. The log has the details.',
      error,
    );
    this.log.error(error.stack ?? error.message);
    for (const command of this.commands.values()) command.reject(reason);
    this.commands.clear();
    await this.shutDownThreads();
    this.move('failed', reason);
  }

  private async shutDownThreads(): Promise<void> {
    this.ended = true;
    clearInterval(this.statsTimer);
    this.typist.cancel();
    const worker = this.worker;
    if (worker && this.port) {
      const stopped = new Promise<void>((resolve) => {
        worker.once('exit', () => resolve());
        setTimeout(resolve, 2000).unref();
      });
      this.post({ t: 'command', id: 0, command: 'stop' });
      await stopped;
      await worker.terminate();
    }
    await this.compiler?.terminate();
    this.compiler = undefined;
    await this.drives.close();
    await this.firmwareVariables?.close();
    for (const hub of this.serial) hub.close();
    for (const { reject } of this.commands.values())
      reject(new HypervueError('cancelled', `${this.config.name} was turned off meanwhile`, { object: this.config.name }));
    this.commands.clear();
    this.port?.close();
    this.port = undefined;
    this.worker = undefined;
  }

  private watch(): void {
    let lastInstructions = 0;
    let lastCpu = process.cpuUsage();
    let lastTime = performance.now();
    this.statsTimer = setInterval(() => {
      this.updateDisplayMode();
      const now = performance.now();
      if (now - lastTime < 950) return;
      const cpu = process.cpuUsage();
      const instructions = this.instructions();
      this.onStats.emit({
        cpu: (cpu.user + cpu.system - lastCpu.user - lastCpu.system) / 1000 / (now - lastTime),
        instructionsPerSecond: Math.max(0, ((instructions - lastInstructions) * 1000) / (now - lastTime)),
        diskReadBytes: this.drives.readBytes,
        diskWriteBytes: this.drives.writtenBytes,
        residentBytes: process.memoryUsage.rss(),
        uptimeSeconds: Math.floor((now - this.startedAt) / 1000),
        viewers: this.viewers(),
      });
      lastCpu = cpu;
      lastTime = now;
      lastInstructions = instructions;
    }, 250);
  }

  private updateDisplayMode(): void {
    if (!this.scanoutSource) return;
    const { width, height, text } = this.scanoutSource.mode();
    const mode: DisplayMode = { width, height, text, absolutePointer: this.input.absolute };
    const old = this.displayMode;
    if (
      old &&
      old.width === mode.width &&
      old.height === mode.height &&
      old.text === mode.text &&
      old.absolutePointer === mode.absolutePointer
    )
      return;
    this.displayMode = mode;
    this.onDisplayMode.emit(mode);
  }

  private needRunning(operation: string): void {
    if (this.state !== 'running')
      throw new HypervueError('invalid-state', `${this.config.name} is not running`, { object: this.config.name, operation });
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

async function readFirmware(folder: string, name: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path.join(folder, name)));
  } catch (cause) {
    throw new HypervueError(
      'not-found',
      `the firmware image ${name} is missing`,
      { path: path.join(folder, name), operation: 'start' },
      'Install SeaBIOS (Debian: apt-get install seabios) and start Hypervue again.',
      cause,
    );
  }
}

async function readUefi(file: string): Promise<Uint8Array> {
  try {
    if (file === '') throw new Error('no image was found');
    return new Uint8Array(await readFile(file));
  } catch (cause) {
    throw new HypervueError(
      'not-found',
      'the UEFI firmware is missing',
      { ...(file ? { path: file } : {}), operation: 'start' },
      UEFI_FIX,
      cause,
    );
  }
}

async function readImage(file: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(file));
  } catch (cause) {
    throw new HypervueError(
      'not-found',
      `${file} can't be read`,
      { path: file, operation: 'direct boot' },
      'Check the kernel and initrd paths of this machine.',
      cause,
    );
  }
}
