import path from 'node:path';
import { packStateFile } from '../../platform/packstate.ts';
import { asHypervueError } from '../../util/errors.ts';
import type { Machine } from '../machine.ts';
import { MEMORY_FILE, readManifest, snapshotFolder } from './store.ts';

interface Job {
  abort: AbortController;
  done: Promise<void>;
}

/**
 * Makes memory files of snapshots smaller, one machine's after the other, while nobody needs them: taking a snapshot writes them as quickly as it can. A file is whole
 * at every instant, as it was or packed.
 */
export class Packer {
  private readonly jobs = new Map<string, Job>();
  private readonly packed: (machine: Machine, id: string, bytes: number) => Promise<void>;
  private closed = false;

  /** `packed`: the memory of a snapshot has this size now. */
  constructor(packed: (machine: Machine, id: string, bytes: number) => Promise<void>) {
    this.packed = packed;
  }

  /** Packs what the machine's snapshots have unpacked. */
  start(machine: Machine): void {
    if (this.closed || this.jobs.has(machine.id)) return;
    const abort = new AbortController();
    const done = this.work(machine, abort.signal)
      .catch((error) => {
        if (!abort.signal.aborted)
          machine.record('warn', 'snapshots', `the memory of a snapshot stays as large as it is: ${asHypervueError(error).message}`);
      })
      .finally(() => {
        if (this.jobs.get(machine.id)?.abort === abort) this.jobs.delete(machine.id);
      });
    this.jobs.set(machine.id, { abort, done });
  }

  /** Resolves when nothing of the machine is being packed any more. */
  async stop({ id }: Pick<Machine, 'id'>): Promise<void> {
    const job = this.jobs.get(id);
    job?.abort.abort();
    await job?.done;
  }

  async close(): Promise<void> {
    this.closed = true;
    await Promise.all([...this.jobs.keys()].map((id) => this.stop({ id })));
  }

  private async work(machine: Machine, signal: AbortSignal): Promise<void> {
    for (const { id, packed } of (await readManifest(machine.folder)).snapshots) {
      if (packed) continue;
      signal.throwIfAborted();
      const bytes = await packStateFile(path.join(snapshotFolder(machine.folder, id), MEMORY_FILE), signal);
      // Not waited for: who stops this may hold the machine's turn.
      this.packed(machine, id, bytes).catch((error) => machine.record('warn', 'snapshots', asHypervueError(error).message));
    }
  }
}
