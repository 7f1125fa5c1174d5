import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LogEntry } from '../contract/vm.ts';
import { VmLog } from './vmlog.ts';

const MIB = 1024 * 1024;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hypervue-log-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const entry = (message: string, changes: Partial<LogEntry> = {}): LogEntry => ({
  time: '2026-01-02T03:04:05.678Z',
  level: 'info',
  scope: 'test',
  message,
  ...changes,
});
const at = (name: string) => path.join(folder, name);

test('the log of an earlier run comes before that of this one, also when both are asked for at once', async () => {
  const first = new VmLog(folder);
  first.add(entry('one', { level: 'guest', scope: 'a.b' }));
  first.add(entry('two: with: colons'));
  await first.flush();
  const second = new VmLog(folder);
  second.add(entry('three'));
  const both = await Promise.all([second.last(10), second.last(10)]);
  for (const lines of both)
    expect(lines).toEqual([entry('one', { level: 'guest', scope: 'a.b' }), entry('two: with: colons'), entry('three')]);
  await second.flush();
  expect(readFileSync(at('log'), 'utf8').trim().split('\n')).toHaveLength(3);
  expect(await new VmLog(folder).last(2)).toEqual([entry('two: with: colons'), entry('three')]);
});

test('an entry is one line without anything that a terminal obeys', async () => {
  const log = new VmLog(folder);
  log.add(entry('a\r\nfake line\x1b[2J\x07', { scope: 'x y\n' }));
  log.add(entry('z'.repeat(10_000), { scope: '' }));
  const [one, two] = await log.last(2);
  expect(one).toMatchObject({ message: 'a fake line [2J ', scope: 'x-y-' });
  expect(two!.message).toHaveLength(4000);
  await log.flush();
  expect(readFileSync(at('log'), 'utf8').split('\n')).toHaveLength(3);
});

test('a flood keeps memory and disk bounded, and its latest part', async () => {
  const log = new VmLog(folder);
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 500; i++) log.add(entry(`${round}.${i} ${'x'.repeat(300)}`));
    await log.flush();
  }
  const lines = await log.last(100_000);
  expect(lines).toHaveLength(2000);
  expect(lines.at(-1)!.message).toMatch(/^19\.499 /);
  expect(statSync(at('log')).size).toBeLessThanOrEqual(MIB);
  expect(statSync(at('log.1')).size).toBeLessThanOrEqual(MIB);
  expect(existsSync(at('log.2'))).toBe(false);
  // All at once, too.
  for (let i = 0; i < 20_000; i++) log.add(entry(`${i} ${'ü'.repeat(300)}`));
  await log.flush();
  expect(statSync(at('log')).size).toBeLessThanOrEqual(MIB);
  expect((await log.last(1))[0]!.message).toMatch(/^19999 /);
  for (const line of readFileSync(at('log'), 'utf8').trim().split('\n'))
    expect(line).toMatch(/^2026-01-02T03:04:05\.678Z info {2}test: \d/);
});

test('a log file that can not be written is told once, and the entries stay in memory', async () => {
  mkdirSync(at('log'));
  const log = new VmLog(folder);
  const failures: unknown[] = [];
  log.onFailure = (error) => failures.push(error);
  log.add(entry('one'));
  await log.flush();
  log.add(entry('two'));
  await log.flush();
  expect(failures).toHaveLength(1);
  expect((await log.last(10)).map(({ message }) => message)).toEqual(['one', 'two']);
  // With the trouble gone it writes again.
  rmSync(at('log'), { recursive: true });
  log.add(entry('three'));
  await log.flush();
  expect(readFileSync(at('log'), 'utf8')).toContain('three');
});

test('a damaged log file gives what can be read of it', async () => {
  writeFileSync(
    at('log'),
    Buffer.concat([Buffer.from('\0\xff garbage\n2026 info half\n'), Buffer.from('T info  s: good\n'), Buffer.alloc(300_000, 0xfe)]),
  );
  const lines = await new VmLog(folder).last(10);
  expect(lines.length).toBeLessThanOrEqual(1);
});
