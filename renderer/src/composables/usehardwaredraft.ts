import { computed, ref, toRaw, watch } from 'vue';
import { drivePolicySchema } from '../../../core/contract/drives.ts';
import type { Drive, VmConfig, VmSummary } from '../../../core/contract/vm.ts';
import { useConnection } from '../stores/connection.ts';
import { useMachines } from '../stores/machines.ts';
import { editedFields, patchOf } from './hardware.ts';

const copyOf = <T>(value: T): T => JSON.parse(JSON.stringify(toRaw(value))) as T;
const policyNames = Object.keys(drivePolicySchema.shape) as (keyof Drive)[];
const policyOf = (drive: Drive) =>
  Object.fromEntries(policyNames.flatMap((name) => (drive[name] === undefined ? [] : [[name, drive[name]]])));
const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** What a person makes of a machine's configuration before it is applied. */
export function useHardwareDraft(vm: () => VmSummary) {
  const connection = useConnection();
  const machines = useMachines();
  const config = () => vm().config;
  const draft = ref<VmConfig | null>(null);
  const patch = computed(() => {
    const now = config();
    return draft.value && now ? patchOf(draft.value, now) : {};
  });
  const dirty = computed(() => Object.keys(patch.value).length > 0);

  watch(
    config,
    (next, before) => {
      if (!next) draft.value = null;
      else if (!draft.value || !before || before.id !== next.id) draft.value = copyOf(next);
      // Somebody else's change is taken in, field by field, where this form has none of its own.
      else
        for (const field of editedFields)
          if (same(draft.value[field], before[field]) || (field === 'drives' && draft.value.drives.length !== next.drives.length))
            (draft.value as Record<string, unknown>)[field] = copyOf(next[field]);
    },
    { immediate: true },
  );

  function discard(): void {
    const now = config();
    draft.value = now && copyOf(now);
  }

  /** Sends the changes: how a drive is served at once, everything else in one piece. Rejects with the manager's reason, and the draft stays. */
  async function apply(): Promise<void> {
    const { id } = vm();
    for (const [index, drive] of [...(draft.value?.drives ?? [])].entries()) {
      const stored = config()?.drives[index];
      if (!stored || same(policyOf(drive), policyOf(stored))) continue;
      const answer = await connection.call('vm.setDrivePolicy', { id, drive: stored.id, policy: policyOf(drive) as never });
      machines.byId.set(id, answer);
    }
    const rest = patch.value;
    // Policies are there already, in whatever order their fields are.
    if (rest.drives && same(rest.drives.map(placeOf), config()?.drives.map(placeOf))) delete rest.drives;
    if (Object.keys(rest).length > 0) machines.byId.set(id, await connection.call('vm.update', { id, patch: copyOf(rest) }));
    discard();
  }

  return { draft, patch, dirty, discard, apply };
}

const placeOf = ({ id, kind, path, readOnly, format }: Drive) => ({ id, kind, path, readOnly, format });
