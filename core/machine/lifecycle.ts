import { HypervueError } from '../util/errors.ts';

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

type Next = LifecycleState | { refuse: string };

const off = 'the machine is off';
const refuse = (why: string): Next => ({ refuse: why });

/**
 * Every state against every event. `refuse` carries the reason that the user reads.
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
    start: refuse('the machine is already starting'),
    started: 'running',
    pause: refuse('the machine is still starting'),
    resume: refuse('the machine is still starting'),
    reset: refuse('the machine is still starting'),
    powerButton: refuse('the machine is still starting'),
    forceOff: 'stopping',
    ended: 'off',
    failed: 'crashed',
  },
  running: {
    start: refuse('the machine is already running'),
    started: refuse('the machine is already running'),
    pause: 'paused',
    resume: refuse('the machine is not paused'),
    reset: 'running',
    powerButton: 'running',
    forceOff: 'stopping',
    ended: 'off',
    failed: 'crashed',
  },
  paused: {
    start: refuse('the machine is paused; resume it'),
    started: refuse('the machine is paused'),
    pause: refuse('the machine is already paused'),
    resume: 'running',
    reset: 'paused',
    powerButton: refuse('the machine is paused; resume it first'),
    forceOff: 'stopping',
    ended: 'off',
    failed: 'crashed',
  },
  stopping: {
    start: refuse('the machine is stopping; wait a moment'),
    started: 'stopping',
    pause: refuse('the machine is stopping'),
    resume: refuse('the machine is stopping'),
    reset: refuse('the machine is stopping'),
    powerButton: refuse('the machine is stopping'),
    forceOff: 'stopping',
    ended: 'off',
    failed: 'crashed',
  },
  crashed: {
    start: 'starting',
    started: refuse('the machine has crashed'),
    pause: refuse('the machine has crashed'),
    resume: refuse('the machine has crashed'),
    reset: refuse('the machine has crashed; start it again'),
    powerButton: refuse('the machine has crashed; start it again'),
    forceOff: 'off',
    ended: 'off',
    failed: 'crashed',
  },
};

/** The state after `event`, or 'invalid-state' with the reason. `name` is the machine's name for the message. */
export function transition(state: LifecycleState, event: LifecycleEvent, name = 'machine'): LifecycleState {
  const next = transitions[state][event];
  if (typeof next === 'string') return next;
  throw new HypervueError('invalid-state', `${name}: ${next.refuse}`, { object: name, operation: event, state });
}
