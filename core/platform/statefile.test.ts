import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { applyChunk, CHUNK_BYTES, ChunkBuilder, PAGE_BYTES, SECTION_HEADER_BYTES } from '../snapshot/stateformat.ts';
import { HypervueError } from '../util/errors.ts';
import { packStateFile } from './packstate.ts';
import { StateFileReader } from './statefilereader.ts';
import { StateFileWriter } from './statefilewriter.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hv-statefile-'));
const file = path.join(folder, 'state');
const page = (byte: number) => new Uint8Array(PAGE_BYTES).fill(byte);

beforeAll(async () => {
  const writer = await StateFileWriter.create(file);
  await writer.addTree('META', { version: 1, name: 'x' });
  const first = new ChunkBuilder();
  first.add(0, page(1));
  first.add(2, page(2));
  first.add(255, page(3));
  await writer.add('MEMR', 1, first.finish());
  const later = new ChunkBuilder();
  later.add(2, undefined);
  later.add(3, page(9));
  await writer.add('MEMR', 1, later.finish());
  await writer.addTree('TREE', { a: [1, 2n] });
  await writer.finish();
  expect(readdirSync(folder)).not.toContain('state');
  await writer.commit();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Reads all of it as a restore does. */
async function readAll(source: string, area = new Uint8Array(2 * CHUNK_BYTES)): Promise<Uint8Array> {
  const reader = await StateFileReader.open(source);
  try {
    await reader.tree('META');
    for (let section = await reader.next(); section; section = await reader.next())
      if (section.header.kind === 'MEMR') applyChunk(section.plain, section.header.index, area, source);
      else reader.decode(section.plain);
    return area;
  } finally {
    await reader.close();
  }
}

test('pages are where they were, and the last word counts', async () => {
  const area = await readAll(file, new Uint8Array(2 * CHUNK_BYTES));
  const at = (n: number) => area[CHUNK_BYTES + n * PAGE_BYTES];
  expect([at(0), at(1), at(2), at(3), at(254), at(255), area[0]]).toEqual([1, 0, 0, 9, 0, 3, 0]);
  expect(readdirSync(folder)).toEqual(['state']);
});

test('memory that is smaller than the file says is not written past its end', async () => {
  await expect(readAll(file, new Uint8Array(CHUNK_BYTES))).rejects.toMatchObject({ kind: 'corrupt' });
});

test('memory that is read in place is what it is otherwise, compressed or not', async () => {
  for (const compress of [true, false]) {
    const copy = path.join(folder, 'copy');
    const reader = await StateFileReader.open(file);
    const writer = await StateFileWriter.create(copy, { compress });
    for (let section = await reader.next(); section; section = await reader.next())
      await writer.add(section.header.kind, section.header.index, section.plain);
    await reader.close();
    await writer.finish();
    await writer.commit();
    const area = new Uint8Array(2 * CHUNK_BYTES).fill(0x55);
    const direct = await StateFileReader.open(copy);
    await direct.tree('META');
    const filled: number[] = [];
    const section = await direct.fill(new Map([['MEMR', area] as const]), (_, index) => filled.push(index));
    expect([section?.header.kind, filled]).toEqual(['TREE', [1, 1]]);
    await direct.close();
    const otherwise = await readAll(file, new Uint8Array(2 * CHUNK_BYTES).fill(0x55));
    expect(Buffer.compare(area, otherwise)).toBe(0);
    rmSync(copy);
  }
});

test('memory that is read in place: damage anywhere is found, and nothing goes past the end', async () => {
  const plain = path.join(folder, 'plain');
  const writer = await StateFileWriter.create(plain, { compress: false });
  await writer.addTree('META', { version: 1 });
  for (const index of [0, 1, 2]) {
    const chunk = new ChunkBuilder();
    for (let n = 0; n < 3; n++) chunk.add(n * 7, page(n + 1));
    await writer.add('MEMR', index, chunk.finish());
  }
  await writer.addTree('TREE', { a: 1 });
  await writer.finish();
  await writer.commit();
  const whole = readFileSync(plain);
  const readIn = async (areaBytes: number) => {
    const reader = await StateFileReader.open(plain);
    try {
      await reader.tree('META');
      await reader.fill(new Map([['MEMR', new Uint8Array(areaBytes)] as const]), () => {});
      while (await reader.next());
    } finally {
      await reader.close();
    }
  };
  await readIn(3 * CHUNK_BYTES);
  await expect(readIn(2 * CHUNK_BYTES)).rejects.toMatchObject({ kind: 'corrupt' });
  for (let at = 80; at < whole.length; at += 4001) {
    const bytes = Uint8Array.from(whole);
    bytes[at]! ^= 0x40;
    writeFileSync(plain, bytes);
    await expect(readIn(3 * CHUNK_BYTES), `byte ${at}`).rejects.toBeInstanceOf(HypervueError);
  }
  rmSync(plain);
});

test('pages that a guest writes to meanwhile: what is given again counts, the rest of the file is checked, and packing gives them a checksum', async () => {
  const packing = path.join(folder, 'running');
  mkdirSync(packing);
  const state = path.join(packing, 'state');
  const writer = await StateFileWriter.create(state, { compress: false, version: 3 });
  await writer.addTree('META', { version: 1 });
  const memory = new Uint8Array(CHUNK_BYTES);
  for (let n = 0; n < 9; n++) memory.fill(n + 1, n * PAGE_BYTES, (n + 1) * PAGE_BYTES);
  const live = new ChunkBuilder();
  live.addRun(0, memory.subarray(0, 9 * PAGE_BYTES));
  await writer.addAsItIs('MEMR', 0, live.pieces);
  // As a guest does, at any moment from here on.
  memory.fill(0x77, PAGE_BYTES, 2 * PAGE_BYTES);
  await writer.drained();
  const again = new ChunkBuilder();
  again.add(1, memory.subarray(PAGE_BYTES, 2 * PAGE_BYTES));
  const held = again.finish();
  memory.fill(0xff);
  await writer.add('MEMR', 0, held);
  await writer.addTree('TREE', { a: 1 });
  await writer.finish();
  await writer.commit();
  const read = async () => {
    const area = await readAll(state, new Uint8Array(2 * CHUNK_BYTES));
    return Array.from({ length: 10 }, (_, n) => area[n * PAGE_BYTES + 5]);
  };
  const expected = [1, 0x77, 3, 4, 5, 6, 7, 8, 9, 0];
  expect(await read()).toEqual(expected);
  const whole = readFileSync(state);
  const bitmaps = whole.indexOf('MEMR') + SECTION_HEADER_BYTES;
  for (const at of [bitmaps - SECTION_HEADER_BYTES + 4, bitmaps, bitmaps + 40]) {
    const bytes = Uint8Array.from(whole);
    bytes[at]! ^= 1;
    writeFileSync(state, bytes);
    await expect(read(), `byte ${at}`).rejects.toMatchObject({ kind: 'corrupt' });
  }
  writeFileSync(state, whole);
  await packStateFile(state, new AbortController().signal);
  expect(await read()).toEqual(expected);
  const packed = readFileSync(state);
  packed[packed.indexOf('MEMR') + SECTION_HEADER_BYTES + 20]! ^= 1;
  writeFileSync(state, packed);
  await expect(read()).rejects.toMatchObject({ kind: 'corrupt' });
  rmSync(packing, { recursive: true });
});

test('a packed file says the same in less room; one that is cancelled or damaged stays as it was', async () => {
  const packing = path.join(folder, 'packing');
  mkdirSync(packing);
  const plain = path.join(packing, 'state');
  const writer = await StateFileWriter.create(plain, { compress: false });
  await writer.addTree('META', { version: 1 });
  const chunk = new ChunkBuilder();
  for (let n = 0; n < 200; n++) chunk.add(n, page(n));
  await writer.add('MEMR', 0, chunk.finish());
  await writer.addTree('TREE', { a: 1 });
  await writer.finish();
  await writer.commit();
  const before = readFileSync(plain);
  const area = await readAll(plain);
  await expect(packStateFile(plain, AbortSignal.abort())).rejects.toThrow();
  expect([readFileSync(plain).equals(before), readdirSync(packing)]).toEqual([true, ['state']]);
  const size = await packStateFile(plain, new AbortController().signal);
  expect(size).toBe(statSync(plain).size);
  expect(size).toBeLessThan(before.length / 10);
  expect(Buffer.compare(await readAll(plain), area)).toBe(0);
  const damaged = Uint8Array.from(before);
  damaged[before.length >> 1]! ^= 1;
  writeFileSync(plain, damaged);
  await expect(packStateFile(plain, new AbortController().signal)).rejects.toMatchObject({ kind: 'corrupt' });
  expect([readFileSync(plain).equals(damaged), readdirSync(packing)]).toEqual([true, ['state']]);
  rmSync(packing, { recursive: true });
});

test('abandoned files leave nothing', async () => {
  const writer = await StateFileWriter.create(path.join(folder, 'other'));
  await writer.addTree('META', {});
  await writer.abandon();
  expect(readdirSync(folder)).toEqual(['state']);
});

test('every cut and every changed byte is noticed', async () => {
  const good = readFileSync(file);
  const bad = path.join(folder, 'bad');
  const check = async (bytes: Uint8Array, what: string) => {
    writeFileSync(bad, bytes);
    const outcome = await readAll(bad).then(
      () => 'read',
      (error: unknown) => error,
    );
    expect(outcome, what).toBeInstanceOf(HypervueError);
    expect(['corrupt', 'unsupported'], what).toContain((outcome as HypervueError).kind);
  };
  for (let length = 0; length < good.length; length += 7) await check(good.subarray(0, length), `cut at ${length}`);
  for (let at = 0; at < good.length; at++) {
    const bytes = Buffer.from(good);
    bytes[at]! ^= 1 << (at % 8);
    await check(bytes, `byte ${at}`);
  }
  rmSync(bad);
}, 60_000);

test('a section that unpacks to more than it says is stopped', async () => {
  const bomb = path.join(folder, 'bomb');
  const writer = await StateFileWriter.create(bomb);
  await writer.add('MEMR', 0, new Uint8Array(8 << 20));
  await writer.finish();
  await writer.commit();
  const bytes = readFileSync(bomb);
  const { crc32 } = await import('node:zlib');
  // The plain size of the first section, and the checksum of its header.
  bytes.writeUInt32LE(4096, 16 + 16);
  bytes.writeUInt32LE(crc32(bytes.subarray(16, 16 + 28)), 16 + 28);
  writeFileSync(bomb, bytes);
  await expect(readAll(bomb)).rejects.toMatchObject({ kind: 'corrupt' });
  rmSync(bomb);
});
