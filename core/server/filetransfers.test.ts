import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ContractClient } from '../contract/client.ts';
import { parseRange } from './filetransfers.ts';
import { eventually, TestServer, within } from './testing/testserver.ts';

const MIB = 1024 * 1024;
let server: TestServer;
let client: ContractClient;
let pool: string;

beforeAll(async () => {
  server = await TestServer.open();
  ({ client } = await server.signIn());
  pool = path.join(server.root, 'disks');
  mkdirSync(pool);
});
afterAll(() => server.close());

const kindOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing was refused',
    (error) => error.kind ?? error.dto?.kind ?? String(error),
  );
const url = (kind: string, ticket: string) => `${server.server.url}${kind}/${ticket}`;
const put = (ticket: string, body: Uint8Array<ArrayBuffer>) => fetch(url('upload', ticket), { method: 'PUT', body });
const hidden = () => readdirSync(pool).filter((name) => name.startsWith('.'));

test('a file is downloaded whole or in parts, under its own name, however strange', async () => {
  const name = 'Größe "1"; 磁盘 %41.img';
  const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * 7) & 255));
  writeFileSync(path.join(pool, name), bytes);
  const offer = await client.call('storage.download', { path: path.join(pool, name) });
  expect(offer).toMatchObject({ name, sizeBytes: bytes.length });
  const whole = await fetch(`${url('download', offer.ticket)}/anything`);
  expect(whole.status).toBe(200);
  expect(Buffer.from(await whole.arrayBuffer()).equals(bytes)).toBe(true);
  const disposition = whole.headers.get('content-disposition')!;
  expect(decodeURIComponent(/filename\*=UTF-8''(\S+)$/.exec(disposition)![1]!)).toBe(name);
  expect(/filename="([^"]*)";/.exec(disposition)![1]).not.toMatch(/[";\\]/);
  expect(whole.headers.get('x-content-type-options')).toBe('nosniff');
  const part = async (range: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(url('download', offer.ticket), { headers: { range, ...headers } });
    return [answer.status, answer.headers.get('content-range'), Buffer.from(await answer.arrayBuffer())] as const;
  };
  expect(await part('bytes=100-199')).toEqual([206, 'bytes 100-199/70000', bytes.subarray(100, 200)]);
  expect(await part('bytes=69000-')).toEqual([206, 'bytes 69000-69999/70000', bytes.subarray(69_000)]);
  expect(await part('bytes=-10')).toEqual([206, 'bytes 69990-69999/70000', bytes.subarray(69_990)]);
  expect((await part('bytes=70000-')).slice(0, 2)).toEqual([416, 'bytes */70000']);
  expect((await part('bytes=0-9', { 'if-range': '"another"' }))[0]).toBe(200);
  expect((await part('bytes=0-9', { 'if-range': whole.headers.get('etag')! }))[0]).toBe(206);
  const head = await fetch(url('download', offer.ticket), { method: 'HEAD' });
  expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '70000', '']);
});

test('ranges that make no sense are no reason to fail', () => {
  expect(parseRange('bytes=5-2', 10)).toBeUndefined();
  expect(parseRange('bytes=0-1,3-4', 10)).toBeUndefined();
  expect(parseRange('items=0-1', 10)).toBeUndefined();
  expect(parseRange('bytes=-', 10)).toBeUndefined();
  expect(parseRange('bytes=-0', 10)).toBe('none');
  expect(parseRange('bytes=-99', 10)).toEqual({ start: 0, end: 9 });
  expect(parseRange('bytes=0-', 0)).toBe('none');
});

test('only files of pools, machines and exports are given away, and only with a ticket', async () => {
  symlinkSync(path.join(server.root, 'secret.txt'), path.join(pool, 'innocent.img'));
  mkdirSync(path.join(pool, '.trash'));
  writeFileSync(path.join(pool, '.trash', 'gone.img'), 'deleted');
  for (const file of [
    path.join(server.root, 'secret.txt'),
    path.join(pool, '..', 'secret.txt'),
    path.join(pool, 'innocent.img'),
    path.join(pool, '.trash', 'gone.img'),
    path.join(server.root, 'config', 'token'),
    '/etc/passwd',
  ])
    expect([file, await kindOf(client.call('storage.download', { path: file }))]).toEqual([
      file,
      expect.stringMatching(/^(permission-denied|not-found)$/),
    ]);
  expect(await kindOf(client.call('storage.download', { path: pool }))).toMatch(/denied|unsupported/);
  for (const ticket of ['A'.repeat(43), 'short', '../../secret.txt']) expect((await fetch(url('download', ticket))).status).toBe(404);
  const { ticket } = await client.call('storage.upload', { pool: 'default', name: 'x.iso', sizeBytes: 5 });
  expect((await fetch(url('download', ticket))).status).toBe(404);
  expect((await fetch(url('upload', ticket), { method: 'POST', body: 'abcde' })).status).toBe(405);
});

