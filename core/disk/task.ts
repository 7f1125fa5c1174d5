/** What long operations on disks have in common: they can be watched and stopped. */
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

export interface TaskOptions {
  /** An AbortSignal: the operation ends at the next piece with the signal's reason, or with 'cancelled'. */
  signal?: { readonly aborted: boolean; readonly reason?: unknown } | undefined;
  /** Bytes of the disk that are done, and all of them. */
  progress?: ((done: number, total: number) => void) | undefined;
}

/** Throws the reason when the operation was cancelled. */
export function stopIfAborted(options: TaskOptions, label: string): void {
  if (!options.signal?.aborted) return;
  const { reason } = options.signal;
  throw reason instanceof HypervueError
    ? reason
    : new HypervueError('cancelled', say('workCancelled', { path: label }), { path: label }, undefined, reason);
}
