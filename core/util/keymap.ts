/**
 * Keys of a US keyboard as XT scan codes in the form of InputSink.keyScancode: set 1 make codes, 0x80 | code for E0-prefixed keys.
 * Spec: IBM PS/2 Hardware Interface Technical Reference (scan code set 1); keysym numbers from X11/keysymdef.h.
 */
import { HypervueError } from './errors.ts';
import { say } from './say.ts';

export const LEFT_SHIFT = 0x2a;

export interface TypedKey {
  code: number;
  shift: boolean;
}

/** Runs of neighbouring keys: first code, plain characters, the same keys with Shift. */
const ROWS: readonly (readonly [number, string, string])[] = [
  [0x02, '1234567890-=', '!@#$%^&*()_+'],
  [0x10, 'qwertyuiop[]', 'QWERTYUIOP{}'],
  [0x1e, "asdfghjkl;'`", 'ASDFGHJKL:"~'],
  [0x2b, '\\zxcvbnm,./', '|ZXCVBNM<>?'],
];
const CONTROL_CHARACTERS: readonly (readonly [string, number])[] = [
  [' ', 0x39],
  ['\t', 0x0f],
  ['\n', 0x1c],
  ['\r', 0x1c],
  ['\b', 0x0e],
  ['\x7f', 0x0e],
  ['\x1b', 0x01],
];

const typed = new Map<string, TypedKey>();
for (const [first, plain, shifted] of ROWS)
  for (let i = 0; i < plain.length; i++) {
    typed.set(plain[i]!, { code: first + i, shift: false });
    typed.set(shifted[i]!, { code: first + i, shift: true });
  }
for (const [character, code] of CONTROL_CHARACTERS) typed.set(character, { code, shift: false });

/** The key for one character, or undefined when a US keyboard cannot type it. */
export function keyForCharacter(character: string): TypedKey | undefined {
  return typed.get(character);
}

/** Characters of `text` that a US keyboard cannot type, each once, in order of appearance. */
export function untypableIn(text: string): string[] {
  return [...new Set(text)].filter((character) => !typed.has(character));
}

/** The keys that type `text`, in order; CR LF counts as one Enter. Throws 'invalid-argument' naming what cannot be typed. */
export function strokesOfText(text: string): TypedKey[] {
  const untypable = untypableIn(text);
  if (untypable.length > 0)
    throw new HypervueError(
      'invalid-argument',
      say('untypable', {
        characters: untypable
          .slice(0, 5)
          .map((character) => `"${character}"`)
          .concat(untypable.length > 5 ? '...' : [])
          .join(', '),
      }),
      { operation: 'type text' },
      say('fixUsKeyboard'),
    );
  return [...text.replaceAll('\r\n', '\n')].map((character) => typed.get(character)!);
}

/** Names for "send key", lower case. Several names may mean one key. */
export const keyNames: { readonly [name: string]: number } = {
  esc: 0x01,
  escape: 0x01,
  backspace: 0x0e,
  tab: 0x0f,
  enter: 0x1c,
  return: 0x1c,
  ret: 0x1c,
  ctrl: 0x1d,
  control: 0x1d,
  shift: LEFT_SHIFT,
  alt: 0x38,
  space: 0x39,
  capslock: 0x3a,
  f1: 0x3b,
  f2: 0x3c,
  f3: 0x3d,
  f4: 0x3e,
  f5: 0x3f,
  f6: 0x40,
  f7: 0x41,
  f8: 0x42,
  f9: 0x43,
  f10: 0x44,
  f11: 0x57,
  f12: 0x58,
  numlock: 0x45,
  scrolllock: 0x46,
  sysrq: 0x54,
  rshift: 0x36,
  rctrl: 0x9d,
  ralt: 0xb8,
  altgr: 0xb8,
  print: 0xb7,
  printscreen: 0xb7,
  pause: 0xc6,
  home: 0xc7,
  up: 0xc8,
  pageup: 0xc9,
  pgup: 0xc9,
  left: 0xcb,
  right: 0xcd,
  end: 0xcf,
  down: 0xd0,
  pagedown: 0xd1,
  pgdn: 0xd1,
  insert: 0xd2,
  ins: 0xd2,
  delete: 0xd3,
  del: 0xd3,
  meta: 0xdb,
  super: 0xdb,
  win: 0xdb,
  rmeta: 0xdc,
  menu: 0xdd,
  minus: 0x0c,
  plus: 0x0d,
  equal: 0x0d,
  comma: 0x33,
  dot: 0x34,
  slash: 0x35,
  kp_multiply: 0x37,
  kp_7: 0x47,
  kp_8: 0x48,
  kp_9: 0x49,
  kp_subtract: 0x4a,
  kp_4: 0x4b,
  kp_5: 0x4c,
  kp_6: 0x4d,
  kp_add: 0x4e,
  kp_1: 0x4f,
  kp_2: 0x50,
  kp_3: 0x51,
  kp_0: 0x52,
  kp_decimal: 0x53,
  kp_enter: 0x9c,
  kp_divide: 0xb5,
};

