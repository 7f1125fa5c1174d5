import type { ConsolePreferences } from '../../../core/contract/consolesettings.ts';

export type ReleaseChord = ConsolePreferences['consoleRelease'];
/** Where a key goes: to the guest, to the host's programs, or it gives the keyboard back. */
export type Verdict = 'guest' | 'host' | 'release';

/** The part of a KeyboardEvent that counts here. */
export interface KeyPress {
  key: string;
  code: string;
  ctrlKey: boolean;
  altKey: boolean;
  shiftKey: boolean;
  metaKey: boolean;
}

const modifierKeys = new Set(['Control', 'Alt', 'Shift', 'Meta', 'AltGraph', 'OS']);

/**
 * A chord as people write it, modifiers in one order: `Ctrl+Alt+T`, `F11`. Null for a modifier alone. Letters and digits are named by the key's place when the layout
 * gives it another script's character.
 */
export function chordOf(event: KeyPress): string | null {
  if (modifierKeys.has(event.key)) return null;
  const placed = /^(?:Key|Digit)([A-Z0-9])$/.exec(event.code)?.[1];
  const plain =
    event.key.length === 1 ? (/^[\x21-\x7e]$/.test(event.key) && !placed ? event.key.toUpperCase() : (placed ?? event.key)) : event.key;
  const name = plain === ' ' ? 'Space' : plain;
  return [event.ctrlKey && 'Ctrl', event.altKey && 'Alt', event.shiftKey && 'Shift', event.metaKey && 'Super', name]
    .filter(Boolean)
    .join('+');
}

/** A chord in the form of `chordOf`, however it is written: `alt + ctrl+t` is `Ctrl+Alt+T`. Null when there is no key in it. */
export function normalChord(text: string): string | null {
  // A plus sign is a key too: the last one, when nothing follows it.
  const parts = (text.trim().endsWith('++') ? [...text.trim().slice(0, -2).split('+'), '+'] : text.split('+'))
    .map((part) => part.trim())
    .filter(Boolean);
  if (text.trim() === '+') return '+';
  const aliases: Record<string, string> = {
    ctrl: 'Ctrl',
    control: 'Ctrl',
    alt: 'Alt',
    shift: 'Shift',
    super: 'Super',
    meta: 'Super',
    win: 'Super',
    cmd: 'Super',
  };
  const modifiers = new Set<string>();
  let key: string | null = null;
  for (const part of parts) {
    const modifier = aliases[part.toLowerCase()];
    if (modifier) modifiers.add(modifier);
    else if (key === null) key = part;
    else return null;
  }
  if (key === null) return null;
  const named = keyNames.find((name) => name.toLowerCase() === key!.toLowerCase());
  const name = key.length === 1 ? key.toUpperCase() : named;
  if (!name) return null;
  return [...['Ctrl', 'Alt', 'Shift', 'Super'].filter((each) => modifiers.has(each)), name].join('+');
}

/** Names of keys in the form of KeyboardEvent.key. */
const keyNames = [
  ...Array.from({ length: 12 }, (_, i) => `F${i + 1}`),
  ...['Escape', 'Tab', 'Enter', 'Space', 'Backspace', 'Delete', 'Insert', 'Home', 'End', 'PageUp', 'PageDown'],
  ...['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight', 'PrintScreen', 'ScrollLock', 'Pause', 'ContextMenu', 'CapsLock', 'NumLock'],
];

/** Decides for every key pressed over the guest's screen where it goes. */
export class KeyGate {
  release: ReleaseChord = 'ctrl-alt';
  /** In the form of `chordOf`. */
  passThrough: ReadonlySet<string> = new Set();
  private readonly held = new Set<string>();
  /** Codes whose press went to the host: their release goes there too. */
  private readonly withHost = new Set<string>();
  /** Only the keys of the release chord were pressed since the keyboard was free. */
  private alone = true;

  down(event: KeyPress): Verdict {
    if (!this.held.has(event.code)) {
      if (this.held.size === 0) this.alone = true;
      this.held.add(event.code);
    }
    if (!this.ofRelease(event.code)) this.alone = false;
    const chord = chordOf(event);
    if (chord === null) return 'guest';
    if (this.release === 'ctrl-alt-g' && event.code === 'KeyG' && event.ctrlKey && event.altKey && !event.shiftKey && !event.metaKey)
      return 'release';
    if (!this.passThrough.has(chord)) return 'guest';
    this.withHost.add(event.code);
    return 'host';
  }

  up(event: KeyPress): Verdict {
    const wasComplete = this.complete();
    this.held.delete(event.code);
    if (wasComplete && this.alone && this.ofRelease(event.code)) {
      this.alone = false;
      return 'release';
    }
    return this.withHost.delete(event.code) ? 'host' : 'guest';
  }

  /** The screen lost the keyboard: what is held is unknown from here on. */
  blur(): void {
    this.held.clear();
    this.withHost.clear();
    this.alone = true;
  }

  private ofRelease(code: string): boolean {
    return this.release === 'ctrl-alt'
      ? code === 'ControlLeft' || code === 'AltLeft'
      : this.release === 'right-ctrl' && code === 'ControlRight';
  }

  private complete(): boolean {
    // AltGr of Windows comes as the left Ctrl and the right Alt, so both have to be left ones.
    if (this.release === 'ctrl-alt') return this.held.has('ControlLeft') && this.held.has('AltLeft');
    return this.release === 'right-ctrl' && this.held.has('ControlRight');
  }
}
