import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach } from 'vitest';
import { Guest, type GuestOptions } from './guest.ts';

export interface StartedGuests {
  /** For the files of all tests; it goes after them. */
  folder: string;
  /** Runs after the test, the last first, however it ended. */
  atEnd(end: () => void | Promise<void>): void;
  /** A guest that ends with the test. */
  start(options: GuestOptions): Promise<Guest>;
}

/** Guests of the tests of one file; called once in it. `name` is in the name of the folder. */
export function startedGuests(name: string): StartedGuests {
  const folder = mkdtempSync(path.join(tmpdir(), `hypervue-${name}-`));
  const ends: (() => void | Promise<void>)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return {
    folder,
    atEnd: (end) => void ends.push(end),
    start(options) {
      const guest = new Guest(options);
      ends.push(() => guest.end());
      return guest.start();
    },
  };
}
