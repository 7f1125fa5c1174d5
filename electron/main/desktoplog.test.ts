import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { desktopLog, logFile } from './desktoplog.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hypervue-log-'));
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

test('lines have time, level and scope; debug stays out; the folder is made', () => {
  const place = path.join(folder, 'not', 'yet');
  const log = desktopLog(place);
  log.debug('hidden');
  log.warn('careful');
  log.child('engine').error('broken');
  expect(readFileSync(logFile(place), 'utf8')).toMatch(/^\S+Z \[warn\] careful\n\S+Z \[error\] engine: broken\n$/);
});

test('a long log begins anew and keeps one predecessor', () => {
  writeFileSync(logFile(folder), 'x'.repeat(1024 * 1024 + 1));
  desktopLog(folder).info('new');
  expect(readFileSync(logFile(folder), 'utf8')).toMatch(/ new\n$/);
  expect(statSync(`${logFile(folder)}.1`).size).toBe(1024 * 1024 + 1);
});

test('a log that can’t be written is no failure', () => {
  mkdirSync(logFile(folder));
  expect(() => desktopLog(folder).error('lost')).not.toThrow();
});
