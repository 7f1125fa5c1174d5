import { expect, test } from 'vitest';
import { chordOf, KeyGate, type KeyPress, normalChord } from './keygate.ts';

const press = (code: string, key: string, ...modifiers: ('ctrl' | 'alt' | 'shift' | 'meta')[]): KeyPress => ({
  code,
  key,
  ctrlKey: modifiers.includes('ctrl'),
  altKey: modifiers.includes('alt'),
  shiftKey: modifiers.includes('shift'),
  metaKey: modifiers.includes('meta'),
});
const ctrl = press('ControlLeft', 'Control', 'ctrl');
const alt = press('AltLeft', 'Alt', 'ctrl', 'alt');

test('a chord is written in one way, whatever the layout', () => {
  expect(chordOf(press('KeyT', 't', 'alt', 'ctrl'))).toBe('Ctrl+Alt+T');
  expect(chordOf(press('KeyT', 'е', 'ctrl'))).toBe('Ctrl+T');
  expect(chordOf(press('F11', 'F11'))).toBe('F11');
  expect(chordOf(press('Space', ' ', 'meta'))).toBe('Super+Space');
  expect(chordOf(press('Minus', '-', 'ctrl'))).toBe('Ctrl+-');
  expect(chordOf(ctrl)).toBeNull();
  expect(normalChord(' alt + ctrl+t')).toBe('Ctrl+Alt+T');
  expect(normalChord('WIN+pageup')).toBe('Super+PageUp');
  expect(normalChord('ctrl++')).toBe('Ctrl++');
  for (const wrong of ['', 'ctrl', 'ctrl+alt', 'ctrl+nokey', 'a+b']) expect(normalChord(wrong), wrong).toBeNull();
});

test('Ctrl and Alt alone give the keyboard back; with another key between them they are the guest’s', () => {
  const gate = new KeyGate();
  expect([gate.down(ctrl), gate.down(alt), gate.up(alt)]).toEqual(['guest', 'guest', 'release']);
  expect(gate.up(ctrl)).toBe('guest');
  const f2 = press('F2', 'F2', 'ctrl', 'alt');
  expect([gate.down(ctrl), gate.down(alt), gate.down(f2), gate.up(f2), gate.up(alt), gate.up(ctrl)]).toEqual(Array(6).fill('guest'));
  // AltGr of Windows is no release.
  const altGr = press('AltRight', 'AltGraph', 'ctrl', 'alt');
  expect([gate.down(ctrl), gate.down(altGr), gate.up(altGr), gate.up(ctrl)]).toEqual(Array(4).fill('guest'));
  // Held keys repeat.
  expect([gate.down(ctrl), gate.down(ctrl), gate.down(alt), gate.down(alt), gate.up(ctrl)].at(-1)).toBe('release');
});

test('the other release chords', () => {
  const gate = new KeyGate();
  gate.release = 'right-ctrl';
  const right = press('ControlRight', 'Control', 'ctrl');
  expect([gate.down(right), gate.up(right)]).toEqual(['guest', 'release']);
  const c = press('KeyC', 'c', 'ctrl');
  expect([gate.down(right), gate.down(c), gate.up(c), gate.up(right)]).toEqual(Array(4).fill('guest'));
  gate.release = 'ctrl-alt-g';
  const g = press('KeyG', 'g', 'ctrl', 'alt');
  expect([gate.down(ctrl), gate.down(alt), gate.down(g)]).toEqual(['guest', 'guest', 'release']);
});

test('chords on the list stay with the host, press and release', () => {
  const gate = new KeyGate();
  gate.passThrough = new Set(['F11', 'Alt+Tab']);
  const f11 = press('F11', 'F11');
  expect([gate.down(f11), gate.up(f11)]).toEqual(['host', 'host']);
  const tab = press('Tab', 'Tab', 'alt');
  expect([gate.down(press('AltLeft', 'Alt', 'alt')), gate.down(tab)]).toEqual(['guest', 'host']);
  gate.blur();
  const plainTab = press('Tab', 'Tab');
  expect([gate.down(plainTab), gate.up(plainTab)]).toEqual(['guest', 'guest']);
});
