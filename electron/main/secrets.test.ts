import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { nullLogger } from '../../core/util/logger.ts';
import { Secrets } from './secrets.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hv-secrets-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const file = () => path.join(folder, 'secrets.json');

const turn = (text: string) => [...text].reverse().join('');
const open = (available = true, backend = 'kwallet5', platform: NodeJS.Platform = 'linux') =>
  new Secrets(
    {
      isEncryptionAvailable: () => available,
      getSelectedStorageBackend: () => backend,
      encryptString: (text: string) => Buffer.from(turn(text)),
      decryptString: (sealed: Buffer) => {
        if (sealed.toString().startsWith('!')) throw new Error('another key');
        return turn(sealed.toString());
      },
    } as never,
    folder,
    nullLogger,
    platform,
  );

test('a secret is there after a restart, sealed in a file that only its owner may read', async () => {
  const secrets = open();
  expect(secrets.lasting).toBe(true);
  await Promise.all([secrets.set('a', 'very secret'), secrets.set('b', 'another')]);
  expect(readFileSync(file(), 'utf8')).not.toContain('very secret');
  expect(statSync(file()).mode & 0o077).toBe(0);
  expect([open().get('a'), open().get('b')]).toEqual(['very secret', 'another']);
  await open().remove('a');
  expect([open().get('a'), open().get('b')]).toEqual([undefined, 'another']);
});

test.each([
  [false, 'gnome_libsecret', 'linux'],
  [true, 'basic_text', 'linux'],
  [true, 'unknown', 'linux'],
  [false, '', 'win32'],
] as const)('without a key store (%s, %s, %s) it is kept in memory only, and says so', async (available, backend, platform) => {
  const secrets = open(available, backend, platform);
  expect(secrets.lasting).toBe(false);
  await secrets.set('a', 'very secret');
  expect(secrets.get('a')).toBe('very secret');
  expect(() => readFileSync(file())).toThrow();
  expect(open(available, backend, platform).get('a')).toBeUndefined();
});

test('what can’t be opened any more is as good as gone, and nothing fails', () => {
  writeFileSync(file(), JSON.stringify({ a: Buffer.from('!x').toString('base64'), __proto__: 'x' }));
  const secrets = open();
  expect([secrets.get('a'), secrets.get('constructor'), secrets.get('none')]).toEqual([undefined, undefined, undefined]);
  writeFileSync(file(), 'garbage');
  expect(open().get('a')).toBeUndefined();
});
