import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { chooseLibrary, chosenLibraryFile } from './chosenlibrary.ts';
import { appFolders } from './folders.ts';

const root = mkdtempSync(path.join(tmpdir(), 'hv-chosen-'));
afterAll(() => rmSync(root, { recursive: true }));
const env = { HYPERVUE_HOME: path.join(root, 'home'), XDG_RUNTIME_DIR: root };

test('the folder that was chosen counts above the usual one, and one that is named above both', async () => {
  expect(appFolders(env)).toMatchObject({ library: path.join(root, 'home/machines'), libraryFrom: 'usual' });
  await chooseLibrary(appFolders(env).config, '/big/vms');
  expect(appFolders(env)).toMatchObject({ library: '/big/vms', libraryFrom: 'chosen', config: path.join(root, 'home') });
  expect(appFolders({ ...env, HYPERVUE_LIBRARY: '/named' })).toMatchObject({ library: '/named', libraryFrom: 'named' });
});

test.each(['', '{', '[]', 'null', '{"folder":7}', '{"folder":"vms"}'])('%j is no choice, and is not taken for none', (text) => {
  writeFileSync(chosenLibraryFile(path.join(root, 'home')), text);
  expect(() => appFolders(env)).toThrow(/library\.json, which says where the machines are kept/);
});
