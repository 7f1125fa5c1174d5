import { readdir, readFile, readlink } from 'node:fs/promises';
import path from 'node:path';

/** Longest text of an attribute that is shown; devices choose some of them themselves. */
const MAX_TEXT = 256;

/** Names in a folder in an order that people expect (sda2 before sda10); none when it is gone or can't be read. */
export async function names(folder: string): Promise<string[]> {
  const found = await readdir(folder).catch(() => []);
  return found.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

/** An attribute as one line without control characters; empty when it is not there, or no longer. */
export async function attribute(...file: string[]): Promise<string> {
  const text = await readFile(path.join(...file), 'utf8').catch(() => '');
  return text
    .slice(0, MAX_TEXT)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim();
}

/** A decimal number, or null when it is none. */
export async function decimal(...file: string[]): Promise<number | null> {
  const text = await attribute(...file);
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** Hexadecimal digits, exactly so many, in lower case and without 0x; null when it is anything else. */
export async function hex(digits: number, ...file: string[]): Promise<string | null> {
  const text = (await attribute(...file)).toLowerCase().replace(/^0x/, '');
  return text.length === digits && /^[0-9a-f]+$/.test(text) ? text : null;
}

/** Last part of what a link leads to, such as the name of a driver; null without one. */
export async function linkName(...file: string[]): Promise<string | null> {
  const target = await readlink(path.join(...file)).catch(() => null);
  return target === null ? null : path.basename(target);
}
