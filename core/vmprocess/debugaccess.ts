import type { VmStateName } from '../contract/vm.ts';
import type { DebugStop } from '../cpu/debugcontrol.ts';
import type { DebugAnswers, DebugRequest, DebugTarget } from '../debug/debugrequest.ts';
import type { Disposable } from '../util/disposable.ts';
import { Emitter } from '../util/emitter.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

/** What VmHost lends. */
export interface DebugAccessOptions {
  name: string;
  state(): VmStateName;
  setState(state: 'running' | 'paused'): void;
  onState(listener: (state: VmStateName) => void): Disposable;
  ask(request: DebugRequest): Promise<unknown>;
  reset(): Promise<void>;
  forceOff(): Promise<void>;
}

/** A running machine as debuggers and profilers see it: keeps the state that users see in step with what the debugger does. */
export class DebugAccess implements DebugTarget {
  private readonly options: DebugAccessOptions;
  private readonly stops = new Emitter<DebugStop | undefined>();
  private readonly ends = new Emitter<null>();
  private lastStop: DebugStop | undefined;
  /** A debugger is there: nobody else lets the guest go on. */
  attached = false;

  constructor(options: DebugAccessOptions) {
    this.options = options;
    options.onState((state) => {
      if (state === 'paused') {
        const stop = this.lastStop;
        this.lastStop = undefined;
        this.stops.emit(stop);
      } else if (state === 'off' || state === 'crashed') this.ends.emit(null);
    });
  }

  get name(): string {
    return this.options.name;
  }

  get running(): boolean {
    return this.options.state() === 'running';
  }

  async request<K extends DebugRequest['op']>(request: Extract<DebugRequest, { op: K }>): Promise<DebugAnswers[K]> {
    const state = this.options.state();
    if (state !== 'running' && state !== 'paused')
      throw new HypervueError('invalid-state', say('notRunning', { name: this.name }), { object: this.name, operation: 'debug' });
    if (request.op === 'attach') this.attached = true;
    if (request.op === 'detach') this.attached = false;
    // Before the guest runs: it may stop again at once, and that must come after.
    if (request.op === 'go') this.options.setState('running');
    const answer = (await this.options.ask(request)) as DebugAnswers[K];
    if ((request.op === 'attach' || request.op === 'halt') && this.running) this.options.setState('paused');
    return answer;
  }

  /** From the machine thread. */
  stopped(stop: DebugStop): void {
    this.lastStop = stop;
    if (this.running) this.options.setState('paused');
    else this.lastStop = undefined;
  }

  onStopped(listener: (stop: DebugStop | undefined) => void): Disposable {
    return this.stops.on(listener);
  }

  onEnded(listener: () => void): Disposable {
    return this.ends.on(listener);
  }

  reset(): Promise<void> {
    return this.options.reset();
  }

  kill(): Promise<void> {
    return this.options.forceOff();
  }
}
