import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { afterAll, expect, test, vi } from 'vitest';
import { NodeFile } from './nodefile.ts';
import { QuickIo } from './quickio.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-quick-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

test('quick files read and write what others do, to the end and over it', async () => {
  const file = path.join(folder, 'one');
  writeFileSync(file, Buffer.alloc(10_000, 7));
  const opened = await NodeFile.open(file, false, { quick: true });
  await turn();
  const target = new Uint8Array(new SharedArrayBuffer(4096));
  expect(await opened.read(8192, target)).toBe(10_000 - 8192);
  expect([target[1807], target[1808]]).toEqual([7, 0]);
  expect(await opened.read(20_000, target)).toBe(0);
  await opened.write(9_999, Uint8Array.of(1, 2, 3));
  await opened.close();
  expect([...readFileSync(file).subarray(9_998)]).toEqual([7, 1, 2, 3]);
  const readOnly = await NodeFile.open(file, true, { quick: true });
  await turn();
  await expect(readOnly.write(0, Uint8Array.of(1))).rejects.toMatchObject({ context: { path: file } });
  await readOnly.close();
});

test('after a slow request, in a turn that has lasted, and for long ones it says no', async () => {
  const file = path.join(folder, 'two');
  writeFileSync(file, Buffer.alloc(2 << 20, 7));
  const opened = await NodeFile.open(file, false, { quick: true });
  const { fd } = (opened as unknown as { handle: { fd: number } }).handle;
  let now = 1000;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
  try {
    await turn();
    const quick = new QuickIo(fd);
    const buffer = new Uint8Array(512);
    expect(quick.read(0, buffer)).toBe(512);
    expect(quick.read(0, new Uint8Array((1 << 20) + 1))).toBeUndefined();
    // This one takes three milliseconds.
    clock.mockImplementationOnce(() => now).mockImplementationOnce(() => (now += 3));
    expect(quick.read(0, buffer)).toBe(512);
    expect(quick.read(0, buffer)).toBeUndefined();
    now += 150;
    expect(quick.read(0, buffer)).toBeUndefined();
    now += 51;
    expect(quick.read(0, buffer)).toBe(512);
    // Another file in the same turn: one millisecond is left.
    const other = new QuickIo(fd);
    clock.mockImplementationOnce(() => now).mockImplementationOnce(() => (now += 1.5));
    expect(other.read(0, buffer)).toBe(512);
    expect(other.read(0, buffer)).toBeUndefined();
    await turn();
    expect(other.read(0, buffer)).toBe(512);
  } finally {
    clock.mockRestore();
    await opened.close();
  }
});
