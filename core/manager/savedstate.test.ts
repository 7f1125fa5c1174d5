import { existsSync, readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { VmSummary } from '../contract/vm.ts';
import { failureOf, Harness } from './testing/harness.ts';

let h: Harness;

beforeAll(async () => {
  h = await Harness.open();
});

afterAll(async () => {
  await h.close();
});

let count = 0;
const stateOf = ({ folder }: VmSummary) => path.join(folder, 'saved.state');

/** A machine with a disk that has something typed into it and was saved. */
async function saved(): Promise<VmSummary> {
  const made = await h.fake(`S${++count}`);
  writeFileSync(path.join(made.folder, 'disk.img'), Buffer.alloc(4096));
  const { id } = await h.call('vm.update', {
    id: made.id,
    patch: { drives: [{ id: 'ide0', kind: 'disk', path: 'disk.img', format: 'raw', readOnly: false }] },
  });
  await h.call('vm.start', { id });
  await h.call('vm.typeText', { id, text: 'kept' });
  return h.call('vm.saveState', { id });
}

describe('a saved machine', () => {
  test('says so, holds nothing, and goes on where it was', async () => {
    const vm = await saved();
    const { id } = vm;
    expect(vm).toMatchObject({ state: 'saved', problem: null, stats: null, display: null });
    expect(vm.saved!.bytes).toBeGreaterThan(0);
    expect(existsSync(path.join(vm.folder, '.lock'))).toBe(false);
    expect((await h.call('vm.start', { id })).state).toBe('running');
    expect((await h.call('vm.screenText', { id }))!.rows[1]).toBe('kept');
    expect(existsSync(stateOf(vm))).toBe(false);
    expect((await h.get(id)).saved).toBeNull();
    await h.call('vm.pause', { id });
    expect((await h.call('vm.saveState', { id })).state).toBe('saved');
    expect((await h.call('vm.start', { id })).state).toBe('paused');
    expect((await h.call('vm.forceOff', { id })).state).toBe('off');
  });

  test('is what all running ones become on the way out; one that can’t goes on', async () => {
    const [one, stuck] = [await h.fake(`S${++count}`), await h.fake(`S${++count}`, 'fake.no-save')];
    for (const { id } of [one, stuck]) await h.call('vm.start', { id });
    expect(await h.manager.saveAll()).toEqual([{ name: stuck.name, reason: expect.stringContaining('does not fit') }]);
    expect([(await h.get(one.id)).state, (await h.get(stuck.id)).state]).toEqual(['saved', 'running']);
    await h.call('vm.forceOff', { id: stuck.id });
    await h.call('vm.discardState', { id: one.id });
  });

  test('refuses what makes no sense, and can be discarded', async () => {
    const { id } = await saved();
    for (const verb of ['vm.pause', 'vm.resume', 'vm.shutdown', 'vm.reset', 'vm.forceOff', 'vm.saveState'] as const)
      expect(await failureOf(h.call(verb, { id })), verb).toMatchObject({ kind: 'invalid-state' });
    const discarded = await h.call('vm.discardState', { id });
    expect(discarded).toMatchObject({ state: 'off', saved: null });
    expect(existsSync(stateOf(discarded))).toBe(false);
    expect((await failureOf(h.call('vm.discardState', { id }))).kind).toBe('invalid-state');
    await h.call('vm.start', { id });
    expect((await h.call('vm.screenText', { id }))!.rows[1]).toBe('');
    await h.call('vm.forceOff', { id });
  });

  test('keeps its hardware, and may be renamed', async () => {
    const { id, name } = await saved();
    const error = await failureOf(h.call('vm.update', { id, patch: { memoryMiB: 99 } }));
    expect(error.dto).toMatchObject({ kind: 'invalid-state', fix: expect.stringContaining('discard') });
    expect((await failureOf(h.call('vm.update', { id, patch: { drives: [] } }))).kind).toBe('invalid-state');
    expect((await h.call('vm.update', { id, patch: { name: `${name} b` } })).name).toBe(`${name} b`);
  });

  test('whose vm.json was changed by hand is refused, and stays saved', async () => {
    const vm = await saved();
    const file = path.join(vm.folder, 'vm.json');
    const before = readFileSync(file, 'utf8');
    writeFileSync(file, before.replace(/"memoryMiB": \d+/, '"memoryMiB": 77'));
    const error = await failureOf(h.call('vm.start', { id: vm.id }));
    expect(error).toMatchObject({ kind: 'invalid-state', message: expect.stringContaining('77 now') });
    expect((await h.get(vm.id)).state).toBe('saved');
    writeFileSync(file, before);
    expect((await h.call('vm.start', { id: vm.id })).state).toBe('running');
    await h.call('vm.forceOff', { id: vm.id });
  });

  test('whose disk was changed meanwhile is refused, unless it was only copied', async () => {
    const vm = await saved();
    const disk = path.join(vm.folder, 'disk.img');
    utimesSync(disk, new Date(), new Date(Date.now() - 60_000));
    const error = await failureOf(h.call('vm.start', { id: vm.id }));
    expect(error.dto).toMatchObject({
      kind: 'invalid-state',
      message: expect.stringContaining('disk.img'),
      fix: expect.stringContaining('--despite-disks'),
    });
    expect((await h.get(vm.id)).state).toBe('saved');
    // As one of several, too.
    const startAll = (despiteDisks: string[]) => h.call('vm.bulk', { ids: [vm.id], action: { type: 'start', despiteDisks } });
    expect(await startAll([])).toMatchObject([{ error: { context: { reason: 'disks-changed' } } }]);
    expect(await startAll([vm.id])).toMatchObject([{ error: null }]);
    expect((await h.get(vm.id)).state).toBe('running');
    await h.call('vm.forceOff', { id: vm.id });
  });

  test('whose disk was only copied goes on when told so', async () => {
    const vm = await saved();
    utimesSync(path.join(vm.folder, 'disk.img'), new Date(), new Date(Date.now() - 60_000));
    expect((await h.call('vm.start', { id: vm.id, despiteDisks: true })).state).toBe('running');
    await h.call('vm.forceOff', { id: vm.id });
  });

  test('with a damaged state says so, and can be discarded', async () => {
    const vm = await saved();
    truncateSync(stateOf(vm), 40);
    const error = await failureOf(h.call('vm.start', { id: vm.id }));
    expect(error.dto).toMatchObject({ kind: 'corrupt', fix: expect.stringContaining('Discard') });
    expect((await h.call('vm.discardState', { id: vm.id })).state).toBe('off');
  });
});

test('a machine whose state does not fit on the disk goes on', async () => {
  const { id, folder } = await h.fake(`S${++count}`, 'fake.no-save');
  await h.call('vm.start', { id });
  expect((await failureOf(h.call('vm.saveState', { id }))).kind).toBe('no-space');
  expect((await h.get(id)).state).toBe('running');
  await h.call('vm.forceOff', { id });
  expect(existsSync(path.join(folder, 'saved.state'))).toBe(false);
});
