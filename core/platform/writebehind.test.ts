import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
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
