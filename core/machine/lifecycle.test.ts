import { describe, expect, it } from 'vitest';
import { type LifecycleEvent, type LifecycleState, transition, transitions } from './lifecycle.ts';

const states = Object.keys(transitions) as LifecycleState[];
const allEvents: LifecycleEvent[] = ['start', 'started', 'pause', 'resume', 'reset', 'powerButton', 'forceOff', 'ended', 'failed'];

describe('lifecycle', () => {
  it('answers every event in every state with a state or a reason', () => {
    for (const state of states)
      for (const event of allEvents) {
        const next = transitions[state][event];
        if (typeof next === 'string') expect(states).toContain(next);
        else expect(next.refuse.length).toBeGreaterThan(5);
      }
  });
  it('goes through a whole life', () => {
    let state: LifecycleState = 'off';
    for (const event of ['start', 'started', 'pause', 'resume', 'reset', 'powerButton', 'ended'] as const) state = transition(state, event);
    expect(state).toBe('off');
  });
  it('can start again after a crash', () => {
    expect(transition('crashed', 'start')).toBe('starting');
  });
  it('refuses with invalid-state and names the machine', () => {
    expect(() => transition('off', 'pause', 'web server')).toThrowError(/web server: the machine is off/);
  });
});
