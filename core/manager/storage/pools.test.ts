import { existsSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { failureOf } from '../testing/harness.ts';
import { create, freshLibraries, h, MIB, pool, volume, volumes } from '../testing/storagebench.ts';

freshLibraries();

describe('pools', () => {
  test('the default one lies beside the machines and is made when it is first needed', async () => {
    const pools = await h.call('storage.pools', {});
    expect(pools.map(({ id, folder, problem }) => [id, folder, problem])).toEqual([
      ['default', pool, null],
      ['machines', h.library, null],
    ]);
    expect(pools[0]!.freeBytes).toBeGreaterThan(0);
    expect(existsSync(pool)).toBe(false);
    await create('a.qcow2');
    expect(readdirSync(pool)).toEqual(['a.qcow2']);
  });

  test('are added, renamed and removed, and kept over a restart; files stay', async () => {
    const folder = path.join(h.root, 'more');
    const added = await h.call('storage.addPool', { name: 'More', folder, create: true });
    expect(h.client.seen.at(-1)?.event).toBe('storage.changed');
    writeFileSync(path.join(folder, 'x.img'), Buffer.alloc(MIB));
    expect((await volume('x.img')).pool).toBe(added.id);
    await h.call('storage.renamePool', { id: added.id, name: 'Other' });
    await h.call('storage.renamePool', { id: 'default', name: 'Mine' });
    await h.reopen();
    expect((await h.call('storage.pools', {})).map(({ name }) => name)).toEqual(['Mine', '', 'Other']);
    await h.call('storage.removePool', { id: added.id });
    expect(existsSync(path.join(folder, 'x.img'))).toBe(true);
    expect((await volumes()).size).toBe(0);
  });

  test('that make no sense are refused with the reason', async () => {
    const folder = path.join(h.root, 'p');
    await h.call('storage.addPool', { name: 'P', folder, create: true });
    symlinkSync(folder, path.join(h.root, 'link'));
    writeFileSync(path.join(h.root, 'file'), '');
    const before = readdirSync(h.root);
    const refused: [object, string][] = [
      [{ name: 'p', folder: path.join(h.root, 'q'), create: true }, 'already-exists'],
      [{ name: 'Q', folder: path.join(h.root, 'link') }, 'already-exists'],
      [{ name: 'Q', folder: 'relative' }, 'invalid-argument'],
      [{ name: 'Q', folder: path.join(h.library, 'inside'), create: true }, 'invalid-argument'],
      [{ name: 'Q', folder: path.join(h.root, 'missing/deep') }, 'not-found'],
      [{ name: 'Q', folder: path.join(h.root, 'file/below'), create: true }, 'not-found'],
      [{ name: 'Q\n', folder }, 'already-exists'],
      [{ name: '', folder }, 'invalid-argument'],
      [{ name: 'Q', folder: '/a\0b' }, 'invalid-argument'],
    ];
    for (const [params, kind] of refused)
      expect([params, (await failureOf(h.call('storage.addPool', params as never))).kind]).toEqual([params, kind]);
    // What is refused leaves no folder behind, nor does asking for one that is missing.
    expect(readdirSync(h.root)).toEqual(before);
    expect(existsSync(path.join(h.library, 'inside'))).toBe(false);
    const missing = await failureOf(h.call('storage.addPool', { name: 'Q', folder: path.join(h.root, 'missing') }));
    expect(missing).toMatchObject({
      dto: { context: { reason: 'folder-missing' } },
      message: expect.stringContaining('missing does not exist'),
    });
    for (const id of ['default', 'machines'])
      expect((await failureOf(h.call('storage.removePool', { id }))).message).toContain('always there');
    expect((await failureOf(h.call('storage.create', { pool: 'machines', name: 'a', format: 'raw', sizeBytes: MIB }))).kind).toBe(
      'invalid-argument',
    );
  });

  test('whose folder is gone say so, and the others go on', async () => {
    const { id, folder } = await h.call('storage.addPool', { name: 'P', folder: path.join(h.root, 'p'), create: true });
    rmSync(folder, { recursive: true });
    await create('a.qcow2');
    const gone = (await h.call('storage.pools', {})).find((each) => each.id === id);
    expect(gone).toMatchObject({ freeBytes: null, problem: { kind: 'not-found', message: expect.stringContaining(folder) } });
    expect([...(await volumes()).keys()]).toEqual(['a.qcow2']);
  });
});
