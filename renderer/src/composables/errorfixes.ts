import { useRouter } from 'vue-router';
import type { VmSummary } from '../../../core/contract/vm.ts';
import { useMachines } from '../stores/machines.ts';
import type { Failure } from '../stores/notices.ts';
import { useVerbs } from './useverbs.ts';
import { type Verb, verbReason } from './verbs.ts';

export interface ErrorFix {
  /** Under `error.doFix`. */
  key: 'shutdown' | 'discardState' | 'resume' | 'show' | 'trash' | 'diagnostics' | 'log';
  /** The machine that it is about. */
  name: string;
  run: () => void;
}

/** Verbs that a machine must be off for. */
const needsOff = ['delete', 'clone', 'export', 'template', 'update'];

/** What can be done about a failure from its dialog: the way out that its words name, or the place where it is. Null when there is none to press. */
export function useErrorFixes() {
  const router = useRouter();
  const machines = useMachines();
  const verbs = useVerbs();

  return ({ what, object, error }: Failure): ErrorFix | null => {
    const named = (name: unknown) => machines.sorted.find((vm) => vm.name === name);
    const go = (key: ErrorFix['key'], name: string, params: Record<string, string> = {}, vm?: VmSummary): ErrorFix => ({
      key,
      name: vm?.name ?? '',
      run: () => void router.push({ name, params }),
    });
    const verb = (key: ErrorFix['key'] & Verb, vm: VmSummary): ErrorFix | null =>
      verbReason(key, vm) === null ? { key, name: vm.name, run: () => void verbs.run(key, vm) } : null;
    const self = named(error.context.object) ?? named(object);
    const holder = named(error.context.holder) ?? (error.kind === 'in-use' && self?.name !== object ? self : undefined);

    switch (error.kind) {
      case 'in-use':
        return holder ? go('show', 'machine', { id: holder.id }, holder) : null;
      case 'invalid-state':
        if (!self) return null;
        if (self.state === 'saved') return verb('discardState', self);
        if (self.state === 'paused' && what === 'start') return verb('resume', self);
        if (self.state === 'running' && needsOff.includes(what)) return verb('shutdown', self);
        return null;
      case 'no-space':
        return go('trash', 'trash');
      case 'vm-crashed':
        return self ? go('log', 'log', { id: self.id }, self) : null;
      case 'not-found':
        return error.context.check === 'firmware' || error.context.check === 'engine' ? go('diagnostics', 'diagnostics') : null;
      case 'permission-denied':
      case 'io-error':
      case 'internal':
        return go('diagnostics', 'diagnostics');
      default:
        return null;
    }
  };
}
