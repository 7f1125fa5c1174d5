import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { machineTexts } from '../contract/machinetexts.ts';

/** States of a machine that has a process; the same words as the contract's VmStateName, which has `saved` too. */
export type LifecycleState = 'off' | 'starting' | 'running' | 'paused' | 'stopping' | 'crashed';
export type LifecycleEvent =
  | 'start'
  | 'started'
  | 'pause'
  | 'resume'
  | 'reset'
  | 'powerButton'
  | 'forceOff'
  /** The guest turned itself off (ACPI S5), or the process ended as asked. */
  | 'ended'
  /** The VM process died or the machine can't go on. */
  | 'failed';

type Next = LifecycleState | { refuse: keyof typeof machineTexts };

const off = 'isOff';
const refuse = (why: keyof typeof machineTexts): Next => ({ refuse: why });

/**
 * Every state against every event. `refuse` names the reason that the user reads.
 * The power button does not change the state: the guest decides what it means, and may ignore it.
 */
export const transitions: Record<LifecycleState, Record<LifecycleEvent, Next>> = {
  off: {
    start: 'starting',
    started: refuse(off),
    pause: refuse(off),
    resume: refuse(off),
    reset: refuse(off),
    powerButton: refuse(off),
    forceOff: refuse(off),
    ended: 'off',
    failed: 'crashed',
  },
  starting: {
    start: refuse('isStartingAlready'),
    started: 'running',
    pause: refuse('isStartingStill'),
    resume: refuse('isStartingStill'),
    reset: refuse('isStartingStill'),
    powerButton: refuse('isStartingStill'),
    forceOff: 'stopping',
    ended: 'off',
    failed: 'crashed',
  },
  running: {
    start: refuse('isRunningAlready'),
    started: refuse('isRunningAlready'),
    pause: 'paused',
    resume: refuse('isNotPaused'),
    reset: 'running',
    powerButton: 'running',
    forceOff: 'stopping',
    ended: 'off',
    failed: 'crashed',
  },
  paused: {
    start: refuse('isPausedStart'),
    started: refuse('isPaused'),
    pause: refuse('isPausedAlready'),
    resume: 'running',
    reset: 'paused',
    powerButton: refuse('isPausedFirst'),
    forceOff: 'stopping',
    ended: 'off',
    failed: 'crashed',
  },
  stopping: {
    start: refuse('isStoppingWait'),
    started: 'stopping',
    pause: refuse('isStopping'),
    resume: refuse('isStopping'),
    reset: refuse('isStopping'),
    powerButton: refuse('isStopping'),
    forceOff: 'stopping',
    ended: 'off',
    failed: 'crashed',
  },
  crashed: {
    start: 'starting',
    started: refuse('isCrashed'),
    pause: refuse('isCrashed'),
    resume: refuse('isCrashed'),
    reset: refuse('isCrashedStart'),
    powerButton: refuse('isCrashedStart'),
    forceOff: 'off',
    ended: 'off',
    failed: 'crashed',
  },
};

/** The state after `event`, or 'invalid-state' with the reason. `name` is the machine's name for the message. */
export function transition(state: LifecycleState, event: LifecycleEvent, name = 'machine'): LifecycleState {
  const next = transitions[state][event];
  if (typeof next === 'string') return next;
  throw new HypervueError('invalid-state', say('machineRefuses', { name, why: say(next.refuse) }), {
    object: name,
    operation: event,
    state,
  });
}
