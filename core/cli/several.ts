import { type Command, Option } from 'commander';
import { type BulkAction, isBulkEdit } from '../contract/library.ts';
import type { VmSummary } from '../contract/vm.ts';
import { HypervueError } from '../util/errors.ts';
import { EXIT_ERROR, EXIT_OK } from './output.ts';
import type { Session } from './session.ts';

/** How machines are named on the command line: by name or id, by what they share, or all of them. */
export interface Selection {
  tag?: string[];
  folder?: string[];
}

const collect = (value: string, before: string[] | undefined) => [...(before ?? []), value];

/** Gives `command <machines...>` the options that select machines by what they share. */
export const selecting = (command: Command): Command =>
  command
    .addOption(new Option('--tag <tag>', 'the machines with this tag too; may be repeated').argParser(collect))
    .addOption(new Option('--folder <folder>', 'the machines of this folder, and of those in it, too').argParser(collect));

export const wantsOne = (machines: readonly string[], { tag, folder }: Selection): boolean => machines.length === 1 && !tag && !folder;

/** Ends with a usage error when nothing says which machines. */
export function refuseNone(command: Command, machines: readonly string[], { tag, folder }: Selection): void {
  if (machines.length === 0 && !tag && !folder) command.error("error: missing required argument 'machine'");
}

/** The machines that are meant, each once. Rejects with 'not-found' when a name, a tag or a folder has none. */
export async function select(session: Session, names: readonly string[], { tag = [], folder = [] }: Selection): Promise<VmSummary[]> {
  const found = new Map<string, VmSummary>();
  for (const name of names) {
    const vm = await session.machine(name);
    found.set(vm.id, vm);
  }
  const all = tag.length || folder.length ? await session.client.call('vm.list', {}) : [];
  const take = (what: string, wanted: string, holds: (vm: VmSummary) => boolean) => {
    const those = all.filter(holds);
    if (those.length === 0)
      throw new HypervueError('not-found', `no machine has the ${what} ${wanted}`, { object: wanted }, `See \`hypervue ${what} list\`.`);
    for (const vm of those) found.set(vm.id, vm);
  };
  for (const each of tag) take('tag', each, ({ config }) => (config?.tags ?? []).some((name) => name.toLowerCase() === each.toLowerCase()));
  for (const each of folder) take('folder', each, ({ config }) => config?.group === each || (config?.group ?? '').startsWith(`${each}/`));
  return [...found.values()];
}

/** Does it with all of them, a line for each, and then `more` with those that it failed for; the exit code says whether every one worked. */
export async function doWithSeveral(
  session: Session,
  machines: readonly VmSummary[],
  action: BulkAction,
  done: string,
  more: (failed: readonly string[]) => Promise<void> = async () => {},
): Promise<number> {
  const ids = machines.map(({ id }) => id);
  const results = isBulkEdit(action)
    ? await session.client.call('vm.bulkEdit', { ids, action })
    : await session.client.call('vm.bulk', { ids, action });
  session.print(results, (lines) =>
    lines
      .map(
        ({ name, error, trashId }) =>
          `${name}: ${error ? [error.message, error.fix].filter(Boolean).join('. ') : [done, trashId].filter(Boolean).join(' ')}`,
      )
      .join('\n'),
  );
  const failed = results.filter(({ error }) => error);
  await more(failed.map(({ id }) => id));
  return failed.length ? EXIT_ERROR : EXIT_OK;
}
