import { describe, expect, it } from 'vitest';
import type { ViewingAction } from '../contract/console.ts';
import { ViewerDesk } from './viewerdesk.ts';

function setUp() {
  const desk = new ViewerDesk('test machine');
  let changes = 0;
  desk.onChange.on(() => changes++);
  const join = (name: string, more: { looking?: boolean; limited?: boolean; recording?: boolean } = {}) =>
    desk.join({ name, origin: 'window', key: `key-of-${name}`, ...more });
  const act = (name: string, action: ViewingAction, viewer?: string) => desk.act(`key-of-${name}`, action, viewer);
  return { desk, join, act, changes: () => changes };
}
const failure = (action: () => void) => {
  try {
    action();
  } catch (error) {
    return (error as { kind: string }).kind;
  }
  return null;
};

describe('who may use a machine', () => {
  it('tells a recording from people', () => {
    const { desk, join } = setUp();
    join('anna');
    join('anna records', { looking: true, recording: true });
    expect(desk.list().viewers.map(({ recording }) => recording)).toEqual([false, true]);
  });

  it('is everybody who wants to, until one takes it alone', () => {
    const { desk, join, act } = setUp();
    const anna = join('anna');
    const ben = join('ben');
    const guest = join('guest', { looking: true });
    expect([anna.control, ben.control, guest.control]).toEqual([true, true, false]);
    act('anna', 'hold');
    expect([anna.control, ben.control]).toEqual([true, false]);
    expect(desk.list().holder).toBe(anna.id);
    expect(failure(() => act('ben', 'hold'))).toBe('invalid-state');
    expect(failure(() => act('ben', 'share'))).toBe('invalid-state');
    act('anna', 'share');
    expect([anna.control, ben.control, guest.control]).toEqual([true, true, false]);
  });

  it('can be asked for: yes shares, no is told, and only the holder answers', () => {
    const { desk, join, act } = setUp();
    const anna = join('anna');
    const ben = join('ben');
    join('carl');
    act('anna', 'hold');
    act('ben', 'ask');
    act('carl', 'ask');
    const of = (id: string) => desk.list().viewers.find((viewer) => viewer.id === id)!;
    expect(of(ben.id).asking).toBe(true);
    expect(failure(() => act('carl', 'allow', ben.id))).toBe('invalid-state');
    act('anna', 'refuse', ben.id);
    expect(of(ben.id)).toMatchObject({ asking: false, refused: true, control: false });
    expect(failure(() => act('anna', 'allow', ben.id))).toBe('not-found');
    act('ben', 'ask');
    expect(of(ben.id)).toMatchObject({ asking: true, refused: false });
    act('anna', 'allow', ben.id);
    expect([anna.control, ben.control]).toEqual([true, true]);
    expect(desk.list().viewers.some(({ asking }) => asking)).toBe(false);
  });

  it('is free again when the holder only looks, or goes', () => {
    const { desk, join, act } = setUp();
    const anna = join('anna');
    const ben = join('ben');
    act('anna', 'hold');
    act('anna', 'look');
    expect([anna.control, ben.control]).toEqual([false, true]);
    act('anna', 'hold');
    act('ben', 'ask');
    anna.leave();
    anna.leave();
    expect(ben.control).toBe(true);
    expect(desk.list().viewers.map(({ id, asking }) => [id, asking])).toEqual([[ben.id, false]]);
  });

  it('is never one who is only allowed to look', () => {
    const { join, act } = setUp();
    const seat = join('guest', { limited: true });
    for (const action of ['share', 'hold', 'ask'] as const) expect(failure(() => act('guest', action))).toBe('permission-denied');
    expect(seat.control).toBe(false);
  });

  it('knows a window that connects again by its newest connection, and nobody by a key that is not there', () => {
    const { desk, join } = setUp();
    join('anna');
    const again = join('anna');
    expect(desk.idOf('key-of-anna')).toBe(again.id);
    expect(failure(() => desk.act('another-key', 'hold'))).toBe('not-found');
    expect(JSON.stringify(desk.list())).not.toContain('key-of');
  });
});
