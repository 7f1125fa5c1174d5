import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { FwCfg } from '../devices/platform/fwcfg.ts';
import { installDirectBoot, planDirectBoot } from '../machine/boot/directboot.ts';
import type { DirectBoot } from '../machine/definition.ts';
import { GuestMemory } from '../memory/guestmemory.ts';
import { GUEST_RAM_BASE } from '../memory/layout.ts';
import { PhysMap } from '../memory/physmap.ts';
import { createVmMemory } from '../memory/vmmemory.ts';
import { createLogger } from '../util/logger.ts';
import { releaseBootImages } from './bootimages.ts';

const RAM = 16 << 20;
const LOAD = 0x100000;
/** In the module, which lies behind the image. */
const MODULE = 0x102000;
let folder: string;
let log: string[];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hypervue-bootimages-'));
  log = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A multiboot image of 4 KiB that says where it lies (specification 0.6.96, 3.1.3), filled with `byte`. */
function kernel(byte: number): Uint8Array {
  const file = new Uint8Array(4096).fill(byte);
  const view = new DataView(file.buffer);
  const flags = 0x10003;
  [0x1badb002, flags, -(0x1badb002 + flags), LOAD + 16, LOAD, 0, 0, LOAD + 64].forEach((value, field) => {
    view.setUint32(16 + field * 4, value, true);
  });
  return file;
}

/** A guest with this direct boot: what it has in memory at two addresses after a boot, and what failed. */
function guest(boot: DirectBoot): { boots: () => number[]; failures: unknown[] } {
  const shared = createVmMemory(RAM);
  const map = new PhysMap(shared);
  map.mapRam(0, GUEST_RAM_BASE, RAM);
  const memory = new GuestMemory(shared, map, RAM);
  const failures: unknown[] = [];
  let load = (): void => {};
  const fwCfg = {
    addFile: () => {},
    add: (_key: number, _data: Uint8Array, selected: () => void) => {
      load = selected;
    },
  } as unknown as FwCfg;
  const parts = { boot, plan: planDirectBoot(boot, RAM), ramBytes: RAM, fwCfg, memory };
  installDirectBoot({ ...parts, failed: (error) => failures.push(error) });
  const boots = (): number[] => {
    memory.write(LOAD + 100, Uint8Array.of(0));
    memory.write(MODULE, Uint8Array.of(0));
    load();
    return [memory.read8(LOAD + 100), memory.read8(MODULE)];
  };
  return { boots, failures };
}

function directBoot(restored = false): { boot: DirectBoot; files: { kernel: string; initrd: string } } {
  const files = { kernel: path.join(folder, 'kernel'), initrd: path.join(folder, 'initrd') };
  const boot: DirectBoot = { kernel: kernel(1), initrd: new Uint8Array(8192).fill(2), cmdline: '', label: 'kernel' };
  writeFileSync(files.kernel, boot.kernel);
  writeFileSync(files.initrd, boot.initrd!);
  const logger = createLogger((_level, _scope, message) => log.push(message));
  releaseBootImages(boot, files, restored, logger);
  return { boot, files };
}

it('lets the images go when the guest has them, and reads them again for the next boot, also when the files are gone', () => {
  const { boot, files } = directBoot();
  expect(boot.kernel.length).toBe(4096);
  const { boots, failures } = guest(boot);
  expect(boots()[0]).toBe(1);
  expect([boot.kernel.length, boot.initrd!.length]).toEqual([0, 0]);
  unlinkSync(files.kernel);
  unlinkSync(files.initrd);
  expect(boots()).toEqual([1, 2]);
  expect([failures, log]).toEqual([[], []]);
});

it('keeps none for a guest that has booted before', () => {
  const { boot } = directBoot(true);
  const { boots } = guest(boot);
  expect(boot.kernel.length).toBe(0);
  expect(boots()[0]).toBe(1);
});

it('boots what is in a file that was written meanwhile, and says so; an image of another kind is a failure', () => {
  const { boot, files } = directBoot();
  const { boots, failures } = guest(boot);
  boots();
  writeFileSync(files.kernel, new Uint8Array([...kernel(7), 7]));
  expect(boots()[0]).toBe(7);
  expect(log.join()).toMatch(/kernel has changed/);
  writeFileSync(files.kernel, new Uint8Array(4096));
  boots();
  expect(String(failures[0])).toMatch(/neither a Linux bzImage nor a multiboot image/);
});

it('keeps images of files that it can not open', () => {
  const boot: DirectBoot = { kernel: kernel(1), initrd: undefined, cmdline: '', label: 'kernel' };
  releaseBootImages(
    boot,
    { kernel: path.join(folder, 'nothing'), initrd: undefined },
    false,
    createLogger(() => {}),
  );
  const { boots } = guest(boot);
  boots();
  expect(boots()[0]).toBe(1);
  expect(boot.kernel.length).toBe(4096);
});
