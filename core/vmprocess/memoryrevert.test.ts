import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { DIRTY_MAP_BASE, GUEST_RAM_BASE, VRAM_BASE } from '../memory/layout.ts';
import { createVmMemory } from '../memory/vmmemory.ts';
import { packStateFile } from '../platform/packstate.ts';
import { StateFileReader } from '../platform/statefilereader.ts';
import { StateFileWriter } from '../platform/statefilewriter.ts';
import { ChunkBuilder, PAGE_BYTES } from '../snapshot/stateformat.ts';
import { MemoryPages } from './memorypages.ts';
import { MemoryRevert } from './memoryrevert.ts';

const RAM = 4 << 20;
const VRAM = 1 << 20;
const folder = mkdtempSync(path.join(tmpdir(), 'hv-revert-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let memory: WebAssembly.Memory;
beforeAll(() => {
  memory = createVmMemory(RAM);
});
beforeEach(() => {
  new Uint8Array(memory.buffer).fill(0);
});

const page = (base: number, index: number) => new Uint8Array(memory.buffer, base + index * PAGE_BYTES, PAGE_BYTES);
/** As a guest does it. */
function put(base: number, index: number, byte: number): void {
  page(base, index).fill(byte);
  new Uint8Array(memory.buffer)[DIRTY_MAP_BASE + base / PAGE_BYTES + index] = 0xff;
}
const bytes = (base: number, count: number) => Array.from({ length: count }, (_, index) => page(base, index)[7]);
const numbers = (base: number, ...pages: number[]) => pages.map((index) => base / PAGE_BYTES + index);

async function save(file: string, compress: boolean): Promise<void> {
  const pages = new MemoryPages(memory, RAM, VRAM);
  const writer = await StateFileWriter.create(file, { compress, version: 3 });
  for (const { kind, index, chunk } of [...pages.all(), ...pages.changes()])
    if (compress) await writer.addGathered(kind, index, chunk);
    else await writer.addAsItIs(kind, index, chunk.pieces);
  await writer.addTree('TREE', { end: true });
  await writer.finish();
  await writer.commit();
}

async function revert(file: string, onlyMarked: boolean): Promise<readonly number[]> {
  const reader = await StateFileReader.open(file);
  try {
    const change = new MemoryRevert(memory, RAM, VRAM, onlyMarked);
    expect((await change.load(reader))?.header.kind).toBe('TREE');
    return change.changed;
  } finally {
    await reader.close();
  }
}

test.each([
  ['as written', false],
  ['packed', true],
])('memory becomes what it was, %s; only what is other is touched', async (_, packed) => {
  const file = path.join(folder, `a${packed}`);
  put(GUEST_RAM_BASE, 0, 1);
  put(GUEST_RAM_BASE, 1, 2);
  put(GUEST_RAM_BASE, 700, 3);
  put(GUEST_RAM_BASE, 3, 0);
  put(VRAM_BASE, 4, 5);
  await save(file, false);
  if (packed) await packStateFile(file, new AbortController().signal);
  for (const onlyMarked of [true, false]) {
    put(GUEST_RAM_BASE, 1, 9);
    put(GUEST_RAM_BASE, 2, 9);
    put(GUEST_RAM_BASE, 3, 9);
    put(GUEST_RAM_BASE, 1000, 9);
    put(VRAM_BASE, 4, 9);
    put(VRAM_BASE, 5, 9);
    // Written, and yet the same.
    put(GUEST_RAM_BASE, 700, 3);
    const changed = await revert(file, onlyMarked);
    expect(changed.toSorted((a, b) => a - b)).toEqual([...numbers(VRAM_BASE, 4, 5), ...numbers(GUEST_RAM_BASE, 1, 2, 3, 1000)]);
    expect(bytes(GUEST_RAM_BASE, 5)).toEqual([1, 2, 0, 0, 0]);
    expect([page(GUEST_RAM_BASE, 700)[0], page(GUEST_RAM_BASE, 1000)[0], page(VRAM_BASE, 4)[0], page(VRAM_BASE, 5)[0]]).toEqual([
      3, 0, 5, 0,
    ]);
    // Nothing counts as changed since.
    expect(new MemoryPages(memory, RAM, VRAM).changed).toBe(0);
    expect(await revert(file, true)).toEqual([]);
  }
});

test('what changed without a mark is found when all of it is looked at', async () => {
  const file = path.join(folder, 'b');
  put(GUEST_RAM_BASE, 10, 1);
  await save(file, false);
  page(GUEST_RAM_BASE, 10)[0] = 8;
  expect(await revert(file, true)).toEqual([]);
  expect(await revert(file, false)).toEqual(numbers(GUEST_RAM_BASE, 10));
  expect(page(GUEST_RAM_BASE, 10)[0]).toBe(1);
});

test('a later piece of the same place counts, and one that does not fit is refused', async () => {
  const file = path.join(folder, 'c');
  const writer = await StateFileWriter.create(file, { compress: false });
  for (const byte of [1, 2]) {
    const chunk = new ChunkBuilder();
    chunk.add(0, new Uint8Array(PAGE_BYTES).fill(byte));
    if (byte === 1) chunk.add(1, new Uint8Array(PAGE_BYTES).fill(7));
    await writer.add('MEMR', 1, chunk.finish());
  }
  await writer.addTree('TREE', { end: true });
  await writer.finish();
  await writer.commit();
  await revert(file, false);
  expect([page(GUEST_RAM_BASE, 256)[0], page(GUEST_RAM_BASE, 257)[0]]).toEqual([2, 7]);

  const beyond = path.join(folder, 'd');
  const bad = await StateFileWriter.create(beyond, { compress: false });
  const chunk = new ChunkBuilder();
  chunk.add(0, new Uint8Array(PAGE_BYTES).fill(1));
  await bad.add('MEMR', RAM / PAGE_BYTES / 256, chunk.finish());
  await bad.addTree('TREE', { end: true });
  await bad.finish();
  await bad.commit();
  await expect(revert(beyond, false)).rejects.toMatchObject({ kind: 'corrupt' });
});
