import { ref } from 'vue';
import { type Role, roleCovers } from '../../../core/contract/access.ts';
import type { MethodName } from '../../../core/contract/methods.ts';
import { methodRoles } from '../../../core/contract/roles.ts';
import type { HostInfo } from '../../../core/contract/host.ts';
import type { VmStateName, VmSummary } from '../../../core/contract/vm.ts';

export const verbNames = [
  'start',
  'pause',
  'resume',
  'shutdown',
  'restart',
  'reset',
  'saveState',
  'discardState',
  'snapshot',
  'forceOff',
  'clone',
  'template',
  'export',
  'delete',
] as const;
export type Verb = (typeof verbNames)[number];

/** States in which the manager accepts each verb (core/machine/lifecycle.ts). */
const allowed: Record<Verb, readonly VmStateName[]> = {
  start: ['off', 'crashed', 'saved'],
  pause: ['running'],
  resume: ['paused'],
  shutdown: ['running'],
  restart: ['running'],
  reset: ['running', 'paused'],
  forceOff: ['starting', 'running', 'paused', 'stopping'],
  saveState: ['running', 'paused'],
  discardState: ['saved'],
  snapshot: ['off', 'running', 'paused', 'crashed', 'saved'],
  clone: ['off', 'crashed'],
  template: ['off', 'crashed'],
  export: ['off', 'crashed', 'saved'],
  delete: ['off', 'crashed', 'saved'],
};
/** Verbs on the machine's folder, which no running machine may use. */
const needsOff: readonly Verb[] = ['clone', 'template', 'export', 'delete'];

/** What this window's token lets it do; the stores of access keep it current. */
export const ownRole = ref<Role>('manage');

function methodOf(verb: Verb): MethodName {
  if (verb === 'snapshot') return 'snapshot.take';
  return verb === 'template' ? 'vm.setTemplate' : `vm.${verb}`;
}

/** Key under `verbs.reason.*` for why a verb can't be used now; null when it can. */
export function verbReason(verb: Verb, vm: Pick<VmSummary, 'state' | 'config'>, engine?: HostInfo['capabilities']): string | null {
  if (!roleCovers(ownRole.value, methodRoles[methodOf(verb)])) return 'role';
  if (vm.config === null && verb !== 'delete') return 'unreadable';
  if (verb === 'start' && vm.config?.template) return 'template';
  if (verb === 'snapshot' && engine?.liveSnapshots === false && isLive(vm.state)) return 'engineLive';
  if (allowed[verb].includes(vm.state)) return verb === 'saveState' && engine?.saveState === false ? 'engineNoStates' : null;
  if (verb === 'snapshot') return 'whileChanging';
  if (verb === 'discardState') return 'notSaved';
  switch (vm.state) {
    case 'starting':
      return 'starting';
    case 'stopping':
      return verb === 'start' || needsOff.includes(verb) ? 'stillStopping' : 'stopping';
    case 'saved':
      return needsOff.includes(verb) ? 'saved' : 'notRunning';
    case 'off':
    case 'crashed':
      return 'notRunning';
    case 'paused':
      return verb === 'start' ? 'pausedStart' : needsOff.includes(verb) ? 'mustBeOff' : verb === 'pause' ? 'alreadyPaused' : 'paused';
    case 'running':
      return verb === 'resume' ? 'notPaused' : needsOff.includes(verb) ? 'mustBeOff' : 'alreadyRunning';
  }
}

export const isLive = (state: VmStateName): boolean => state === 'running' || state === 'paused' || state === 'stopping';
