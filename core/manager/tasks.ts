import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import type { Task } from '../contract/host.ts';
import type { Handlers } from '../contract/server.ts';
import type { StateWatch } from '../engine/engine.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

/** Ended tasks that stay listed. */
const KEPT = 100;

/** Milliseconds between two reports. */
const TELL_MS = 100;
/** The rate is that of this last while, ms: what is told follows the disk, and does not jump. */
const RATE_WINDOW_MS = 3000;
/** A rate of less time than this says little. */
const RATE_LEAST_MS = 500;

export interface TaskControl {
  readonly signal: AbortSignal;
  /** 0..1, or null when unknown. */
  progress(fraction: number | null, detail?: string): void;
  /** The same in bytes: the task then also tells how fast it is and how long it will take. */
  bytes(done: number, total: number, detail?: string): void;
  /** It can be undone: what it put into the trash. */
  undo(trashId: string): void;
}

/** A task in which the state of a machine is written. */
export const stateWatch = ({ signal, bytes }: TaskControl): StateWatch => ({ signal, progress: (done, total) => bytes(done, total) });

/** Long operations with progress and cancel. */
export class Tasks {
  private readonly tasks = new Map<string, Task>();
  private readonly aborts = new Map<string, AbortController>();
  private readonly running = new Set<Promise<unknown>>();
  /** Set while what runs is a part of another task. */
  private readonly whole = new AsyncLocalStorage<Pick<TaskControl, 'signal' | 'undo'> & { ended: boolean }>();
  /** The client whose request is being served. */
  private readonly client = new AsyncLocalStorage<object>();
  private readonly owners = new Map<string, object>();
  private readonly changed: (task: Task) => void;
  private readonly kept: (tasks: Task[]) => void;

  /** `before`: tasks of earlier runs. `kept` gets all of them whenever one has begun or ended. */
  constructor(changed: (task: Task) => void, { before = [], kept = () => {} }: { before?: Task[]; kept?: (tasks: Task[]) => void } = {}) {
    this.changed = changed;
    this.kept = kept;
    for (const task of before) this.tasks.set(task.id, task);
  }

  list(): Task[] {
    return [...this.tasks.values()];
  }

  /** Runs `work` as a task; the result and the failure are those of `work`. */
  run<T>(kind: string, object: string, work: (control: TaskControl) => Promise<T>): Promise<T> {
    const whole = this.whole.getStore();
    if (whole && !whole.ended) return work({ signal: whole.signal, progress: () => {}, bytes: () => {}, undo: whole.undo });
    const result = this.perform(kind, object, work);
    const settled = result.then(
      () => {},
      () => {},
    );
    this.running.add(settled);
    void settled.then(() => this.running.delete(settled));
    return result;
  }

  /** Tasks that `work` starts are parts of the one of `control`: they are cancelled with it and not listed. */
  async asPart<T>({ signal, undo }: TaskControl, work: () => Promise<T>): Promise<T> {
    const whole = { signal, undo, ended: false };
    try {
      return await this.whole.run(whole, work);
    } finally {
      whole.ended = true;
    }
  }

  /** Tasks that `work` starts are those of `client`. */
  askedBy<T>(client: object, work: () => Promise<T>): Promise<T> {
    return this.client.run(client, work);
  }

  /** Cancels what runs of the client whose request is being served; gives the number of tasks. */
  cancelOwn(): number {
    const client = this.client.getStore();
    const own = [...this.owners].filter(([, owner]) => owner === client);
    for (const [id] of own) this.cancel(id);
    return own.length;
  }

  /** Cancels what runs; resolves when all of it has ended. */
  async cancelAll(): Promise<void> {
    for (const id of [...this.aborts.keys()]) this.cancel(id);
    await Promise.all(this.running);
  }

