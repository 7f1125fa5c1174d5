/** Machines go to the trash, and what that would mean is told before. */
import { operationWord, stateWord } from './operationwords.ts';
import type { Handlers } from '../contract/server.ts';
import { fixHolder, saidHolder } from '../platform/holderwords.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { ManagerContext } from './context.ts';
import type { Machine } from './machine.ts';
import { lockFolderToRemove } from './machinelocks.ts';
import type { Services } from './services.ts';
import { readManifest } from './snapshots/store.ts';
import { listed } from './storage/knownvolumes.ts';
import { folderBytes } from './transfer/wholefolder.ts';
import { moveToTrash } from './trash.ts';

function imageHolder({ locks }: ManagerContext['parts'], image: string): string[] {
  try {
    const holder = locks.conflict(image, false);
    return holder === undefined ? [] : [holder];
  } catch {
    // A missing image is in nobody's use.
    return [];
  }
}

/** Throws when the machine can't be deleted now, naming whose fault that is. */
async function refuseDelete({ parts }: ManagerContext, { volumes }: Services, machine: Machine): Promise<void> {
  const { folder, name } = machine;
  if (machine.active)
    throw new HypervueError(
      'invalid-state',
      say('cantDo', { operation: operationWord('delete'), name, what: stateWord(machine.state) }),
      { object: name, operation: 'delete' },
      say('fixTurnOff'),
    );
  const holder = machine.settings.imagesInFolder().flatMap((image) => imageHolder(parts, image))[0];
  if (holder !== undefined)
    throw new HypervueError('in-use', say('diskInUse', { name, holder: saidHolder(holder) }), { object: name, holder }, fixHolder(holder));
  const clones = await volumes.dependants(folder);
  if (clones.length)
    throw new HypervueError(
      'in-use',
      say('disksSharedBy', { names: listed(clones), name }),
      { object: name, holder: clones[0]!, operation: 'delete' },
      say('fixDisksSharedBy'),
    );
}

export function deleteMachine(context: ManagerContext, services: Services, id: string): Promise<{ trashId: string }> {
  const { options, machines, tasks, emit } = context;
  const { name } = machines.get(id);
  return tasks.run('vm.delete', name, (control) =>
    machines.exclusively(async () => {
      const machine = machines.get(id);
      // Before the lock, which a running machine holds itself.
      if (machine.active) await refuseDelete(context, services, machine);
      // Another manager may run it, or another machine use a disk of its folder.
      const lock = lockFolderToRemove(machine.folder, machine.name);
      try {
        return await machines.without(machine, async () => {
          await refuseDelete(context, services, machine);
          await services.snapshots.release(machine);
          await machine.close();
          const trashId = await moveToTrash(options.library, machine.folder);
          control.undo(trashId);
          emit('vm.removed', { id });
          emit('trash.changed', {});
          emit('storage.changed', {});
          return { trashId };
        });
      } finally {
        lock.dispose();
      }
    }),
  );
}

/** What `deleteMachine` would do now. */
export async function planDelete(
  context: ManagerContext,
  services: Services,
  id: string,
): Promise<Awaited<ReturnType<Handlers['vm.planDelete']>>> {
  const machine = context.machines.get(id);
  const { folder } = machine;
  const inside = new Set(machine.settings.imagesInFolder());
  const refusal = await refuseDelete(context, services, machine).then(
    () => null,
    (error: unknown) => asHypervueError(error).toJSON(),
  );
  const { snapshots } = await readManifest(folder).catch(() => ({ snapshots: [] }));
  return {
    folder,
    bytes: await folderBytes(folder),
    snapshots: snapshots.length,
    keeps: machine.settings.images().filter((file) => !inside.has(file)),
    refusal,
  };
}
