import type { VmStateName, VmSummary } from '../../../core/contract/vm.ts';

export const verbNames = ['start', 'pause', 'resume', 'shutdown', 'reset', 'saveState', 'discardState', 'forceOff', 'delete'] as const;
export type Verb = (typeof verbNames)[number];

/** States in which the manager accepts each verb (core/machine/lifecycle.ts). */
const allowed: Record<Verb, readonly VmStateName[]> = {
  start: ['off', 'crashed', 'saved'],
  pause: ['running'],
  resume: ['paused'],
  shutdown: ['running'],
  reset: ['running', 'paused'],
  forceOff: ['starting', 'running', 'paused', 'stopping'],
  saveState: ['running', 'paused'],
  discardState: ['saved'],
  delete: ['off', 'crashed', 'saved'],
};

/** Key under `verbs.reason.*` for why a verb can't be used now; null when it can. */
export function verbReason(verb: Verb, vm: Pick<VmSummary, 'state' | 'config'>): string | null {
  if (vm.config === null && verb !== 'delete') return 'unreadable';
  if (allowed[verb].includes(vm.state)) return null;
  if (verb === 'discardState') return 'notSaved';
  switch (vm.state) {
    case 'starting':
      return 'starting';
    case 'stopping':
      return verb === 'start' || verb === 'delete' ? 'stillStopping' : 'stopping';
    case 'off':
    case 'saved':
    case 'crashed':
      return 'notRunning';
    case 'paused':
      return verb === 'start' ? 'pausedStart' : verb === 'delete' ? 'mustBeOff' : verb === 'pause' ? 'alreadyPaused' : 'paused';
    case 'running':
      return verb === 'resume' ? 'notPaused' : verb === 'delete' ? 'mustBeOff' : 'alreadyRunning';
  }
}

export const isLive = (state: VmStateName): boolean => state === 'running' || state === 'paused' || state === 'stopping';
