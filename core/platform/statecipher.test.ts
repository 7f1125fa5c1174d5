import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { CHUNK_BYTES, ChunkBuilder, PAGE_BYTES, SECTION_HEADER_BYTES, STATE_HEADER_BYTES } from '../snapshot/stateformat.ts';
import { type DeriveKey, StateCipher } from './statecipher.ts';
import { StateFileReader } from './statefilereader.ts';
import { StateFileWriter } from './statefilewriter.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hv-sealed-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const keyOf =
  (master: string): DeriveKey =>
  (salt, purpose) =>
    createHmac('sha256', master).update(salt).update(purpose).digest();
/** A page with a word that can be looked for in the file. */
const page = (word: string) => Buffer.alloc(PAGE_BYTES, word);

async function write(compress: boolean): Promise<string> {
  const file = path.join(folder, `state${compress}`);
  const writer = await StateFileWriter.create(file, { compress, version: 2 });
  await writer.addTree('META', { version: 1, name: 'in clear' });
  await writer.sealFrom('ide0', new StateCipher(keyOf('right')));
  for (const index of [0, 1]) {
    const chunk = new ChunkBuilder();
    chunk.add(3, page(`secret ${index} `));
    await writer.add('MEMR', index, chunk.finish());
  }
  await writer.addTree('TREE', { register: 'secret too' });
  await writer.finish();
  await writer.commit();
  return file;
}

/** Reads as a restore does; gives the first words of both chunks and the tree. */
async function read(file: string, master?: string): Promise<unknown[]> {
  const reader = await StateFileReader.open(file);
  const found: unknown[] = [];
  try {
    expect(await reader.tree('META')).toEqual({ version: 1, name: 'in clear' });
    const key = (await reader.next())!;
    expect(key.header.kind).toBe('KEY ');
    const { drive, salt } = reader.decode(key.plain) as { drive: string; salt: Uint8Array };
    expect(drive).toBe('ide0');
    if (master) reader.unlock(new StateCipher(keyOf(master), salt));
    const last = await reader.chunks({
      areas: new Map([['MEMR', new Uint8Array(2 * CHUNK_BYTES)] as const]),
      chunk: () => true,
      page: () => true,
      take: (_, index, n, content) => {
        if (n === 3) found[index] = Buffer.from(content!.subarray(0, 8)).toString();
      },
    });
    return [...found, reader.decode(last!.plain)];
  } finally {
    await reader.close();
  }
}

/** Where the sections begin. */
function sections(bytes: Buffer): number[] {
  const starts: number[] = [];
  for (let at = STATE_HEADER_BYTES; at < bytes.length; at += SECTION_HEADER_BYTES + bytes.readUInt32LE(at + 12)) starts.push(at);
  return starts;
}

test.each([true, false])('what is sealed can be had with the key of the disk, and not without (compressed: %s)', async (compress) => {
  const file = await write(compress);
  const bytes = readFileSync(file);
  expect(bytes.includes('in clear')).toBe(true);
  expect(bytes.includes('secret')).toBe(false);
  expect(await read(file, 'right')).toEqual(['secret 0', 'secret 1', { register: 'secret too' }]);
  await expect(read(file, 'wrong')).rejects.toMatchObject({ kind: 'corrupt', message: expect.stringContaining('sealed') });
  await expect(read(file)).rejects.toMatchObject({ kind: 'unauthorized', context: { reason: 'passphrase-missing' } });
  // Two files of the same machine have nothing in common.
  expect(readFileSync(await write(compress)).equals(bytes)).toBe(false);
});

test('sealed sections can be neither swapped nor left out', async () => {
  const file = await write(false);
  const bytes = readFileSync(file);
  const [, , first, second, tree] = sections(bytes) as [number, number, number, number, number];
  const swapped = path.join(folder, 'swapped');
  writeFileSync(
    swapped,
    Buffer.concat([bytes.subarray(0, first), bytes.subarray(second, tree), bytes.subarray(first, second), bytes.subarray(tree)]),
  );
  await expect(read(swapped, 'right')).rejects.toMatchObject({ kind: 'corrupt' });
  const short = path.join(folder, 'short');
  writeFileSync(short, Buffer.concat([bytes.subarray(0, first), bytes.subarray(second)]));
  await expect(read(short, 'right')).rejects.toMatchObject({ kind: 'corrupt' });
});