test('an image that a machine writes to is not sent', async () => {
  const vm = await client.call('vm.create', {
    name: 'Writer',
    memoryMiB: 16,
    source: { type: 'blank' },
    newDisk: { sizeBytes: MIB, format: 'raw' },
  });
  const disk = path.join(vm.folder, 'disk.img');
  const offer = await client.call('storage.download', { path: disk });
  const holder = server.manager.files;
  const opened = await holder.open(offer.ticket);
  // Nor does it start to write while it is sent.
  expect(await kindOf(client.call('storage.resize', { path: disk, sizeBytes: 2 * MIB }))).toBe('in-use');
  await opened.close();
  await client.call('storage.resize', { path: disk, sizeBytes: 2 * MIB });
});

test('an upload appears whole under its name, with holes where it has zeros, and tells its progress', async () => {
  const bytes = Buffer.alloc(8 * MIB);
  bytes.fill(0x5a, 7 * MIB);
  const name = '安装盘 ü.iso';
  const { ticket } = await client.call('storage.upload', { pool: 'default', name, sizeBytes: bytes.length });
  const answer = await put(ticket, bytes);
  expect(answer.status).toBe(201);
  expect(await answer.json()).toMatchObject({ name, pool: 'default', fileBytes: bytes.length });
  const file = path.join(pool, name);
  expect(readFileSync(file).equals(bytes)).toBe(true);
  expect(statSync(file).blocks * 512).toBeLessThan(4 * MIB);
  expect((await client.call('task.list', {})).at(-1)).toMatchObject({ kind: 'disk.upload', object: name, state: 'done', progress: 1 });
  // A ticket is good for one: who comes again is told of that one, and changes nothing.
  const again = await put(ticket, new Uint8Array(bytes.length).fill(7));
  expect([again.status, await again.json()]).toEqual([201, expect.objectContaining({ name })]);
  expect(readFileSync(path.join(pool, name)).equals(bytes)).toBe(true);
  expect(hidden()).toEqual(['.trash']);
});

test('what can not be taken is refused before it is sent', async () => {
  const announce = (changes: object) =>
    kindOf(client.call('storage.upload', { pool: 'default', name: 'new.iso', sizeBytes: 100, ...changes } as never));
  writeFileSync(path.join(pool, 'taken.iso'), 'x');
  expect(await announce({ name: 'taken.iso' })).toBe('already-exists');
  expect(await announce({ sizeBytes: 60 * 1024 ** 4 })).toBe('no-space');
  for (const changes of [
    { name: '../out.iso' },
    { name: 'a/b.iso' },
    { name: '.hidden' },
    { name: 'a\nb.iso' },
    { name: 'x'.repeat(300) },
    { sizeBytes: 0 },
    { sizeBytes: 1e300 },
    { pool: 'machines' },
  ])
    expect([changes, await announce(changes)]).toEqual([changes, 'invalid-argument']);
});

test('an upload that is too short, too long, broken off or cancelled leaves nothing behind', async () => {
  const ticketFor = async (name: string, sizeBytes: number) =>
    (await client.call('storage.upload', { pool: 'default', name, sizeBytes })).ticket;
  for (const [name, announced] of [
    ['short.iso', 2000],
    ['long.iso', 10],
  ] as const) {
    const answer = await put(await ticketFor(name, announced), Buffer.alloc(1000, 1)).catch(() => undefined);
    if (answer) expect(((await answer.json()) as { message: string }).message).toMatch(/came/);
  }
  /** One that sends a beginning and then nothing. */
  const begin = (ticket: string) => {
    const upload = request(url('upload', ticket), { method: 'PUT', headers: { 'Content-Length': 1_000_000 } });
    upload.on('error', () => {});
    upload.write(Buffer.alloc(1000, 1));
    return upload;
  };
  const running = async (name: string) => {
    let found: string | undefined;
    for (let i = 0; i < 500 && found === undefined; i++) {
      found = (await client.call('task.list', {})).find((task) => task.object === name && task.state === 'running')?.id;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return found!;
  };
  const broken = begin(await ticketFor('broken.iso', 1_000_000));
  await running('broken.iso');
  broken.destroy();
  const ticket = await ticketFor('cancelled.iso', 1_000_000);
  // None was begun with it yet.
  expect((await fetch(url('upload', ticket))).status).toBe(404);
  const cancelled = begin(ticket);
  const ended = new Promise((resolve) => cancelled.on('close', resolve));
  const id = await running('cancelled.iso');
  // A browser repeats by itself what broke, which may be before the task is over: it is told how the first try ended.
  const again = put(ticket, Buffer.alloc(1000, 1));
  await client.call('task.cancel', { id });
  await within('the upload ends', ended);
  for (const answer of [await again, await fetch(url('upload', ticket))])
    expect([answer.status, ((await answer.json()) as { kind: string }).kind]).toEqual([409, 'cancelled']);
  await eventually('nothing is left', () => hidden().length === 1);
  expect(readdirSync(pool).filter((name) => /short|long|broken|cancelled/.test(name))).toEqual([]);
  const states = Object.fromEntries((await client.call('task.list', {})).map(({ object, state }) => [object, state]));
  expect(states).toMatchObject({ 'short.iso': 'failed', 'long.iso': 'failed', 'broken.iso': 'failed', 'cancelled.iso': 'cancelled' });
});
