import { defineStore } from 'pinia';
import { computed, ref, shallowRef, watch } from 'vue';
import type { LibraryOrder, MachineSort, SavedView, StateFilter, Tag } from '../../../core/contract/library.ts';
import { stateFilters } from '../../../core/contract/library.ts';
import { filtered, inState, sorted } from '../composables/machinefilter.ts';
import { nothing, pruned, type Selection } from '../composables/selection.ts';
import { useConnection } from './connection.ts';
import { useMachines } from './machines.ts';
import { useNotices } from './notices.ts';
import { useSamples } from './samples.ts';
import { useSettings } from './settings.ts';

/** How the library is kept in order, and what of it the Machines page shows: it stays over a look at another page. */
export const useLibrary = defineStore('library', () => {
  const connection = useConnection();
  const machines = useMachines();
  const notices = useNotices();
  const samples = useSamples();
  const settings = useSettings();
  const order = shallowRef<LibraryOrder>({ tags: [], groups: [], views: [], autostartFailures: [] });

  const query = ref('');
  const state = ref<StateFilter>('all');
  const tags = ref<string[]>([]);
  const group = ref<string | null>(null);
  const sort = ref<MachineSort>('name');
  const descending = ref(false);
  const selection = shallowRef<Selection>(nothing);

  const tagsByName = computed(() => new Map(order.value.tags.map((tag) => [tag.name.toLowerCase(), tag])));
  const tagOf = (name: string): Tag => tagsByName.value.get(name.toLowerCase()) ?? { name, color: 'grey' };

  /** Everything but the state filter, which shows how many of each there are. */
  const found = computed(() => filtered(machines.sorted, { query: query.value, tags: tags.value, group: group.value }));
  const counts = computed(
    () =>
      Object.fromEntries(stateFilters.map((each) => [each, found.value.filter((vm) => inState(vm.state, each)).length])) as Record<
        StateFilter,
        number
      >,
  );
  const shown = computed(() => {
    const those = found.value.filter((vm) => inState(vm.state, state.value));
    return sorted(those, sort.value, descending.value, (vm) => samples.byId.get(vm.id)?.stats.cpu ?? 0);
  });
  const selected = computed(() => machines.sorted.filter((vm) => selection.value.ids.has(vm.id)));
  const filters = computed(() => query.value !== '' || state.value !== 'all' || tags.value.length > 0 || group.value !== null);

  function clear(): void {
    query.value = '';
    state.value = 'all';
    tags.value = [];
    group.value = null;
  }

  function apply(view: SavedView): void {
    query.value = view.query;
    state.value = view.state;
    tags.value = [...view.tags];
    group.value = view.group;
    sort.value = view.sort;
    descending.value = view.descending;
    if (settings.current.machinesView !== view.layout) void settings.change({ machinesView: view.layout });
  }

  /** The view that is shown, if nothing was changed since it was chosen. */
  const currentView = computed(() => order.value.views.find((view) => sameView(view, now())) ?? null);
  const now = (): Omit<SavedView, 'id' | 'name'> => ({
    query: query.value,
    state: state.value,
    tags: [...tags.value],
    group: group.value,
    sort: sort.value,
    descending: descending.value,
    layout: settings.current.machinesView,
  });

  /** Does something with the library; says what failed. True when it worked. */
  async function attempt(what: string, object: string, work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      notices.showError(what, object, error);
      return false;
    }
  }

  async function load(): Promise<void> {
    try {
      order.value = await connection.call('library.get', {});
    } catch {
      // Loaded again with the next connection.
    }
  }

  connection.on('library.changed', (next) => (order.value = next));
  connection.onReady(() => void load());
  // What was removed elsewhere must not keep machines hidden.
  watch(order, ({ groups }) => {
    if (group.value && !groups.includes(group.value)) group.value = null;
    const gone = tags.value.filter((tag) => !tagsByName.value.has(tag.toLowerCase()));
    if (gone.length) tags.value = tags.value.filter((tag) => !gone.includes(tag));
  });
  watch(
    () => machines.byId.size,
    () => (selection.value = pruned(selection.value, machines.byId)),
  );

  return {
    order,
    query,
    state,
    tags,
    group,
    sort,
    descending,
    selection,
    selected,
    found,
    counts,
    shown,
    filters,
    currentView,
    tagOf,
    clear,
    apply,
    now,
    attempt,
    load,
  };
});

function sameView(view: SavedView, now: Omit<SavedView, 'id' | 'name'>): boolean {
  const { id: _id, name: _name, ...rest } = view;
  const plain = (of: typeof now) => JSON.stringify([of.query, of.state, [...of.tags].sort(), of.group, of.sort, of.descending, of.layout]);
  return plain(rest) === plain(now);
}
