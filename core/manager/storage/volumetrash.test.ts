import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { acquireLock } from '../../platform/locks.ts';
import { mountSmall } from '../../platform/testing/smalldisk.ts';
import { failureOf, Harness } from '../testing/harness.ts';
import { create, freshLibraries, h, MIB, pool } from '../testing/storagebench.ts';

freshLibraries();

describe('the trash', () => {
  test('takes volumes and machines and gives them back', async () => {
    const { path: file } = await create('a.qcow2');
    const vm = await h.create('Gone', { newDisk: { sizeBytes: 4 * MIB } });
    const { trashId } = await h.call('storage.delete', { path: file });
    await h.call('vm.delete', { id: vm.id });
    expect(existsSync(file)).toBe(false);
    const items = await h.call('trash.list', {});
    expect(items.map(({ kind, name, from }) => [kind, name, from])).toEqual([
      ['machine', 'Gone', vm.folder],
      ['volume', 'a.qcow2', file],
    ]);
    expect(items[0]!.files).toContain('disk.qcow2');
    expect(items[1]!.sizeBytes).toBeGreaterThan(0);
    // Somebody took the name meanwhile.
    await create('a.qcow2');
    expect(await h.call('trash.restore', { id: trashId })).toEqual({ path: path.join(pool, 'a 2.qcow2') });
    expect(await h.call('trash.restore', { id: items[0]!.id })).toEqual({ path: vm.folder });
    expect((await h.call('vm.list', {})).map(({ name }) => name)).toEqual(['Gone']);
    expect(await h.call('trash.list', {})).toEqual([]);
    expect((await failureOf(h.call('trash.restore', { id: trashId }))).kind).toBe('not-found');
  });

  test('takes things from a disk without a byte left, gives them back, and makes room when it forgets them', async ({ skip }) => {
    const small = mountSmall(8 * MIB) ?? skip('only root may mount a small file system');
    const full = await Harness.open({ library: path.join(small.folder, 'machines') });
    try {
      const vm = await full.create('Gone', { newDisk: { sizeBytes: 4 * MIB } });
      const used = await full.create('Elsewhere', {});
      const made = await full.call('storage.create', { pool: 'default', name: 'a.qcow2', format: 'qcow2', sizeBytes: 16 * MIB });
      small.fill();
      const { trashId } = await full.call('storage.delete', { path: made.path });
      await full.call('vm.delete', { id: vm.id });
      const items = await full.call('trash.list', {});
      expect(items.map(({ kind, name, from }) => [kind, name, from]).sort()).toEqual([
        ['machine', 'Gone', vm.folder],
        ['volume', 'a.qcow2', made.path],
      ]);
      expect(await full.call('trash.restore', { id: trashId })).toEqual({ path: made.path });
      await full.call('trash.remove', { ids: [items.find(({ kind }) => kind === 'machine')!.id] });
      expect((await full.call('storage.pools', {}))[0]!.freeBytes).toBeGreaterThan(0);
      // Somebody who has it still keeps it.
      small.fill();
      const lock = path.join(used.folder, '.lock');
      rmSync(path.join(small.folder, 'filler'));
      const held = acquireLock(lock, 'Elsewhere', 'somebody');
      small.fill();
      expect(await failureOf(full.call('vm.delete', { id: used.id }))).toMatchObject({ kind: 'in-use' });
      held.dispose();
    } finally {
      await full.close();
      small.unmount();
    }
  });

  test('gives back what lies on something else only onto that, and keeps what something in it needs', async () => {
    const { path: base } = await create('base.qcow2');
    const top = await h.call('storage.linkedClone', { path: base, pool: 'default', name: 'top.qcow2' });
    const upper = (await h.call('storage.delete', { path: top.path })).trashId;
    const lower = (await h.call('storage.delete', { path: base })).trashId;
    expect((await failureOf(h.call('trash.restore', { id: upper }))).message).toBe(`top.qcow2 lies on ${base}, which is in the trash too`);
    expect((await failureOf(h.call('trash.remove', { ids: [lower] }))).kind).toBe('in-use');
    // Something else of that name: what lies on the old one would read it.
    await create('base.qcow2');
    expect((await failureOf(h.call('trash.restore', { id: upper }))).kind).toBe('invalid-state');
    expect((await failureOf(h.call('trash.restore', { id: lower }))).kind).toBe('already-exists');
    await h.call('storage.delete', { path: base });
    expect(await h.call('trash.restore', { id: lower })).toEqual({ path: base });
    expect(await h.call('trash.restore', { id: upper })).toEqual({ path: top.path });
    // Both at once may go.
    const ids = [];
    for (const file of [top.path, base]) ids.push((await h.call('storage.delete', { path: file })).trashId);
    await h.call('trash.remove', { ids: [...ids].reverse() });
    expect((await h.call('trash.list', {})).map(({ name }) => name)).toEqual(['base.qcow2']);
  });

  test('a linked clone of a machine comes back after its original only', async () => {
    const vm = await h.create('Original', { newDisk: { sizeBytes: 4 * MIB, format: 'qcow2' } });
    const clone = await h.call('vm.clone', { id: vm.id, name: 'Linked', linked: true });
    const upper = (await h.call('vm.delete', { id: clone.id })).trashId;
    const lower = (await h.call('vm.delete', { id: vm.id })).trashId;
    expect((await failureOf(h.call('vm.restore', { trashId: upper }))).message).toContain('which is in the trash too');
    expect((await failureOf(h.call('trash.restore', { id: upper }))).message).toContain('which is in the trash too');
    expect((await failureOf(h.call('trash.remove', { ids: [lower] }))).kind).toBe('in-use');
    await h.call('vm.restore', { trashId: lower });
    await h.call('vm.restore', { trashId: upper });
    expect((await h.call('vm.list', {})).map(({ name }) => name).sort()).toEqual(['Linked', 'Original']);
  });

  test('forgets for good what it is told, and nothing else', async () => {
    const ids: string[] = [];
    for (const name of ['a.qcow2', 'b.qcow2']) ids.push((await h.call('storage.delete', { path: (await create(name)).path })).trashId);
    for (const id of ['../..', '.', ids[0]!.replace(/.$/, 'x'), ''])
      expect((await failureOf(h.call('trash.remove', { ids: [id] }))).kind).toBe('not-found');
    await h.call('trash.remove', { ids: [ids[0]!] });
    expect((await h.call('trash.list', {})).map(({ name }) => name)).toEqual(['b.qcow2']);
    expect(existsSync(h.library)).toBe(true);
  });

  test('does not believe a record about places elsewhere', async () => {
    const { path: file } = await create('a.qcow2');
    const { trashId } = await h.call('storage.delete', { path: file });
    const record = path.join(pool, '.trash', trashId, '.deleted.json');
    writeFileSync(record, JSON.stringify({ from: '/etc/a.qcow2', deletedAt: new Date().toISOString() }));
    expect(await h.call('trash.restore', { id: trashId })).toEqual({ path: file });
  });

  test('shows nothing of a deletion that was cut off before it moved anything', async () => {
    const { path: file } = await create('a.qcow2');
    const place = path.join(pool, '.trash', randomUUID());
    mkdirSync(place, { recursive: true });
    writeFileSync(path.join(place, '.deleted.json.0123456789ab.tmp'), '{"from":');
    expect(await h.call('trash.list', {})).toEqual([]);
    expect(existsSync(file)).toBe(true);
  });

  test('of before there were records still works', async () => {
    const vm = await h.create('Old');
    const { trashId } = await h.call('vm.delete', { id: vm.id });
    rmSync(path.join(h.library, '.trash', trashId, '.deleted.json'));
    expect(await h.call('trash.list', {})).toMatchObject([{ kind: 'machine', name: 'Old' }]);
    expect((await h.call('vm.restore', { trashId })).name).toBe('Old');
  });
});
