import { randomUUID } from 'node:crypto';
import type { Task } from '../contract/host.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';

/** Ended tasks that stay listed. */
const KEPT = 100;

export interface TaskControl {
  readonly signal: AbortSignal;
  /** 0..1, or null when unknown. */
  progress(fraction: number | null, detail?: string): void;
}

/** Long operations with progress and cancel. */
export class Tasks {
  private readonly tasks = new Map<string, Task>();
  private readonly aborts = new Map<string, AbortController>();
  private readonly running = new Set<Promise<unknown>>();
  private readonly changed: (task: Task) => void;

  constructor(changed: (task: Task) => void) {
    this.changed = changed;
  }

  list(): Task[] {
    return [...this.tasks.values()];
  }

  /** Runs `work` as a task; the result and the failure are those of `work`. */
  run<T>(kind: string, object: string, work: (control: TaskControl) => Promise<T>): Promise<T> {
    const result = this.perform(kind, object, work);
    const settled = result.then(
      () => {},
      () => {},
    );
    this.running.add(settled);
    void settled.then(() => this.running.delete(settled));
    return result;
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
    let task: Task = {
      id,
      kind,
      object,
      state: 'running',
      progress: null,
      detail: '',
      startedAt: new Date().toISOString(),
      finishedAt: null,
      error: null,
    };
    const update = (patch: Partial<Task>) => {
      task = { ...task, ...patch };
      this.tasks.set(id, task);
      this.changed(task);
    };
    update({});
    let lastTold = 0;
    const control: TaskControl = {
      signal: abort.signal,
      progress: (progress, detail = '') => {
        const now = Date.now();
        if (now - lastTold < 100 && progress !== 1) return;
        lastTold = now;
        update({ progress, detail });
      },
    };
    try {
      const result = await work(control);
      update({ state: 'done', progress: 1, finishedAt: new Date().toISOString() });
      return result;
    } catch (cause) {
      const error = asHypervueError(cause, { object });
      update({
        state: abort.signal.aborted ? 'cancelled' : 'failed',
        finishedAt: new Date().toISOString(),
        error: { kind: error.kind, message: error.message },
      });
      throw error;
    } finally {
      this.aborts.delete(id);
      this.trim();
    }
  }

  cancel(id: string): void {
    const abort = this.aborts.get(id);
    if (!abort) throw new HypervueError('not-found', 'this task is not running', { object: id, operation: 'cancel' });
    abort.abort(new HypervueError('cancelled', 'the task was cancelled', { object: id }));
  }

  private trim(): void {
    const ended = [...this.tasks.values()].filter((task) => task.state !== 'running');
    for (const task of ended.slice(0, Math.max(0, ended.length - KEPT))) this.tasks.delete(task.id);
  }
}
