import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { drive, Guest } from './support/guest.ts';
import { grubCdrom, grubFloppy } from './support/images.ts';

/** GRUB's rescue images (Debian package grub-rescue-pc) from CD and from floppy, to the prompt and to an answer. */
let guest: Guest | undefined;
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-grub-'));

afterEach(async () => {
  await guest?.end();
  guest = undefined;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function promptAnswers(machine: Guest): Promise<void> {
  await machine.onScreen(/GNU GRUB +version 2\.\d+/, 90_000);
  // Some images show a menu first; C leaves it for the prompt.
  if (!/grub>/.test(machine.screen())) await machine.vm.sendKeys(['c']);
  await machine.onScreen(/^grub> *$/m, 30_000);
  await machine.vm.typeText('set answer=forty-two; echo the answer is $answer\n', 60);
  await machine.onScreen(/^the answer is forty-two$/m, 30_000);
}

test('the rescue CD boots by El Torito', async () => {
  guest = await new Guest({ drives: [drive('ide2', 'cdrom', grubCdrom())] }).start();
  await promptAnswers(guest);
  // Its own idea of the machine: the CD it came from is there.
  await guest.vm.typeText('ls\n', 60);
  expect((await guest.onScreen(/^.*\((cd\d?|hd\d+[^)]*)\).*$/m, 30_000))[0]).toContain('(');
}, 180_000);

test('the rescue floppy boots', async () => {
  const image = path.join(folder, 'floppy.img');
  copyFileSync(grubFloppy(), image);
  guest = await new Guest({ drives: [drive('fd0', 'floppy', image, true)], order: ['floppy'] }).start();
  await promptAnswers(guest);
}, 180_000);
