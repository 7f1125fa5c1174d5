import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withoutHardLinks } from '../../platform/testing/nohardlinks.ts';
import { Harness } from '../testing/harness.ts';

/** A library on a file system without hard links, where locks are folders. */
let h: Harness;
let linksAgain: () => void;

beforeEach(async () => {
  linksAgain = withoutHardLinks();
  h = await Harness.open();
});

afterEach(async () => {
  await h.close();
  linksAgain();
});

test('machines run, go to the trash and back, and are carried out and in, and no lock goes along', async () => {
  const made = await h.create('Stick');
  const { id } = made;
  await h.call('vm.start', { id });
  expect(statSync(path.join(made.folder, '.lock')).isDirectory()).toBe(true);
  await h.call('vm.forceOff', { id });
  expect(readdirSync(made.folder)).not.toContain('.lock');

  const { trashId } = await h.call('vm.delete', { id });
  const restored = await h.call('trash.restore', { id: trashId });
  expect(readdirSync(restored.path)).not.toContain('.lock');
  await h.call('vm.start', { id });
  await h.call('vm.forceOff', { id });

  const away = path.join(h.root, 'away');
  mkdirSync(away);
  const { folder } = await h.call('vm.export', { id, folder: away });
  expect(readdirSync(folder)).toContain('vm.json');
  expect(readdirSync(folder)).not.toContain('.lock');
  const back = await h.call('vm.import', { folder, how: 'move' });
  expect(readdirSync(back.machine.folder)).not.toContain('.lock');
  await h.call('vm.start', { id: back.machine.id });
  await h.call('vm.forceOff', { id: back.machine.id });
  rmSync(away, { recursive: true });
});
