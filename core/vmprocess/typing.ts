import type { InputSink } from '../backend/display.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { scancodeOfKeyName, strokesOfText } from '../util/keymap.ts';

/** Presses keys for people and scripts: text as US-layout keystrokes, and chords. One text is typed at a time. */
export class Typist {
  private readonly input: () => InputSink;
  private readonly sleep: (ms: number) => Promise<void>;
  private generation = 0;
  private queue: Promise<unknown> = Promise.resolve();

  constructor(input: () => InputSink, sleep: (ms: number) => Promise<void>) {
    this.input = input;
    this.sleep = sleep;
  }

  /** Resolves when the last key is up; rejects with 'cancelled', or 'invalid-argument' naming the first character without a key. `progress` counts keys. */
  type(text: string, delayMs: number, progress?: (done: number, total: number) => void): Promise<void> {
    const strokes = strokesOfText(text);
    const generation = this.generation;
    const run = this.queue.then(async () => {
      for (const [index, stroke] of strokes.entries()) {
        progress?.(index, strokes.length);
        if (generation !== this.generation) throw new HypervueError('cancelled', say('typingCancelled'), { operation: 'type text' });
        const sink = this.input();
        if (stroke.shift) sink.keyScancode(SHIFT, true);
        sink.keyScancode(stroke.code, true);
        sink.keyScancode(stroke.code, false);
        if (stroke.shift) sink.keyScancode(SHIFT, false);
        await this.sleep(delayMs);
      }
    });
    this.queue = run.catch(() => {});
    return run;
  }

  cancel(): void {
    this.generation++;
  }

  /** Presses `keys` in order, holds them briefly, releases in reverse. Rejects with 'invalid-argument' for an unknown key name. */
  async chord(keys: readonly string[]): Promise<void> {
    const codes = keys.map((key) => {
      const code = scancodeOfKeyName(key);
      if (code === undefined) throw new HypervueError('invalid-argument', say('noKey', { key }), { operation: 'send keys' }, say('fixKey'));
      return code;
    });
    const sink = this.input();
    for (const code of codes) sink.keyScancode(code, true);
    await this.sleep(50);
    for (const code of codes.reverse()) sink.keyScancode(code, false);
  }
}

/** Left shift, set-1 make code. */
const SHIFT = 0x2a;
