import type { MachineSort, StateFilter } from '../../../core/contract/library.ts';
import type { VmStateName, VmSummary } from '../../../core/contract/vm.ts';
import { hasWords, wordsOf } from './searchwords.ts';

/** What of the library is shown, and in which order. */
export interface MachineFilter {
  query: string;
  state: StateFilter;
  /** Machines with all of these. */
  tags: readonly string[];
  /** Null: of all folders; '': in none. */
  group: string | null;
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });

/** A working machine counts as what it is becoming. */
export const inState = (state: VmStateName, wanted: StateFilter): boolean =>
  wanted === 'all' ||
  state === wanted ||
  (wanted === 'off' && state === 'saved') ||
  (wanted === 'running' && (state === 'starting' || state === 'stopping'));

/** In the folder or in one below it; '' are the machines in no folder. */
export const inGroup = (group: string, wanted: string | null): boolean =>
  wanted === null || group === wanted || (wanted !== '' && group.startsWith(`${wanted}/`));

const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase();
export const hasTag = (vm: VmSummary, tag: string): boolean => (vm.config?.tags ?? []).some((each) => same(each, tag));

/** Every word of the search is in the name, a tag, the folder, the notes or the system. */
export function matches(vm: VmSummary, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const { config } = vm;
  const text = [vm.name, ...(config?.tags ?? []), config?.group ?? '', config?.os ?? '', config?.description ?? ''];
  return hasWords(text.join('\n'), words);
}

/** Without the state, for the numbers beside the state filters. */
export function filtered(machines: readonly VmSummary[], { query, tags, group }: Omit<MachineFilter, 'state'>): VmSummary[] {
  const words = wordsOf(query);
  return machines.filter((vm) => inGroup(vm.config?.group ?? '', group) && tags.every((tag) => hasTag(vm, tag)) && matches(vm, words));
}

const stateOrder: Record<VmStateName, number> = { running: 0, starting: 1, stopping: 2, paused: 3, crashed: 4, saved: 5, off: 6 };

/** `machines` come by name; those that are equal stay so. */
export function sorted(
  machines: readonly VmSummary[],
  by: MachineSort,
  descending: boolean,
  cpuOf: (vm: VmSummary) => number,
): VmSummary[] {
  const byText = (of: (vm: VmSummary) => string) => (a: VmSummary, b: VmSummary) => collator.compare(of(a), of(b));
  const byNumber = (of: (vm: VmSummary) => number) => (a: VmSummary, b: VmSummary) => of(a) - of(b);
  const compare: Record<MachineSort, (a: VmSummary, b: VmSummary) => number> = {
    name: byText(({ name }) => name),
    state: byNumber(({ state }) => stateOrder[state]),
    os: byText(({ config }) => config?.os ?? ''),
    memory: byNumber(({ config }) => config?.memoryMiB ?? 0),
    cpu: byNumber(cpuOf),
    created: byText(({ config }) => config?.createdAt ?? ''),
    started: byText(({ startedAt }) => startedAt ?? ''),
  };
  const list = [...machines];
  if (by === 'name' && !descending) return list;
  const order = compare[by];
  return list.sort(descending ? (a, b) => order(b, a) : order);
}
