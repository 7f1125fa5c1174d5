import type { BootSource } from '../../contract/networks.ts';
import type { ProcessHandle, ProcessLauncher } from '../../engine/builtin/protocol.ts';
import { lastWords, OUTPUT_KEPT } from '../../engine/builtin/processend.ts';
import type { ForwardRule } from '../../net/forwards.ts';
import type { FromNetworkProcess, NetworkMemberId, NetworkStart, ToNetworkProcess } from '../../net/processprotocol.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';

/** How long the process has until it listens. */
const START_MS = 20_000;

export type NetworkLauncher = ProcessLauncher<ToNetworkProcess, FromNetworkProcess>;
export type NetworkReport = Extract<FromNetworkProcess, { type: 'status' }>;

interface Listener {
  /** It is there. */
  ready?(): void;
  report(report: NetworkReport): void;
  output(line: string): void;
  /** It ended without having been told to. */
  ended(error: HypervueError): void;
}

/** The process of one network, from its start to its end. */
export class NetworkProcess {
  private readonly name: string;
  private readonly handle: ProcessHandle<ToNetworkProcess, FromNetworkProcess>;
  private readonly listener: Listener;
  private readonly exit: Promise<void>;
  private output = '';
  private closing = false;
  private gone: HypervueError | undefined;
  /** Ends the wait for the start. */
  private started: ((error?: HypervueError) => void) | undefined;
  private startWith: NetworkStart | undefined;
  private ready = false;

  constructor(launcher: NetworkLauncher, name: string, listener: Listener) {
    this.name = name;
    this.listener = listener;
    this.handle = launcher.launch(name);
    this.handle.onMessage((message) => this.receive(message));
    this.handle.onOutput((text) => {
      this.output = (this.output + text).slice(-OUTPUT_KEPT);
      for (const line of text.split('\n')) if (line.trim()) listener.output(line);
    });
    this.exit = new Promise((resolve) => {
      this.handle.onExit((code, signal) => {
        this.ended(code, signal);
        resolve();
      });
    });
  }

  /** Machines can connect when it resolves. */
  start(params: NetworkStart): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.gone) {
        reject(this.gone);
        return;
      }
      const timer = setTimeout(
        () =>
          this.started!(new HypervueError('timeout', say('networkSlow', { name: this.name }), { object: this.name }, say('fixLessBusy'))),
        START_MS,
      );
      this.started = (error) => {
        clearTimeout(timer);
        this.started = undefined;
        if (error) reject(error);
        else resolve();
      };
      this.startWith = params;
      this.begin();
    });
  }

  setMembers(members: NetworkMemberId[]): void {
    this.handle.send({ type: 'members', members });
  }

  setForwards(forwards: ForwardRule[]): void {
    this.handle.send({ type: 'forwards', forwards });
  }

  setBoot(boot: BootSource | null): void {
    this.handle.send({ type: 'boot', boot });
  }

  /** Ends it; resolves when it is gone. */
  close(): Promise<void> {
    this.closing = true;
    if (!this.gone) this.handle.kill();
    return this.exit;
  }

  /** Once there is something to start, and somebody to hear it. */
  private begin(): void {
    if (this.ready && this.startWith) this.handle.send({ type: 'start', ...this.startWith });
  }

  private receive(message: FromNetworkProcess): void {
    switch (message.type) {
      case 'ready':
        this.ready = true;
        this.listener.ready?.();
        this.begin();
        break;
      case 'started':
        this.started?.();
        break;
      case 'failed':
        this.started?.(message.at === 'device' ? this.noDevice(message.code) : this.noSocket(message.code));
        break;
      case 'status':
        this.listener.report(message);
        break;
    }
  }

  private noSocket(code: string): HypervueError {
    const context = { object: this.name, operation: 'listen', code };
    return new HypervueError('io-error', say('networkNoSocket', { name: this.name, code }), context, say('fixNetworkNoSocket'));
  }

  private noDevice(code: string): HypervueError {
    const context = { object: this.name, operation: 'open', code };
    // Another program of this user that runs machines of the same library has the network, too.
    if (code === 'EBUSY') return new HypervueError('in-use', say('deviceBusy', { name: this.name }), context, say('fixDeviceBusy'));
    return new HypervueError('io-error', say('deviceNotOpened', { name: this.name, code }), context, say('fixDeviceNotOpened'));
  }

  private ended(code: number | null, signal: string | null): void {
    if (this.gone) return;
    const words = lastWords(this.output);
    const started = !signal || /^SIG\w+$/.test(signal);
    const how = !signal
      ? say('howCode', { code: String(code) })
      : started
        ? say('howSignal', { signal })
        : say('howNotStarted', { reason: signal });
    this.gone = new HypervueError(
      'internal',
      words && started ? say('networkEndedSaying', { name: this.name, how, words }) : say('networkEnded', { name: this.name, how }),
      { object: this.name, ...(code === null ? {} : { code }), ...(signal ? { signal } : {}) },
      say('fixNetworkEnded'),
    );
    const { started: waiting } = this;
    waiting?.(this.gone);
    // Who waits for the start is told, and nobody twice.
    if (!this.closing && !waiting) this.listener.ended(this.gone);
  }
}

/** Starts a process that gets no network, and ends it. Resolves with what is wrong where it does not come up. */
export async function tryLauncher(launcher: NetworkLauncher): Promise<HypervueError | undefined> {
  let made: NetworkProcess | undefined;
  let timer: NodeJS.Timeout | undefined;
  const problem = await new Promise<HypervueError | undefined>((resolve) => {
    timer = setTimeout(
      () => resolve(new HypervueError('timeout', say('networkSlow', { name: 'Default' }), {}, say('fixLessBusy'))),
      START_MS,
    );
    made = new NetworkProcess(launcher, 'Default', { ready: () => resolve(undefined), report: () => {}, output: () => {}, ended: resolve });
  });
  clearTimeout(timer);
  await made?.close();
  return problem;
}