  private async perform<T>(kind: string, object: string, work: (control: TaskControl) => Promise<T>): Promise<T> {
    const id = randomUUID();
    const abort = new AbortController();
    this.aborts.set(id, abort);
    const client = this.client.getStore();
    if (client) this.owners.set(id, client);
    let task: Task = {
      id,
      kind,
      object,
      state: 'running',
      progress: null,
      detail: '',
      rate: null,
      remainingSeconds: null,
      startedAt: new Date().toISOString(),
      finishedAt: null,
      error: null,
      undo: [],
    };
    const began = Date.now();
    const update = (patch: Partial<Task>) => {
      task = { ...task, ...patch };
      this.tasks.set(id, task);
      this.changed(task);
    };
    update({});
    this.kept(this.list());
    let lastTold = 0;
    const tell = (patch: () => Partial<Task>, last: boolean) => {
      const now = Date.now();
      if (now - lastTold < TELL_MS && !last) return;
      lastTold = now;
      update(patch());
    };
    const meter = new RateMeter();
    const control: TaskControl = {
      signal: abort.signal,
      progress: (progress, detail = '') =>
        tell(() => ({ progress, detail, rate: null, remainingSeconds: remainingOf(progress, Date.now() - began) }), progress === 1),
      undo: (trashId) => update({ undo: [...task.undo, trashId] }),
      bytes: (done, total, detail = '') => {
        const rate = meter.add(Date.now(), done);
        const remainingSeconds = rate ? Math.max(0, (total - done) / rate) : null;
        tell(() => ({ progress: total > 0 ? Math.min(1, done / total) : null, detail, rate, remainingSeconds }), done >= total);
      },
    };
    try {
      const result = await work(control);
      update({ state: 'done', progress: 1, rate: null, remainingSeconds: null, finishedAt: new Date().toISOString() });
      return result;
    } catch (cause) {
      const error = asHypervueError(cause, { object });
      update({
        state: abort.signal.aborted ? 'cancelled' : 'failed',
        rate: null,
        remainingSeconds: null,
        finishedAt: new Date().toISOString(),
        error: { kind: error.kind, message: error.message, ...(error.said ? { said: error.said } : {}) },
      });
      throw error;
    } finally {
      this.aborts.delete(id);
      this.owners.delete(id);
      this.trim();
      this.kept(this.list());
    }
  }

  cancel(id: string): void {
    const abort = this.aborts.get(id);
    if (!abort) throw new HypervueError('not-found', say('taskOver'), { object: id, operation: 'cancel' });
    abort.abort(new HypervueError('cancelled', say('taskCancelled'), { object: id }));
  }

  /** Forgets what has ended. */
  clear(): void {
    for (const [id, { state }] of this.tasks) if (state !== 'running') this.tasks.delete(id);
    this.kept(this.list());
  }

  private trim(): void {
    const ended = [...this.tasks.values()].filter((task) => task.state !== 'running');
    for (const task of ended.slice(0, Math.max(0, ended.length - KEPT))) this.tasks.delete(task.id);
  }
}

/** A share of the work tells how long the rest takes once it is more than a guess. */
const TELLING_SHARE = 0.02;
const TELLING_MS = 1000;

/** Seconds that are left when `share` of the work took `ms`; null while that says little. */
export function remainingOf(share: number | null, ms: number): number | null {
  if (share === null || share < TELLING_SHARE || share > 1 || ms < TELLING_MS) return null;
  return (ms * (1 - share)) / share / 1000;
}

/** How fast something went lately. */
export class RateMeter {
  private readonly samples: { at: number; done: number }[] = [];

  /** Bytes a second, null while too little was seen. `at` is in ms. */
  add(at: number, done: number): number | null {
    const last = this.samples.at(-1);
    // What was skipped or begun anew is no speed.
    if (last && done < last.done) this.samples.length = 0;
    if (!last || at - last.at >= TELL_MS) this.samples.push({ at, done });
    while (this.samples.length > 2 && at - this.samples[1]!.at >= RATE_WINDOW_MS) this.samples.shift();
    const first = this.samples[0];
    if (!first || at - first.at < RATE_LEAST_MS) return null;
    return ((done - first.done) * 1000) / (at - first.at);
  }
}

export const taskHandlers = (tasks: Tasks) =>
  ({
    'task.list': async () => tasks.list(),
    'task.cancelOwn': async () => ({ cancelled: tasks.cancelOwn() }),
    'task.cancel': async ({ id }) => {
      tasks.cancel(id);
      return null;
    },
    'task.clear': async () => {
      tasks.clear();
      return null;
    },
  }) satisfies Partial<Handlers>;
