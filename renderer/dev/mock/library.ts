import type { BulkAction, BulkResult, LibraryOrder, libraryMethods, SavedView, TagColor } from '../../../core/contract/library.ts';
import type { EventName, EventPayload } from '../../../core/contract/methods.ts';
import type { Handlers } from '../../../core/contract/server.ts';
import type { VmSummary } from '../../../core/contract/vm.ts';

interface MockLibraryParts {
  all(): VmSummary[];
  put(vm: VmSummary): VmSummary;
  emit<E extends EventName>(event: E, payload: EventPayload<E>): void;
  verbs(): Handlers;
  failure(error: unknown): { kind: 'internal'; message: string; context: Record<string, never> };
}

/** Tags, folders and views that live as long as the page. */
export function mockLibrary(parts: MockLibraryParts): Pick<Handlers, keyof typeof libraryMethods> {
  const colors = new Map<string, TagColor>([
    ['production', 'red'],
    ['lab', 'blue'],
  ]);
  let groups = new Set<string>(['servers']);
  const views = new Map<string, SavedView>();
  const configOf = (vm: VmSummary) => vm.config!;
  const order = (): LibraryOrder => {
    const used = parts.all().flatMap(({ config }) => config?.tags ?? []);
    const folders = parts.all().flatMap(({ config }) => (config?.group ? [config.group] : []));
    const all = [...groups, ...folders].flatMap((path) => path.split('/').map((_, i, names) => names.slice(0, i + 1).join('/')));
    return {
      tags: [...new Set([...colors.keys(), ...used])].sort().map((name) => ({ name, color: colors.get(name) ?? 'teal' })),
      groups: [...new Set(all)].sort(),
      views: [...views.values()],
      autostartFailures: [],
    };
  };
  const told = (): LibraryOrder => {
    parts.emit('library.changed', order());
    return order();
  };
  const edit = (vm: VmSummary, change: Partial<NonNullable<VmSummary['config']>>) =>
    parts.put({ ...vm, config: { ...configOf(vm), ...change } });
  const regroup = (moved: (path: string) => string): LibraryOrder => {
    groups = new Set([...groups].map(moved).filter((path) => path !== ''));
    for (const vm of parts.all()) if (configOf(vm).group) edit(vm, { group: moved(configOf(vm).group) });
    return told();
  };
  const bulk = async (ids: readonly string[], action: BulkAction): Promise<BulkResult[]> => {
    const results = [];
    for (const id of ids) {
      const vm = parts.all().find((each) => each.id === id)!;
      const answer: { id: string; name: string; error: ReturnType<typeof parts.failure> | null; trashId?: string } = {
        id,
        name: vm.name,
        error: null,
      };
      try {
        if (action.type === 'delete') answer.trashId = (await parts.verbs()['vm.delete']({ id })).trashId;
        else if (action.type === 'tags')
          edit(vm, { tags: [...new Set([...configOf(vm).tags.filter((tag) => !action.remove.includes(tag)), ...action.add])] });
        else if (action.type === 'group') edit(vm, { group: action.path });
        else if (action.type === 'autostart') edit(vm, { autostart: action.autostart });
        else if (action.type === 'snapshot')
          await parts.verbs()['snapshot.take']({ id, name: action.name, description: '', memory: action.memory });
        else await parts.verbs()[`vm.${action.type}`]({ id });
      } catch (error) {
        answer.error = parts.failure(error);
      }
      results.push(answer);
    }
    told();
    return results;
  };
  return {
    'library.get': async () => order(),
    'library.setTag': async ({ name, color, rename }) => {
      const old = colors.get(name);
      if (rename !== undefined) {
        colors.delete(name);
        for (const vm of parts.all())
          if (configOf(vm).tags.includes(name)) edit(vm, { tags: configOf(vm).tags.map((tag) => (tag === name ? rename : tag)) });
      }
      colors.set(rename ?? name, color ?? old ?? 'teal');
      return told();
    },
    'library.removeTag': async ({ name }) => {
      colors.delete(name);
      for (const vm of parts.all()) edit(vm, { tags: configOf(vm).tags.filter((tag) => tag !== name) });
      return told();
    },
    'library.addGroup': async ({ path }) => {
      groups.add(path);
      return told();
    },
    'library.moveGroup': async ({ path, to }) =>
      regroup((each) => (each === path || each.startsWith(`${path}/`) ? to + each.slice(path.length) : each)),
    'library.removeGroup': async ({ path }) => {
      const parent = path.split('/').slice(0, -1).join('/');
      return regroup((each) =>
        each === path ? parent : each.startsWith(`${path}/`) ? [parent, each.slice(path.length + 1)].filter(Boolean).join('/') : each,
      );
    },
    'library.saveView': async (view) => {
      const saved = { ...view, id: view.id ?? crypto.randomUUID() };
      views.set(saved.id, saved);
      told();
      return saved;
    },
    'library.removeView': async ({ id }) => {
      views.delete(id);
      told();
      return null;
    },
    'library.forgetFailures': async () => null,
    'vm.bulk': ({ ids, action }) => bulk(ids, action),
    'vm.bulkEdit': ({ ids, action }) => bulk(ids, action),
  };
}
