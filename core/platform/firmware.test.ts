import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findNetworkRom } from './firmware.ts';

let own: string;
beforeEach(() => {
  own = mkdtempSync(path.join(tmpdir(), 'hv-roms-'));
});
afterEach(() => rmSync(own, { recursive: true, force: true }));

test('a BIOS takes the ROM that is for it alone before the one that UEFI has as well; UEFI no other', () => {
  const put = (name: string) => {
    writeFileSync(path.join(own, name), 'iPXE');
    return path.join(own, name);
  };
  const efi = put('efi-virtio.rom');
  expect(findNetworkRom(own, 'virtio', 'uefi')).toBe(efi);
  const pxe = put('pxe-virtio.rom');
  expect([findNetworkRom(own, 'virtio', 'bios'), findNetworkRom(own, 'virtio', 'uefi')]).toEqual([pxe, efi]);
  // An empty file is none, and another card's is of no use.
  writeFileSync(pxe, '');
  expect(findNetworkRom(own, 'virtio', 'bios')).not.toBe(pxe);
  expect(findNetworkRom(own, 'e1000', 'bios')?.startsWith(own) ?? false).toBe(false);
});
