import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ContractClient } from '../contract/client.ts';
import { methods } from '../contract/methods.ts';
import { errorKinds } from '../contract/errors.ts';
import { TestServer } from './testing/testserver.ts';

/** What a person or a forged page may send to a running server: strange names everywhere, and nonsense to every method. */
let server: TestServer;
let client: ContractClient;
let id = '';

beforeAll(async () => {
  server = await TestServer.open();
  client = (await server.signIn()).client;
  id = (await server.create(client, 'First')).id;
});
afterAll(() => server.close());

/** Good for a name that people read; none of them may leave its folder or hurt who lists it. */
const STRANGE = [
  '‮evil.exe‬',
  'שלום עולם',
  '🦊👩‍👩‍👧 𝒳',
  '..',
  '../../etc/passwd',
  '..\\..\\windows',
  '/etc/passwd',
  '<img src=x onerror=alert(1)>',
  '{name} @:said.plain | %s $(id) `id`',
  '__proto__',
  'constructor',
  'CON',
  "Robert'); DROP TABLE vms;--",
  'e\u0301' /* é in two characters */,
  '.hidden.',
];
/** Refused as the name of anything. */
const REFUSED = ['', '   ', 'a\nb', 'a\0b', '\x1b[2J', '\x7f', '\ud800 half a pair', '\u200b', 'x'.repeat(10_000)];

interface Failure {
  kind: string;
  message: string;
}
const failureOf = (call: Promise<unknown>): Promise<Failure | null> =>
  call.then(
    () => null,
    (error: Failure) => error,
  );

/** Calls with a name that may or may not be to the method's taste: done, or refused in order. */
async function inOrder(what: string, call: Promise<unknown>): Promise<boolean> {
  const failure = await failureOf(call);
  if (failure) expect([what, failure.kind, failure.message]).toEqual([what, expect.not.stringMatching('internal'), expect.any(String)]);
  return failure === null;
}
const untyped = (method: string, params: unknown) => (client.call as (method: string, params: unknown) => Promise<unknown>)(method, params);

test('machines with strange names are kept under them, inside the library', async () => {
  for (const name of STRANGE) {
    const vm = await server.create(client, name);
    expect(vm.name).toBe(name.trim());
    expect(path.dirname(vm.folder)).toBe(path.join(server.root, 'machines'));
    expect(path.basename(vm.folder)).not.toMatch(/[\p{Cc}\u202a-\u202e\u2066-\u2069/\\<>|]/u);
    expect((await client.call('vm.get', { id: vm.id })).name).toBe(vm.name);
    await client.call('vm.delete', { id: vm.id });
  }
  for (const name of REFUSED) {
    expect([name, (await failureOf(server.create(client, name)))?.kind]).toEqual([name, 'invalid-argument']);
    expect([name, (await failureOf(client.call('vm.update', { id, patch: { name } })))?.kind]).toEqual([name, 'invalid-argument']);
  }
});

test('so are tags, folders, views, notes, snapshots, tokens and pools; volumes never leave their pool', async () => {
  const pool = (await client.call('storage.pools', {})).find((each) => each.id === 'default')!.folder;
  for (const name of [...STRANGE, ...REFUSED]) {
    await inOrder(`tag ${name}`, client.call('vm.update', { id, patch: { tags: [name] } }));
    await inOrder(`group ${name}`, client.call('vm.update', { id, patch: { group: name } }));
    await inOrder(`notes ${name}`, client.call('vm.update', { id, patch: { description: name } }));
    await inOrder(`snapshot ${name}`, client.call('snapshot.take', { id, name, description: name, memory: false }));
    await inOrder(`token ${name}`, client.call('access.createToken', { name, role: 'view' }));
    await inOrder(`pool ${name}`, client.call('storage.addPool', { name, folder: path.join(server.root, 'pool'), create: true }));
    const made = await failureOf(
      client.call('storage.create', { pool: 'default', name, format: 'qcow2', sizeBytes: 1 << 20 }).then((volume) => {
        expect([name, path.dirname(volume.path)]).toEqual([name, pool]);
      }),
    );
    if (made) expect([name, made.kind]).toEqual([name, 'invalid-argument']);
  }
  expect(existsSync('/etc/passwd.qcow2')).toBe(false);
  expect(readdirSync(path.dirname(pool)).filter((name) => /passwd|windows|img src/.test(name))).toEqual([]);
  expect((await client.call('vm.get', { id })).id).toBe(id);
});

