/** Machines that start with the manager: one after the other, by their order and name, each after its delay. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AutostartFailure } from '../../contract/library.ts';
import type { Handlers } from '../../contract/server.ts';
import { asHypervueError } from '../../util/errors.ts';
import type { ManagerContext } from '../context.ts';
import type { Organizer } from './organizer.ts';

/** Resolves when all were started or have failed; never rejects. What failed is told to everybody who looks at the library, and is in the task. */
export async function autostart(
  { machines, tasks, options }: ManagerContext,
  organizer: Organizer,
  start: Handlers['vm.start'],
): Promise<void> {
  const wanted = machines
    .all()
    .flatMap(({ id, name, config }) => (config?.autostart && !config.template ? [{ id, name, ...config.autostart }] : []))
    .sort((a, b) => a.order - b.order || (a.name < b.name ? -1 : 1));
  if (wanted.length === 0) return;
  const failures: AutostartFailure[] = [];
  await tasks
    .run('vm.autostart', wanted.map(({ name }) => name).join(', '), async (control) => {
      for (const [index, { id, name, delaySeconds }] of wanted.entries()) {
        control.progress(index / wanted.length, name);
        if (delaySeconds) await sleep(delaySeconds * 1000, undefined, { signal: control.signal });
        control.signal.throwIfAborted();
        try {
          const machine = machines.get(id);
          // Somebody was quicker, or it is no longer to start.
          if (machine.active || !machine.config?.autostart) continue;
          await tasks.asPart(control, () => start({ id }));
          machine.record('info', 'manager', 'started with Hypervue');
        } catch (cause) {
          const error = asHypervueError(cause, { object: name, operation: 'start' });
          options.log.warn(`${name} could not be started: ${error.message}`);
          failures.push({ id, name, at: new Date().toISOString(), error: error.toJSON() });
          organizer.failed([...failures]);
        }
      }
      const first = failures[0];
      if (first) throw asHypervueError(new Error(`${failures.length} of ${wanted.length}: ${first.name}: ${first.error.message}`));
    })
    .catch(() => {
      // The task says it.
    });
}
