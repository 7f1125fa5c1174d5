import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, expect, test } from 'vitest';
import { drive, Guest } from './support/guest.ts';
import { run } from './support/packages.ts';

/** Every size of floppy, by firmware: the drive in the machine is one that takes the disk. */
const source = fileURLToPath(new URL('support/asm/floppy.asm', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-floppies-'));
let guest: Guest | undefined;

afterEach(async () => {
  await guest?.end();
  guest = undefined;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each([
  { name: '360K', cylinders: 40, heads: 2, sectors: 9 },
  { name: '720K', cylinders: 80, heads: 2, sectors: 9 },
  { name: '1.2M', cylinders: 80, heads: 2, sectors: 15 },
  { name: '1.44M', cylinders: 80, heads: 2, sectors: 18 },
  { name: '2.88M', cylinders: 80, heads: 2, sectors: 36 },
])(
  'a floppy of $name boots, and its last sectors are read and written',
  async ({ name, cylinders, heads, sectors }) => {
    const boot = path.join(folder, `${name}.bin`);
    run('nasm', ['-f', 'bin', `-DCYLINDERS=${cylinders}`, `-DHEADS=${heads}`, `-DSECTORS=${sectors}`, '-o', boot, source]);
    const image = Buffer.alloc(cylinders * heads * sectors * 512);
    image.set(readFileSync(boot));
    image.write(`LAST SECTOR OF ${name}\0`, image.length - 512, 'latin1');
    const file = path.join(folder, `${name}.img`);
    writeFileSync(file, image);
    guest = await new Guest({ memoryMiB: 16, drives: [drive('fd0', 'floppy', file)], order: ['floppy'] }).start();
    const [outcome] = await guest.onScreen(/FLOPPY DONE|.* IS AN ERROR/, 60_000);
    expect(outcome).toBe('FLOPPY DONE');
    expect(guest.screen()).toContain(`LAST SECTOR OF ${name}`);
    const written = readFileSync(file).subarray(-1024, -512);
    expect(written.equals(image.subarray(-512))).toBe(true);
  },
  90_000,
);
