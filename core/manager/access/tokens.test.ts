import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { nullLogger } from '../../util/logger.ts';
import { AccessTokens } from './tokens.ts';

let folder: string;
let now = Date.parse('2026-01-01T00:00:00Z');
const open = () => AccessTokens.open(folder, nullLogger, () => now);
const file = () => path.join(folder, 'tokens.json');

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hv-tokens-'));
  now = Date.parse('2026-01-01T00:00:00Z');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('a secret is found after a restart, and is in no file', async () => {
  const { secret, token } = await (await open()).create('Li Hua', 'operate', null);
  expect(secret).toMatch(/^[\w-]{43}$/);
  expect(readFileSync(file(), 'utf8')).not.toContain(secret);
  expect(statSync(file()).mode & 0o077).toBe(0);
  const again = await open();
  expect(again.find(secret)).toEqual(token);
  expect(JSON.stringify(again.list())).not.toMatch(/hash/);
});

test('neither a wrong secret nor the hash itself opens anything', async () => {
  const tokens = await open();
  const { secret } = await tokens.create('a', 'view', null);
  const { hash } = JSON.parse(readFileSync(file(), 'utf8')).tokens[0];
  for (const guess of ['', 'a', hash, secret.slice(1), `${secret} `, secret.toUpperCase()])
    expect(tokens.find(guess), guess).toBeUndefined();
});

test('an expired token is refused from that moment on, and still listed', async () => {
  const tokens = await open();
  const { secret, token } = await tokens.create('guest', 'view', 2);
  now += 2 * 86_400_000 - 1;
  expect(tokens.find(secret)?.id).toBe(token.id);
  now += 1;
  expect([tokens.find(secret), tokens.valid(token.id)]).toEqual([undefined, false]);
  expect(tokens.list()).toHaveLength(1);
});

test('a revoked token is gone, and its name is free again', async () => {
  const tokens = await open();
  const { secret, token } = await tokens.create('guest', 'view', null);
  await expect(tokens.create('GUEST', 'manage', null)).rejects.toMatchObject({ kind: 'already-exists' });
  await tokens.revoke(token.id);
  expect([tokens.find(secret), tokens.valid(token.id), tokens.list()]).toEqual([undefined, false, []]);
  await expect(tokens.revoke(token.id)).rejects.toMatchObject({ kind: 'not-found' });
  await tokens.create('guest', 'view', null);
});

test('names that differ in case only are refused even when both come at once', async () => {
  const tokens = await open();
  const results = await Promise.allSettled(['x', 'X', 'x'].map((name) => tokens.create(name, 'view', null)));
  expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected']);
});

test('there is an end to tokens', async () => {
  const tokens = await open();
  for (let i = 0; i < 256; i++) await tokens.create(`t${i}`, 'view', null);
  await expect(tokens.create('one more', 'view', null)).rejects.toMatchObject({ kind: 'resource-limit' });
});

test('a file that makes no sense opens nothing and is kept aside', async () => {
  writeFileSync(file(), '{"tokens":[{"role":"root"}]}');
  expect((await open()).list()).toEqual([]);
  expect(readFileSync(`${file()}.unreadable`, 'utf8')).toContain('root');
});
