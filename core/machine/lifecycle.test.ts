import { describe, expect, it } from 'vitest';
import { type LifecycleEvent, type LifecycleState, transition, transitions } from './lifecycle.ts';

const EVENTS = ['start', 'started', 'pause', 'resume', 'reset', 'powerButton', 'forceOff', 'ended', 'failed'] as const;

/** The whole table once more, by hand: the state after each event of EVENTS, or '-' where it is refused. */
const EXPECTED: Record<LifecycleState, string> = {
  off: 'starting - - - - - - off crashed',
  starting: '- running - - - - stopping off crashed',
  running: '- - paused - running running stopping off crashed',
  paused: '- - - running paused - stopping off crashed',
  stopping: '- stopping - - - - stopping off crashed',
  crashed: 'starting - - - - - off off crashed',
};
const STATES = Object.keys(EXPECTED) as LifecycleState[];
const cells = STATES.flatMap((state) => EVENTS.map((event, index) => ({ state, event, next: EXPECTED[state].split(' ')[index]! })));

function attempt(state: LifecycleState, event: LifecycleEvent): LifecycleState | undefined {
  try {
    return transition(state, event);
  } catch {
    return undefined;
  }
}

describe('lifecycle', () => {
  it('has exactly these states and events', () => {
    expect(Object.keys(transitions).sort()).toEqual([...STATES].sort());
    for (const state of STATES) expect(Object.keys(transitions[state]).sort()).toEqual([...EVENTS].sort());
    for (const row of Object.values(EXPECTED)) expect(row.split(' ')).toHaveLength(EVENTS.length);
  });

  it.each(cells)('$state + $event -> $next', ({ state, event, next }) => {
    if (next !== '-') expect(transition(state, event)).toBe(next);
    else
      expect(() => transition(state, event, 'web server')).toThrow(
        expect.objectContaining({
          kind: 'invalid-state',
          message: expect.stringMatching(/^web server: the machine (is|has) \w+/),
          context: { object: 'web server', operation: event, state },
        }),
      );
  });

  it('never refuses bad news: a process may die or end in any state', () => {
    for (const state of STATES) {
      expect(transition(state, 'failed')).toBe('crashed');
      expect(transition(state, 'ended')).toBe('off');
    }
  });

  it('can be left from every state and reached from every other', () => {
    for (const from of STATES) {
      const reached = new Set<LifecycleState>([from]);
      for (const state of reached)
        for (const event of EVENTS) {
          const next = attempt(state, event);
          if (next) reached.add(next);
        }
      expect([...reached].sort()).toEqual([...STATES].sort());
    }
  });

  it('a machine that the user forces off while it starts does not come up after all', () => {
    let state: LifecycleState = 'off';
    for (const event of ['start', 'forceOff', 'started', 'ended'] as const) state = transition(state, event);
    expect(state).toBe('off');
  });
});
