import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { AroundCache, alignedMemory } from './aroundcache.ts';
import { createExclusive } from './diskfile.ts';
import { beginWriteOut } from './fallocate.ts';
import { NodeFile } from './nodefile.ts';

vi.mock('./fallocate.ts', async (original) => {
  const module = await original<typeof import('./fallocate.ts')>();
  return { ...module, beginWriteOut: vi.fn(module.beginWriteOut) };
});
const calls = vi.mocked(beginWriteOut);

const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-behind-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const MIB = 1 << 20;

async function filled(name: string, writeBehind: boolean): Promise<NodeFile> {
  await (await createExclusive(path.join(folder, name))).close();
  const file = await NodeFile.open(path.join(folder, name), false, { writeBehind });
  for (let at = 0; at < 40; at++) await file.write(at * MIB, new Uint8Array(MIB).fill(at + 1));
  return file;
}

test('a file that is made in one go is sent to the disk on the way, and closed after that', async () => {
  await (await filled('plain', false)).close();
  expect(calls).not.toHaveBeenCalled();
  let sent = () => {};
  calls.mockImplementationOnce(
    () =>
      new Promise((resolve) => {
        sent = resolve;
      }),
  );
  const file = await filled('behind', true);
  // One at a time, and the first has not ended.
  expect(calls).toHaveBeenCalledTimes(1);
  let closed = false;
  const closing = file.close().then(() => {
    closed = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(closed).toBe(false);
  sent();
  await closing;
  const real = await filled('real', true);
  expect(calls.mock.calls.length).toBeGreaterThan(1);
  const last = new Uint8Array(1);
  await real.read(40 * MIB - 1, last);
  expect(last[0]).toBe(40);
  await real.sync();
  await real.close();
  expect(statSync(path.join(folder, 'real')).size).toBe(40 * MIB);
});

test('pieces that go around the cache and pieces that do not make one file, whatever their order', async () => {
  const around = vi.spyOn(AroundCache.prototype, 'write');
  const name = path.join(folder, 'mixed');
  await (await createExclusive(name)).close();
  const file = await NodeFile.open(name, false, { writeBehind: true });
  const model = Buffer.alloc(12 * MIB);
  const memory = alignedMemory(2 * MIB);
  let state = 5;
  const below = (limit: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  let length = 0;
  for (let step = 0; step < 300; step++) {
    const large = below(2) === 0;
    const bytes = large ? (64 + below(192)) * 4096 : 1 + below(9000);
    // To any place, and later from memory that begins at no block as well, which the system refuses.
    const source = memory.subarray(step > 150 && below(4) === 0 ? 8 : 0).subarray(0, bytes);
    source.fill(1 + below(255));
    const at = below(4) ? below((10 * MIB) / 4096) * 4096 : below(10 * MIB);
    await file.write(at, source);
    source.copy(model, at);
    length = Math.max(length, at + bytes);
    const from = below(length);
    const read = new Uint8Array(Math.min(1 + below(200_000), length - from));
    expect(await file.read(from, read)).toBe(read.length);
    expect(model.subarray(from, from + read.length).equals(read), `step ${step}`).toBe(true);
  }
  await file.sync();
  await file.close();
  expect(readFileSync(name).equals(model.subarray(0, length))).toBe(true);
  const results = await Promise.all(around.mock.results.map(({ value }) => value));
  expect(results.filter((bytes) => bytes > 0).length).toBeGreaterThan(20);
  expect(results.at(-1)).toBe(0);
});
