import { canBeSeen, isPlainText } from '../../../core/contract/vm.ts';
import { useMachines } from '../stores/machines.ts';

/** What is wrong with a name for a machine, before the manager says it; `own` is the machine's id when it has one. */
export function useNameCheck() {
  const machines = useMachines();
  return (name: string, own?: string): 'empty' | 'control' | 'taken' | null => {
    const wanted = name.trim().toLowerCase();
    if (!canBeSeen(wanted)) return 'empty';
    if (!isPlainText(wanted)) return 'control';
    for (const vm of machines.byId.values()) if (vm.id !== own && vm.name.toLowerCase() === wanted) return 'taken';
    return null;
  };
}
