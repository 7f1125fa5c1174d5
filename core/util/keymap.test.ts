import { describe, expect, it } from 'vitest';
import { keyForCharacter, keyForKeysym, parseChord, scancodeOfKeyName, scancodeOfKeysym, strokesOfText, untypableIn } from './keymap.ts';

describe('US keymap', () => {
  it('types every printable ASCII character with one key of its own', () => {
    const keys = new Set<string>();
    for (let point = 0x20; point < 0x7f; point++) {
      const key = keyForCharacter(String.fromCharCode(point));
      expect(key, String.fromCharCode(point)).toBeDefined();
      keys.add(`${key!.code}/${key!.shift}`);
    }
    expect(keys.size).toBe(95);
    expect(keyForCharacter('a')).toEqual({ code: 0x1e, shift: false });
    expect(keyForCharacter('"')).toEqual({ code: 0x28, shift: true });
    expect(keyForCharacter('`')).toEqual({ code: 0x29, shift: false });
    expect(keyForCharacter('|')).toEqual({ code: 0x2b, shift: true });
    expect(keyForCharacter('/')).toEqual({ code: 0x35, shift: false });
    expect(keyForCharacter('0')).toEqual({ code: 0x0b, shift: false });
  });

  it('gives the keys of a text in order', () => {
    expect(strokesOfText('aB\r\n')).toEqual([
      { code: 0x1e, shift: false },
      { code: 0x30, shift: true },
      { code: 0x1c, shift: false },
    ]);
  });

  it('reports what cannot be typed, once each', () => {
    expect(untypableIn('l中文中é😀s')).toEqual(['中', '文', 'é', '😀']);
    expect(() => strokesOfText('l中文')).toThrow(
      expect.objectContaining({ kind: 'invalid-argument', message: expect.stringContaining('"中"') }),
    );
  });

  it('knows keys by name and chords', () => {
    expect(scancodeOfKeyName('F12')).toBe(0x58);
    expect(scancodeOfKeyName('Delete')).toBe(0xd3);
    expect(scancodeOfKeyName('x')).toBe(0x2d);
    expect(scancodeOfKeyName('constructor')).toBeUndefined();
    expect(parseChord('ctrl-alt-delete')).toEqual({ codes: [0x1d, 0x38, 0xd3] });
    expect(parseChord('Ctrl+Alt+F1')).toEqual({ codes: [0x1d, 0x38, 0x3b] });
    expect(parseChord('ctrl--')).toEqual({ codes: [0x1d, 0x0c] });
    expect(parseChord('ctrl-nokey')).toEqual({ unknown: 'nokey' });
    expect(parseChord('')).toEqual({ unknown: '' });
  });

  it('maps X11 keysyms', () => {
    expect(keyForKeysym(0x61)).toEqual({ code: 0x1e, shift: false });
    expect(keyForKeysym(0x41)).toEqual({ code: 0x1e, shift: true });
    expect(keyForKeysym(0xff0d)?.code).toBe(0x1c);
    expect(keyForKeysym(0xffbe)?.code).toBe(0x3b);
    expect(keyForKeysym(0xffc7)?.code).toBe(0x44);
    expect(keyForKeysym(0xffc9)?.code).toBe(0x58);
    expect(keyForKeysym(0x01000061)?.code).toBe(0x1e);
    expect(keyForKeysym(0x01004e2d)).toBeUndefined();
    expect(keyForKeysym(0xff)).toBeUndefined();
    expect(scancodeOfKeysym(0xffe1)).toBe(0x2a);
  });
});
