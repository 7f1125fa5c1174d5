import { existsSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { failureOf, Harness } from './testing/harness.ts';

let h: Harness;
const chosen: string[] = [];
const open = async () => {
  chosen.length = 0;
  h = await Harness.open({ changeLibrary: async (folder) => void chosen.push(folder) });
  return (name: string) => path.join(realpathSync(h.root), name);
};

afterEach(() => h.close());

test('what another folder would mean is told before it is taken; one that is not there is made then', async () => {
  const at = await open();
  await h.create('one');
  expect((await h.call('host.info', {})).libraryChange.available).toBe(true);
  const there = await h.call('host.planLibrary', { path: at('new/deep') });
  expect(there).toMatchObject({ folder: at('new/deep'), missing: true, machines: 0, left: 1 });
  expect(existsSync(at('new'))).toBe(false);
  await h.call('host.setLibrary', { path: at('new/deep') });
  expect(existsSync(at('new/deep'))).toBe(true);
  // A link to it is the same folder.
  symlinkSync(at('new'), at('link'));
  await h.call('host.setLibrary', { path: at('link/deep') });
  expect(chosen).toEqual([at('new/deep'), at('new/deep')]);
  expect(await h.call('host.planLibrary', { path: path.dirname(h.library) })).toMatchObject({ missing: false, machines: 0 });
});

test('a folder that can’t be one of machines is refused by name, and nothing is made', async () => {
  const at = await open();
  const one = await h.create('one');
  writeFileSync(at('file'), '');
  mkdirSync(at('machine'));
  writeFileSync(at('machine/vm.json'), '{}');
  mkdirSync(at('closed'), { mode: 0o500 });
  const message = async (wanted: string) => (await failureOf(h.call('host.setLibrary', { path: wanted }))).message;
  expect(await message('vms')).toMatch(/^vms is not an absolute path/);
  expect(await message(h.library)).toMatch(/kept in .* already/);
  expect(await message(path.join(h.library, 'inner'))).toMatch(/lies in the library/);
  expect(await message(path.join(h.library, one.name))).toMatch(/lies in the library/);
  expect(await message(at('machine'))).toMatch(/is the folder of one machine/);
  expect(await message(at('file'))).toMatch(/is not a folder/);
  expect(await message(at('file/below'))).toContain(at('file'));
  expect(await message('/a\0b')).toContain('/a');
  if (process.getuid?.() !== 0) expect(await message(at('closed/new'))).toMatch(/may not be/);
  expect(chosen).toEqual([]);
  expect(existsSync(path.join(h.library, 'inner'))).toBe(false);
});

test('not while a machine is on; where nobody could begin again it says so', async () => {
  const at = await open();
  const { id } = await h.fake('busy');
  await h.call('vm.start', { id });
  await h.reaches(id, 'running');
  const refused = await failureOf(h.call('host.setLibrary', { path: at('new') }));
  expect(refused.message).toBe('machines are on: busy');
  expect(refused.dto.fix).toMatch(/Shut them down/);
  expect(existsSync(at('new'))).toBe(false);
  await h.call('vm.forceOff', { id });
  await h.reaches(id, 'off');
  await h.call('host.setLibrary', { path: at('new') });
  expect(chosen).toHaveLength(1);
  await h.close();

  h = await Harness.open();
  expect((await h.call('host.info', {})).libraryChange).toMatchObject({ available: false, said: { key: 'libraryShort' } });
  expect((await failureOf(h.call('host.setLibrary', { path: at('other') }))).kind).toBe('unsupported');
});
