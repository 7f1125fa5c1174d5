import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { appProtocolHandler } from './appprotocol.ts';
import { CONTENT_SECURITY_POLICY } from './security.ts';
import { APP_ORIGIN } from './windows.ts';

let folder: string;
let answer: (url: string) => Promise<Response>;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hypervue-protocol-'));
  const root = path.join(folder, 'renderer');
  mkdirSync(path.join(root, 'assets'), { recursive: true });
  writeFileSync(path.join(root, 'index.html'), '<p>here</p>');
  writeFileSync(path.join(root, 'assets', 'a b.js'), 'x');
  writeFileSync(path.join(root, 'assets', 'map.map'), 'x');
  writeFileSync(path.join(folder, 'secret.json'), 'secret');
  mkdirSync(path.join(folder, 'renderer-other'));
  writeFileSync(path.join(folder, 'renderer-other', 'secret.json'), 'secret');
  const handler = appProtocolHandler(root);
  answer = (url) => handler({ url });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the page and its parts come with a type and the policy', async () => {
  for (const url of [`${APP_ORIGIN}/`, `${APP_ORIGIN}/index.html`, `${APP_ORIGIN}/index.html?x=1#/machines`]) {
    const response = await answer(url);
    expect(await response.text()).toBe('<p>here</p>');
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(response.headers.get('content-security-policy')).toBe(CONTENT_SECURITY_POLICY);
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  }
  const script = await answer(`${APP_ORIGIN}/assets/a%20b.js`);
  expect([script.status, script.headers.get('content-type')]).toEqual([200, 'text/javascript; charset=utf-8']);
});

test('everything else is 404', async () => {
  for (const url of [
    `${APP_ORIGIN}/missing.js`,
    `${APP_ORIGIN}/assets`,
    `${APP_ORIGIN}/assets/map.map`,
    `${APP_ORIGIN}/%2e%2e%2fsecret.json`,
    `${APP_ORIGIN}/..%2frenderer-other/secret.json`,
    `${APP_ORIGIN}/%2e%2e%5csecret.json`,
    `${APP_ORIGIN}/index%00.html`,
    `${APP_ORIGIN}/%`,
    `${APP_ORIGIN}/%c0%ae.json`,
    'app://other/index.html',
    'app://hypervue.evil/index.html',
    'nonsense',
  ]) {
    const response = await answer(url);
    expect([response.status, await response.text()], url).toEqual([404, 'not found']);
  }
});