/** Scan code of a key's name ("ctrl", "F1", "a"), or undefined. A single character means its key without Shift. */
export function scancodeOfKeyName(name: string): number | undefined {
  const lower = name.toLowerCase();
  if (Object.hasOwn(keyNames, lower)) return keyNames[lower];
  return name.length === 1 ? typed.get(lower)?.code : undefined;
}

/** A chord such as "ctrl-alt-delete" or "ctrl+alt+f1": codes in pressing order, or the part that is no key. */
export function parseChord(chord: string): { codes: number[] } | { unknown: string } {
  const codes: number[] = [];
  // After a key comes a separator; a sign where a key should stand is that key itself: "ctrl--".
  const parts = [...chord.matchAll(/([^-+]+|[-+])(?:[-+]|$)/g)].map((match) => match[1]!);
  for (const part of parts) {
    const code = scancodeOfKeyName(part.trim());
    if (code === undefined) return { unknown: part.trim() };
    codes.push(code);
  }
  return codes.length > 0 ? { codes } : { unknown: chord };
}

/** X11 keysyms of keys without a character. */
const KEYSYMS: { readonly [keysym: number]: number } = {
  65288: 0x0e, // BackSpace
  65289: 0x0f, // Tab
  65293: 0x1c, // Return
  65299: 0xc6, // Pause
  65300: 0x46, // Scroll_Lock
  65301: 0x54, // Sys_Req
  65307: 0x01, // Escape
  65360: 0xc7, // Home
  65361: 0xcb, // Left
  65362: 0xc8, // Up
  65363: 0xcd, // Right
  65364: 0xd0, // Down
  65365: 0xc9, // Page_Up
  65366: 0xd1, // Page_Down
  65367: 0xcf, // End
  65377: 0xb7, // Print
  65379: 0xd2, // Insert
  65383: 0xdd, // Menu
  65387: 0xc6, // Break
  65406: 0xb8, // Mode_switch
  65407: 0x45, // Num_Lock
  65421: 0x9c, // KP_Enter
  65429: 0x47, // KP_Home
  65430: 0x4b, // KP_Left
  65431: 0x48, // KP_Up
  65432: 0x4d, // KP_Right
  65433: 0x50, // KP_Down
  65434: 0x49, // KP_Page_Up
  65435: 0x51, // KP_Page_Down
  65436: 0x4f, // KP_End
  65437: 0x4c, // KP_Begin
  65438: 0x52, // KP_Insert
  65439: 0x53, // KP_Delete
  65450: 0x37, // KP_Multiply
  65451: 0x4e, // KP_Add
  65452: 0x53, // KP_Separator
  65453: 0x4a, // KP_Subtract
  65454: 0x53, // KP_Decimal
  65455: 0xb5, // KP_Divide
  65456: 0x52, // KP_0
  65457: 0x4f,
  65458: 0x50,
  65459: 0x51,
  65460: 0x4b,
  65461: 0x4c,
  65462: 0x4d,
  65463: 0x47,
  65464: 0x48,
  65465: 0x49, // KP_9
  65469: 0x0d, // KP_Equal
  65480: 0x57, // F11
  65481: 0x58, // F12
  65505: LEFT_SHIFT, // Shift_L
  65506: 0x36, // Shift_R
  65507: 0x1d, // Control_L
  65508: 0x9d, // Control_R
  65509: 0x3a, // Caps_Lock
  65511: 0x38, // Meta_L, where Alt is in most clients
  65512: 0xb8, // Meta_R
  65513: 0x38, // Alt_L
  65514: 0xb8, // Alt_R
  65515: 0xdb, // Super_L
  65516: 0xdc, // Super_R
  65535: 0xd3, // Delete
  65027: 0xb8, // ISO_Level3_Shift
  65056: 0x0f, // ISO_Left_Tab
};
const KEYSYM_F1 = 0xffbe;

/**
 * The key of a US keyboard that gives an X11 keysym, for RFB clients without QEMU's extended key events; undefined when there is none.
 * `shift` tells what the character needs (undefined: it does not matter); the client sends its own Shift events, which normally agree.
 */
export function keyForKeysym(keysym: number): { code: number; shift: boolean | undefined } | undefined {
  if (keysym >= KEYSYM_F1 && keysym < KEYSYM_F1 + 10) return { code: 0x3b + keysym - KEYSYM_F1, shift: undefined };
  const special = KEYSYMS[keysym];
  if (special !== undefined) return { code: special, shift: undefined };
  // Keysyms 20h..7eh are ASCII, 01000000h + code point is Unicode.
  const point = keysym >= 0x01000020 && keysym <= 0x0110ffff ? keysym - 0x01000000 : keysym;
  if (point < 0x20 || point > 0x7e) return undefined;
  return typed.get(String.fromCharCode(point));
}

/** `keyForKeysym` without the Shift. */
export function scancodeOfKeysym(keysym: number): number | undefined {
  return keyForKeysym(keysym)?.code;
}
