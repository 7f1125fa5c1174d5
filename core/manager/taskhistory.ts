import path from 'node:path';
import { z } from 'zod';
import { type Task, taskSchema } from '../contract/host.ts';
import { asHypervueError } from '../util/errors.ts';
import { say, worded } from '../util/say.ts';
import type { Logger } from '../util/logger.ts';
import { JsonStore } from './jsonstore.ts';

const historySchema = z.object({ tasks: z.array(taskSchema).default([]) });

/** What was done, kept over restarts (`tasks.json` in the settings folder). A task that was cut off with the program is told as failed. */
export class TaskHistory {
  private readonly store: JsonStore<z.infer<typeof historySchema>>;
  private readonly log: Logger;
  private saving: Promise<unknown> = Promise.resolve();

  private constructor(store: JsonStore<z.infer<typeof historySchema>>, log: Logger) {
    this.store = store;
    this.log = log;
  }

  static async open(folder: string, log: Logger): Promise<TaskHistory> {
    return new TaskHistory(await JsonStore.open(path.join(folder, 'tasks.json'), historySchema, log), log);
  }

  /** As they were when the program ended. */
  tasks(): Task[] {
    return this.store.get().tasks.map((task): Task => {
      if (task.state !== 'running') return task;
      const error = { kind: 'io-error', ...worded(say('taskCutOff')) };
      return { ...task, state: 'failed', rate: null, remainingSeconds: null, finishedAt: task.startedAt, error };
    });
  }

  /** That it can't be kept is no reason for a task to fail. */
  keep(tasks: Task[]): void {
    this.saving = this.store
      .set({ tasks })
      .catch((error) => this.log.warn(`the history of tasks was not kept: ${asHypervueError(error).message}`));
  }

  /** Resolves when all of it is in the file. */
  async settled(): Promise<void> {
    await this.saving;
  }
}
