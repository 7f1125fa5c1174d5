import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { diagnosticIds } from '../../contract/diagnostics.ts';
import { failureOf, Harness } from '../testing/harness.ts';
import { plain } from '../../util/say.ts';

let h: Harness;
beforeEach(async () => {
  h = await Harness.open();
});
afterEach(() => h.close());

const check = async (id: string) => (await h.call('host.diagnose', {})).find((each) => each.id === id)!;

test('every check answers, and what is missing says what to do', async () => {
  const checks = await h.call('host.diagnose', {});
  expect(checks.map(({ id }) => id)).toEqual([...diagnosticIds]);
  for (const { state, how, message } of checks) {
    expect(message).not.toBe('');
    if (state === 'warning' || state === 'error') expect(how).toBeTruthy();
  }
  expect(checks.find(({ id }) => id === 'library')).toMatchObject({ state: 'ok', message: h.library });

  h.firmware = { available: false, folder: '', reason: plain('no bios'), fix: plain('Install one.') };
  h.uefi = { available: false, folder: '', reason: plain('no uefi') };
  expect(await check('firmware')).toMatchObject({ state: 'error', how: 'Install one.', fixable: false });
  // Machines do without UEFI.
  expect(await check('uefi')).toMatchObject({ state: 'warning' });
});

test('a folder that is gone is made; a file in its place is left for people', async () => {
  const locks = path.join(h.root, 'locks');
  rmSync(locks, { recursive: true, force: true });
  expect(await check('locks')).toMatchObject({ state: 'info', fixable: true });
  expect(await h.call('host.fix', { id: 'locks' })).toMatchObject({ state: 'ok', message: locks });
  rmSync(locks, { recursive: true });
  writeFileSync(locks, 'not a folder');
  expect(await check('locks')).toMatchObject({ state: 'error', fixable: false });
  expect((await failureOf(h.call('host.fix', { id: 'locks' }))).dto).toMatchObject({
    kind: 'unsupported',
    fix: expect.stringContaining('Move'),
  });
  rmSync(locks);
  mkdirSync(locks);
});

test('a clock behind the files of machines is told', async () => {
  const { folder } = await h.create('from the future');
  expect((await check('clock')).message).not.toContain('newer');
  const future = Date.now() / 1000 + 86_400;
  utimesSync(path.join(folder, 'vm.json'), future, future);
  expect(await check('clock')).toMatchObject({ state: 'error', how: expect.stringContaining('clock') });
});

test('what can’t be mended, and what is no check, is refused', async () => {
  h.uefi = { available: false, folder: '', reason: plain('no uefi') };
  expect((await failureOf(h.call('host.fix', { id: 'uefi' }))).dto.kind).toBe('unsupported');
  expect((await failureOf(h.call('host.fix', { id: '../etc' as never }))).dto.kind).toBe('invalid-argument');
});
