import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { BootSource, NetworkPatch } from '../../contract/networks.ts';
import { failureOf, Harness } from '../testing/harness.ts';

let h: Harness;
let given: string;
beforeEach(async () => {
  h = await Harness.open();
  given = path.join(h.media, 'given');
  mkdirSync(given);
  writeFileSync(path.join(given, 'boot.ipxe'), '#!ipxe\n');
});
afterEach(() => h.close());

const set = (boot: BootSource | null, patch: NetworkPatch = {}) => h.call('network.update', { id: 'default', patch: { ...patch, boot } });
const kept = async () => (await h.call('network.list', {}))[0]!.boot;

test('what a network hands out is set, kept, changed and taken back; a network of before hands out nothing', async () => {
  expect(await kept()).toBeNull();
  const boot = { file: 'boot.ipxe', folder: given };
  expect((await set(boot)).boot).toEqual(boot);
  await h.reopen();
  expect(await kept()).toEqual(boot);
  const url = { file: 'http://boot.example.org/menu.ipxe', folder: null };
  await set(url);
  expect(await kept()).toEqual(url);
  await set(null);
  expect(await kept()).toBeNull();
  expect(
    await h.call('network.create', {
      name: 'Install',
      kind: 'nat',
      subnet: '10.7.0.0/24',
      dhcp: { from: '10.7.0.9', to: '10.7.0.20' },
      boot,
    }),
  ).toMatchObject({ boot });
});

test('what can not be handed out is refused with a way out, and nothing is kept of it', async () => {
  const file = path.join(given, 'boot.ipxe');
  writeFileSync(path.join(h.media, 'plain'), '');
  symlinkSync(h.root, path.join(h.media, 'link'));
  const cases: [BootSource, string, RegExp][] = [
    [{ file: 'boot.ipxe', folder: null }, 'invalid-argument', /neither a URL nor in a folder/],
    [{ file: 'ftp://a/b', folder: null }, 'invalid-argument', /neither a URL/],
    [{ file: 'a', folder: path.join(given, 'none') }, 'not-found', /does not exist/],
    [{ file: 'a', folder: file }, 'invalid-argument', /not a folder|is no folder/],
    [{ file: 'a', folder: 'given' }, 'invalid-argument', /absolute|whole/],
    [{ file: 'a', folder: '/' }, 'invalid-argument', /all of a file system/],
    [{ file: 'a', folder: path.join(h.root, 'config') }, 'invalid-argument', /Hypervue’s own files/],
    // What it leads to counts, also above those folders.
    [{ file: 'a', folder: path.join(h.media, 'link') }, 'invalid-argument', /Hypervue’s own files/],
    [{ file: '', folder: given }, 'invalid-argument', /boot/],
    [{ file: 'a\nb', folder: given }, 'invalid-argument', /boot/],
    [{ file: 'ä'.repeat(128), folder: given }, 'invalid-argument', /boot/],
  ];
  for (const [boot, kind, message] of cases) {
    const error = await failureOf(set(boot));
    expect(error.kind, JSON.stringify(boot)).toBe(kind);
    expect(error.message).toMatch(message);
  }
  expect((await failureOf(set({ file: 'boot.ipxe', folder: given }, { dhcp: null }))).message).toMatch(/gives no addresses/);
  const lab = { name: 'Lab', kind: 'isolated', subnet: '10.7.0.0/24', dhcp: null, boot: { file: 'boot.ipxe', folder: given } } as const;
  expect((await failureOf(h.call('network.create', lab))).message).toMatch(/can’t hand out/);
  expect(await kept()).toBeNull();
});

test('a folder that is gone keeps nobody from changing something else', async () => {
  await set({ file: 'boot.ipxe', folder: given });
  rmSync(given, { recursive: true });
  await h.call('network.update', { id: 'default', patch: { description: 'ours', boot: { file: 'other', folder: given } } });
  expect(await kept()).toEqual({ file: 'other', folder: given });
});
