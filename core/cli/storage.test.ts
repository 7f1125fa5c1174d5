import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { testCommand } from './testing/command.ts';

/** Pools, volumes, trash and copies of machines from the command line; each command opens the library itself. */
const { home, run } = testCommand();
// Each command is a process of its own.
vi.setConfig({ testTimeout: 180_000 });

test('a volume from its creation to the trash and back', async () => {
  const file = path.join(home, 'disks', 'a.qcow2');
  expect(await run('volume', 'create', 'a.qcow2', '64M')).toMatchObject({ code: 0, out: `${file}: 64 MiB, qcow2\n` });
  expect(await run('volume', 'clone', 'a.qcow2', 'b.qcow2', '--linked')).toMatchObject({ code: 0 });
  expect((await run('volume', 'list')).out).toMatch(/a\.qcow2 +default +qcow2 +64 MiB .* b\.qcow2/);
  expect((await run('volume', 'info', 'b.qcow2')).out).toContain(`on top of ${file}`);
  expect(await run('volume', 'delete', 'a.qcow2')).toMatchObject({ code: 1, err: expect.stringContaining('a.qcow2 is used by b.qcow2') });
  const { out } = await run('volume', 'delete', file.replace('a.', 'b.'), '--json');
  const { trashId } = JSON.parse(out) as { trashId: string };
  expect((await run('trash', 'list')).out).toMatch(new RegExp(`${trashId} +b\\.qcow2 +volume`));
  expect((await run('trash', 'empty', '--dry-run')).out).toMatch(/^- b\.qcow2 \(volume\) is deleted for good: .*\n.* become free\.\n$/);
  expect(await run('trash', 'remove', trashId, 'nothing', '--dry-run')).toMatchObject({ code: 1, err: expect.stringContaining('nothing') });
  expect((await run('trash', 'restore', trashId)).out.trim()).toBe(file.replace('a.', 'b.'));
  expect(await run('volume', 'resize', 'nothing', '1G')).toMatchObject({ code: 1, err: expect.stringContaining('volume list') });
});

test('pools, and a machine that is cloned, exported and imported', async () => {
  const folder = path.join(home, 'archive');
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'x.img'), Buffer.alloc(1 << 20));
  expect(await run('pool', 'add', 'Archive', folder)).toMatchObject({ code: 0, out: `Archive: ${folder}\n` });
  expect((await run('pool', 'list')).out).toMatch(/Archive +\S+ \S+ +\//);
  expect(await run('pool', 'remove', 'Archive')).toMatchObject({ code: 0 });
  expect(existsSync(path.join(folder, 'x.img'))).toBe(true);
  expect(await run('create', '--blank', '--name', 'One', '--memory', '32M', '--new-disk', '8M')).toMatchObject({ code: 0 });
  expect(await run('template', 'One')).toMatchObject({ code: 0, out: 'One: template\n' });
  expect(await run('clone', 'One', 'Two', '--linked')).toMatchObject({ code: 0, out: expect.stringContaining('Two: ') });
  expect(await run('template', 'One', '--off')).toMatchObject({ code: 1, err: expect.stringContaining('Two') });
  const exported = await run('export', 'Two', folder);
  expect(exported).toMatchObject({ code: 0, out: expect.stringContaining(path.join(folder, 'Two')) });
  expect(await run('export', 'Two', path.join(folder, 'Two.ova'))).toMatchObject({ code: 0, out: expect.stringContaining('Two.ova') });
  expect(await run('import', path.join(folder, 'Two'))).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^Two 2: .*\nTwo was taken; it is called Two 2/),
  });
});
