import { type ComputedRef, computed } from 'vue';
import { useAccess } from '../stores/access.ts';

/** True when our token's role may look at a machine's hardware, and not change it. */
export function useLocked(): ComputedRef<boolean> {
  const access = useAccess();
  return computed(() => !access.may('vm.update'));
}
