import { sendableKeys } from '../../../core/contract/sendablekeys.ts';

/** Key combinations of the console's menu, by the names that `vm.sendKeys` knows. */
export interface Chord {
  label: string;
  keys: readonly string[];
}

const labels: Record<string, string> = {
  ctrl: 'Ctrl',
  rctrl: 'Right Ctrl',
  alt: 'Alt',
  ralt: 'Right Alt',
  shift: 'Shift',
  rshift: 'Right Shift',
  super: 'Super',
  rmeta: 'Right Super',
  menu: 'Menu',
  esc: 'Esc',
  backspace: 'Backspace',
  tab: 'Tab',
  enter: 'Enter',
  space: 'Space',
  capslock: 'Caps Lock',
  numlock: 'Num Lock',
  scrolllock: 'Scroll Lock',
  print: 'Print Screen',
  sysrq: 'SysRq',
  pause: 'Pause',
  insert: 'Insert',
  delete: 'Del',
  home: 'Home',
  end: 'End',
  pageup: 'Page Up',
  pagedown: 'Page Down',
  up: '↑',
  down: '↓',
  left: '←',
  right: '→',
};

export const keyLabel = (key: string): string => labels[key] ?? key.toUpperCase();
export const chordLabel = (keys: readonly string[]): string => keys.map(keyLabel).join('+');
const chord = (...keys: string[]): Chord => ({ keys, label: chordLabel(keys) });

export const commonChords: readonly Chord[] = [
  chord('ctrl', 'alt', 'delete'),
  chord('ctrl', 'alt', 'backspace'),
  chord('alt', 'tab'),
  chord('alt', 'f4'),
  chord('ctrl', 'esc'),
  chord('ctrl', 'shift', 'esc'),
  chord('super'),
  chord('super', 'l'),
  chord('super', 'r'),
  chord('print'),
  chord('alt', 'print'),
  chord('pause'),
];

export const consoleChords: readonly Chord[] = Array.from({ length: 12 }, (_, i) => chord('ctrl', 'alt', `f${i + 1}`));

/** Letters of Linux' magic SysRq (Documentation/admin-guide/sysrq.rst); what each does is in the messages as `console.sysrq.<letter>`. */
export const sysrqLetters = ['r', 'e', 'i', 's', 'u', 'b', 'o', 'f', 'h', 'k', 'l', 'm', 'p', 't', 'w', 'c'] as const;
export const sysrqChord = (letter: string): Chord => chord('alt', 'sysrq', letter);

const codes: Record<string, string> = {
  ControlLeft: 'ctrl',
  ControlRight: 'rctrl',
  AltLeft: 'alt',
  AltRight: 'ralt',
  ShiftLeft: 'shift',
  ShiftRight: 'rshift',
  MetaLeft: 'super',
  MetaRight: 'rmeta',
  ContextMenu: 'menu',
  Escape: 'esc',
  PrintScreen: 'print',
  ArrowUp: 'up',
  ArrowDown: 'down',
  ArrowLeft: 'left',
  ArrowRight: 'right',
};

/** The key of a KeyboardEvent.code as `vm.sendKeys` names it; undefined for one it does not know. */
export function keyOfCode(code: string): string | undefined {
  const name = codes[code] ?? /^(?:Key|Digit)([A-Z0-9])$/.exec(code)?.[1]?.toLowerCase() ?? code.toLowerCase();
  return sendableKeys.includes(name) ? name : undefined;
}
