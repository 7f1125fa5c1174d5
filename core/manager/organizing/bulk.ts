/** One verb for several machines: one task, one result a machine. What fails for one does not keep the others from theirs. */
import { type BulkAction, type BulkResult, MAX_TAGS } from '../../contract/library.ts';
import type { Handlers } from '../../contract/server.ts';
import { asHypervueError, errorFrom, HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import type { ManagerContext } from '../context.ts';
import type { Machine } from '../machine.ts';
import type { Organizer } from './organizer.ts';
import { withTags } from './tags.ts';

/** How many machines are worked on at the same time: a start takes memory and processor, a snapshot the disk. */
const AT_ONCE: Partial<Record<BulkAction['type'], number>> = { start: 2, snapshot: 1, saveState: 1, delete: 1 };
const USUALLY_AT_ONCE = 4;
/** Names in the title of the task. */
const NAMED = 3;

type Verbs = Pick<
  Handlers,
  | 'vm.start'
  | 'vm.pause'
  | 'vm.resume'
  | 'vm.shutdown'
  | 'vm.restart'
  | 'vm.reset'
  | 'vm.saveState'
  | 'vm.forceOff'
  | 'vm.delete'
  | 'vm.update'
  | 'snapshot.take'
>;

export function bulkHandlers({ machines, tasks }: ManagerContext, organizer: Organizer, verbs: Verbs) {
  /** Gives the number in the trash of what was deleted. */
  async function act(machine: Machine, action: BulkAction): Promise<string | undefined> {
    const { id } = machine;
    switch (action.type) {
      case 'delete':
        return (await verbs['vm.delete']({ id })).trashId;
      case 'snapshot':
        await verbs['snapshot.take']({ id, name: action.name, description: '', memory: action.memory && machine.active });
        return;
      case 'tags': {
        const tags = withTags(machine.config?.tags ?? [], organizer.spelled(action.add), action.remove);
        if (tags.length > MAX_TAGS)
          throw new HypervueError(
            'resource-limit',
            say('tagsFull', { name: machine.name, most: MAX_TAGS }),
            { object: machine.name },
            say('fixTagsFull'),
          );
        await verbs['vm.update']({ id, patch: { tags } });
        return;
      }
      case 'group':
        await verbs['vm.update']({ id, patch: { group: action.path } });
        return;
      case 'autostart':
        await verbs['vm.update']({ id, patch: { autostart: action.autostart } });
        return;
      case 'start':
        await verbs['vm.start']({ id, despiteDisks: action.despiteDisks?.includes(id) ?? false });
        return;
      default:
        await verbs[`vm.${action.type}`]({ id });
    }
  }

  async function bulk(ids: readonly string[], action: BulkAction): Promise<BulkResult[]> {
    const wanted = [...new Set(ids)];
    const nameOf = (id: string) => {
      try {
        return machines.get(id).name;
      } catch {
        return id;
      }
    };
    const names = wanted.map(nameOf);
    const cancelled = (name: string) => new HypervueError('cancelled', say('leftAsItIs', { name }), { object: name });
    const results = wanted.map((id, i): BulkResult => ({ id, name: names[i]!, error: cancelled(names[i]!).toJSON() }));
    const title = [names.slice(0, NAMED).join(', '), names.length > NAMED ? `+${names.length - NAMED}` : ''].filter(Boolean).join(' ');
    let begun = false;
    const work = tasks.run(`vm.bulk.${action.type}`, title, async (control) => {
      begun = true;
      let next = 0;
      let done = 0;
      const worker = async () => {
        while (next < wanted.length && !control.signal.aborted) {
          const i = next++;
          const [id, name] = [wanted[i]!, names[i]!];
          control.progress(done / wanted.length, name);
          try {
            const trashId = await tasks.asPart(control, () => act(machines.get(id), action));
            results[i] = { id, name, error: null, ...(trashId === undefined ? {} : { trashId }) };
          } catch (error) {
            results[i] = { id, name, error: asHypervueError(error, { object: name, operation: action.type }).toJSON() };
          }
          control.progress(++done / wanted.length, name);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE[action.type] ?? USUALLY_AT_ONCE }, worker));
      control.signal.throwIfAborted();
      const failed = results.filter(({ error }) => error !== null);
      if (failed.length)
        throw new HypervueError(
          failed[0]!.error!.kind,
          say('someFailed', {
            count: failed.length,
            most: results.length,
            name: failed[0]!.name,
            problem: errorFrom(failed[0]!.error!).saying(),
          }),
        );
    });
    // The task tells that some failed; the answer tells which, and why.
    await work.catch((error) => {
      if (!begun) throw error;
    });
    return results;
  }

  return {
    'vm.bulk': ({ ids, action }) => bulk(ids, action),
    'vm.bulkEdit': ({ ids, action }) => bulk(ids, action),
  } satisfies Partial<Handlers>;
}
