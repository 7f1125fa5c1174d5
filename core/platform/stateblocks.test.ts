import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { applyChunk, CHUNK_BYTES, CHUNK_PAGES, ChunkBuilder, PAGE_BYTES, SECTION_HEADER_BYTES } from '../snapshot/stateformat.ts';
import { HypervueError } from '../util/errors.ts';
import { alignedMemory } from './aroundcache.ts';
import { StateFileReader } from './statefilereader.ts';
import { StateFileWriter } from './statefilewriter.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hv-stateblocks-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
/** Numerical Recipes' linear congruential generator. */
class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed;
  }

  below(limit: number): number {
    this.state = (Math.imul(this.state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.state / 2 ** 32) * limit);
  }
}

const CHUNKS = 70;
const BYTES = CHUNKS * CHUNK_BYTES;

/** Writes memory as a running guest's is: three passes, then what is held. Gives what the file has to say. */
async function write(file: string, random: Random): Promise<Buffer> {
  const live = alignedMemory(BYTES);
  const expected = Buffer.alloc(BYTES);
  const writer = await StateFileWriter.create(file, { compress: false, version: 3 });
  await writer.addTree('META', { version: 1 });
  for (let pass = 0; pass < 4; pass++) {
    for (let index = 0; index < CHUNKS; index++) {
      if (pass && random.below(3)) continue;
      const chunk = new ChunkBuilder();
      const dense = random.below(4) === 0;
      for (let page = 0; page < CHUNK_PAGES; page++) {
        if (!dense && random.below(20)) continue;
        const at = index * CHUNK_BYTES + page * PAGE_BYTES;
        const content = live.subarray(at, at + PAGE_BYTES);
        if (random.below(5) === 0) {
          chunk.add(page, undefined);
          expected.fill(0, at, at + PAGE_BYTES);
        } else {
          content.fill(1 + random.below(255));
          chunk.add(page, content);
          content.copy(expected, at);
        }
      }
      if (chunk.empty) continue;
      if (pass === 3) await writer.add('MEMR', index, chunk.finish());
      else await writer.addAsItIs('MEMR', index, chunk.pieces);
    }
    // The pages are the writer's until then.
    await writer.drained();
  }
  await writer.addTree('TREE', { a: 1 });
  await writer.finish();
  await writer.commit();
  return expected;
}

/** As packing goes through it. */
async function inOrder(file: string): Promise<Buffer> {
  const area = alignedMemory(BYTES);
  const reader = await StateFileReader.open(file);
  try {
    for (let section = await reader.next(); section; section = await reader.next())
      if (section.header.kind === 'MEMR') applyChunk(section.plain, section.header.index, area, file);
    return area;
  } finally {
    await reader.close();
  }
}

/** As a restore does. */
async function inPlace(file: string, area = alignedMemory(BYTES)): Promise<Buffer> {
  const reader = await StateFileReader.open(file);
  try {
    await reader.tree('META');
    const section = await reader.fill(new Map([['MEMR', area] as const]), () => {});
    expect(section?.header.kind).toBe('TREE');
    expect(await reader.next()).toBeUndefined();
    return area;
  } finally {
    await reader.close();
  }
}

/** As a revert does: `wanted` pages of a memory that is right elsewhere. */
async function pagesOf(file: string, wanted: (page: number) => boolean): Promise<Map<number, Buffer>> {
  const found = new Map<number, Buffer>();
  const reader = await StateFileReader.open(file);
  try {
    await reader.tree('META');
    await reader.chunks({
      areas: new Map([['MEMR', new Uint8Array(BYTES)] as const]),
      chunk: (_, index) => index % 7 !== 3,
      page: (_, index, page) => wanted(index * CHUNK_PAGES + page),
      take: (_, index, page, content) => found.set(index * CHUNK_PAGES + page, Buffer.from(content ?? new Uint8Array(PAGE_BYTES))),
    });
    return found;
  } finally {
    await reader.close();
  }
}

test.each([1, 2, 3])(
  'chunks in blocks around the cache read the same in every way (seed %i)',
  async (seed) => {
    const random = new Random(seed);
    const file = path.join(folder, `state${seed}`);
    const expected = await write(file, random);
    expect(readFileSync(file)[8]).toBe(4);
    expect((await inOrder(file)).equals(expected)).toBe(true);
    expect((await inPlace(file)).equals(expected)).toBe(true);
    // Where memory lies at no block, the system's cache is asked.
    const odd = alignedMemory(BYTES + 1).subarray(1);
    expect((await inPlace(file, odd)).equals(expected)).toBe(true);
    const some = new Set(Array.from({ length: 900 }, () => random.below(CHUNKS * CHUNK_PAGES)));
    for (const wanted of [(page: number) => some.has(page), () => true]) {
      const found = await pagesOf(file, wanted);
      expect(found.size).toBeGreaterThan(50);
      for (const [page, content] of found) {
        if (!wanted(page)) continue;
        expect(content.equals(expected.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)), `page ${page}`).toBe(true);
      }
    }
    await expect(inPlace(file, alignedMemory(BYTES - CHUNK_BYTES))).rejects.toMatchObject({ kind: 'corrupt' });
    rmSync(file);
  },
  60_000,
);

test('damage of the index, of the end and of what comes between is found, and every cut is', async () => {
  const file = path.join(folder, 'damaged');
  const expected = await write(file, new Random(4));
  const good = readFileSync(file);
  const index = good.lastIndexOf('INDX');
  const outcome = (bytes: Uint8Array) => {
    writeFileSync(file, bytes);
    return inPlace(file).then(
      (area) => area.equals(expected),
      (error: unknown) => error,
    );
  };
  for (let at = index; at < good.length; at += at < index + 200 || at > good.length - 200 ? 3 : 977) {
    const bytes = Buffer.from(good);
    bytes[at]! ^= 1 << (at % 8);
    expect(await outcome(bytes), `byte ${at}`).toBeInstanceOf(HypervueError);
  }
  for (const length of [20, 5000, good.length >> 1, index, index + SECTION_HEADER_BYTES + 5, good.length - 8, good.length - 1])
    expect(await outcome(good.subarray(0, length)), `cut at ${length}`).toBeInstanceOf(HypervueError);
}, 120_000);
