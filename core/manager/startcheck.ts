/** What machines would meet if they were started now, told before anything is done. */
import path from 'node:path';
import type { Handlers } from '../contract/server.ts';
import type { VmConfig } from '../contract/vm.ts';
import { inUseError, livingOwner } from '../platform/locks.ts';
import { asHypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { ManagerContext } from './context.ts';
import type { Machine } from './machine.ts';
import { LOCK_FILE } from './machinelocks.ts';
import { failed, good, type PreflightCheck, remedied, toCheck } from './preflight.ts';
import { preflightStart } from './preflightstart.ts';
import { checkSavedState, SAVED_STATE, savedInfo } from './savedstate.ts';
import type { Services } from './services.ts';

export function startCheckHandlers({ machines }: ManagerContext, { storage }: Pick<Services, 'storage'>) {
  /** `volumes`: looked for once for all machines. */
  async function checksOf(machine: Machine, volumes: () => ReturnType<typeof storage.known>, othersMiB: number) {
    const config = await machine.startable();
    const checks = [
      ...folderInUse(machine),
      ...(await preflightStart(machine.parts, config, machine.folder, { othersMiB, resumes: savedInfo(machine.folder) !== null })),
      ...(await checkSaved(machine, config)),
    ];
    try {
      await storage.refuseBases(machine, 'start', volumes);
    } catch (cause) {
      const error = asHypervueError(cause);
      checks.push(failed('bases', error, String(error.context.path ?? '')));
    }
    // A state goes only with the memory that it was saved with.
    const kept = savedInfo(machine.folder)
      ? checks.map(({ remedy, ...check }) => remedied(check, remedy?.do === 'memory' ? undefined : remedy))
      : checks;
    return { memoryMiB: config.memoryMiB, checks: kept };
  }

  return {
    'vm.check': async ({ ids }) => {
      let listing: ReturnType<typeof storage.known> | undefined;
      const volumes = () => (listing ??= storage.known());
      const results = [];
      let othersMiB = 0;
      for (const id of new Set(ids)) {
        const machine = machines.get(id);
        const about = { id, name: machine.name };
        try {
          const { memoryMiB, checks } = await checksOf(machine, volumes, othersMiB);
          othersMiB += memoryMiB;
          results.push({ ...about, checks: checks.map(toCheck), error: null });
        } catch (error) {
          results.push({ ...about, checks: [], error: asHypervueError(error, { object: machine.name }).toJSON() });
        }
      }
      return results;
    },
  } satisfies Partial<Handlers>;
}

/** Another manager runs it, or works on it. */
function folderInUse({ folder, name }: Machine): PreflightCheck[] {
  const file = path.join(folder, LOCK_FILE);
  try {
    const owner = livingOwner(file);
    return owner ? [failed('folder', inUseError(name, file, owner), folder)] : [];
  } catch (error) {
    return [failed('folder', asHypervueError(error), folder)];
  }
}

async function checkSaved({ folder }: Machine, config: VmConfig): Promise<PreflightCheck[]> {
  const saved = savedInfo(folder);
  if (!saved) return [];
  try {
    await checkSavedState(folder, config, false);
    return [good('saved-state', say('savedStateFits', { at: saved.at, sizeBytes: saved.bytes }))];
  } catch (cause) {
    const error = asHypervueError(cause);
    const check = failed('saved-state', error, path.join(folder, SAVED_STATE));
    // Whoever copied the folder knows that only the times of its disks are others.
    return [remedied(check, { do: error.context.reason === 'disks-changed' ? 'despite-disks' : 'discard-state' })];
  }
}
