import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeFile, moveFile } from './newfile.ts';
import { withoutHardLinks } from './testing/nohardlinks.ts';

let linksAgain = () => {};
let folder: string;
const at = (name: string) => path.join(folder, name);

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hypervue-newfile-'));
});

afterEach(() => {
  linksAgain();
  rmSync(folder, { recursive: true, force: true });
});

describe.each([
  ['a new file', true],
  ['a new file where there are no hard links', false],
])('%s', (_name, links) => {
  beforeEach(() => {
    if (!links) linksAgain = withoutHardLinks();
  });

  test('appears whole, and nothing else stays', async () => {
    await makeFile(at('new'), async (temporary) => {
      writeFileSync(temporary, 'whole');
      expect(readdirSync(folder)).not.toContain('new');
    });
    expect(readFileSync(at('new'), 'utf8')).toBe('whole');
    expect(readdirSync(folder)).toEqual(['new']);
  });

  test('replaces nothing, also when two get the same name at once', async () => {
    writeFileSync(at('there'), 'precious');
    writeFileSync(at('mine'), 'mine');
    await expect(moveFile(at('mine'), at('there'))).rejects.toMatchObject({ kind: 'already-exists' });
    expect(readFileSync(at('there'), 'utf8')).toBe('precious');

    const names = Array.from({ length: 8 }, (_, index) => `from${index}`);
    for (const name of names) writeFileSync(at(name), name);
    const moved = await Promise.allSettled(names.map((name) => moveFile(at(name), at('to'))));
    const won = names.filter((_, index) => moved[index]!.status === 'fulfilled');
    expect(won).toHaveLength(1);
    expect(readFileSync(at('to'), 'utf8')).toBe(won[0]);
    // The others have what they had.
    for (const name of names.filter((name) => name !== won[0])) expect(readFileSync(at(name), 'utf8')).toBe(name);
  });

  test('a folder takes a free name only', async () => {
    mkdirSync(at('from'));
    writeFileSync(at('file'), 'precious');
    await expect(moveFile(at('from'), at('file'))).rejects.toMatchObject({ kind: 'already-exists' });
    await moveFile(at('from'), at('to'));
    expect(readdirSync(folder).sort()).toEqual(['file', 'to']);
  });
});