test('paths outside of what a method is for are refused by their own words, none is opened', async () => {
  for (const file of [
    'relative/file.qcow2',
    '../up.qcow2',
    '/proc/self/mem',
    '/dev/zero',
    '/dev/null',
    '/etc',
    '/a\0b',
    '',
    `/${'x/'.repeat(4000)}`,
  ]) {
    await inOrder(`info ${file}`, client.call('storage.info', { path: file }));
    expect([file, await failureOf(client.call('storage.download', { path: file }))]).not.toEqual([file, null]);
    expect([file, await failureOf(client.call('storage.delete', { path: file }))]).not.toEqual([file, null]);
    await inOrder(`medium ${file}`, client.call('host.inspectMedia', { path: file }));
    await inOrder(`browse ${file}`, client.call('host.browse', { path: file }));
    await inOrder(`import ${file}`, client.call('vm.inspectFolder', { folder: file } as never));
  }
});

/** No object that a schema asks for; `{}` alone is right for some. */
const FORGED: readonly (readonly [string, unknown])[] = [
  ['null', null],
  ['a number', 7],
  ['a text', 'x'],
  ['a list', []],
  ['a long list', Array.from({ length: 20_000 }, () => 0)],
  ['a long text', { id: 'x'.repeat(200_000), path: 'x'.repeat(200_000), name: 'x'.repeat(200_000) }],
  ['objects for texts', { id: {}, path: {}, name: [], pool: null, folder: 3, file: true }],
  ['lists for texts', { id: [id], ids: 'x', action: [], machines: {}, drives: {}, settings: [] }],
  ['prototype keys', JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"id":"x"}')],
  ['deep nesting', JSON.parse(`${'{"id":'.repeat(500)}1${'}'.repeat(500)}`)],
  ['numbers out of range', { id: 'x', sizeBytes: -1, memoryMiB: 1e308, delayMs: -5, seconds: 1e9, port: 2 ** 53 }],
];

test.each(FORGED)('every method takes %s for what it is, and the server goes on', async (_what, params) => {
  // Those that end something for all have nothing to be asked for here.
  for (const method of Object.keys(methods)) {
    const failure = await failureOf(untyped(method, params));
    if (failure) {
      expect([method, errorKinds]).toEqual([method, expect.arrayContaining([failure.kind])]);
      expect([method, failure.kind, failure.message]).toEqual([method, expect.not.stringMatching('internal'), expect.any(String)]);
      expect(failure.message.length).toBeLessThan(5000);
    }
  }
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
  expect((await client.call('vm.get', { id })).id).toBe(id);
});

test('a field too many changes nothing, and names of the prototype are no methods', async () => {
  const before = await client.call('vm.get', { id });
  await inOrder(
    'extra',
    untyped('vm.update', {
      id,
      admin: true,
      patch: { name: before.name, state: 'running', folder: '/etc', id: 'x', __proto__: { template: true } },
    }),
  );
  expect(await client.call('vm.get', { id })).toMatchObject({ state: before.state, folder: before.folder, name: before.name });
  for (const method of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '', 'vm', 'vm.', 'vm.__proto__', 'x'.repeat(100_000)])
    expect([method, (await failureOf(untyped(method, {})))?.kind]).toEqual([
      method,
      expect.stringMatching(/unsupported|invalid-argument|not-found/),
    ]);
});
