import type { FwCfg } from '../../devices/platform/fwcfg.ts';
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { DirectBoot } from '../definition.ts';
import type { BootPlan } from './bootplan.ts';
import { buildBootRom, readMemoryMap, writeProtectedEntry } from './bootrom.ts';
import { isBzImage, planBzImage } from './bzimage.ts';
import { planMultiboot } from './multiboot.ts';

/** Firmware-configuration item of our own; QEMU's own architecture-local items end far below. */
const FW_CFG_LOAD_IMAGE = 0x8100;
/** SeaBIOS runs ROMs in this folder, and boots what `bootorder` names first. */
const ROM_FILE = 'genroms/hypervue.bin';

/** Checks the image against the machine. Throws what `planBzImage` and `planMultiboot` throw. */
export function planDirectBoot(boot: DirectBoot, ramBytes: number): BootPlan {
  return isBzImage(boot.kernel) ? planBzImage(boot, ramBytes) : planMultiboot(boot, ramBytes);
}

const NO_IMAGE = new Uint8Array(0);

export interface DirectBootParts {
  boot: DirectBoot;
  /** What planDirectBoot() gave for `boot`. */
  plan: BootPlan;
  ramBytes: number;
  fwCfg: FwCfg;
  memory: GuestMemory;
  /** The images can't be had again. */
  failed(error: unknown): void;
}

/** Lets the firmware boot `plan` instead of a drive; it does so again after every reset. */
export function installDirectBoot({ boot, plan, ramBytes, fwCfg, memory, failed }: DirectBootParts): void {
  const { entry } = plan;
  let ready: BootPlan | undefined = plan;
  /** What is planned keeps the images; nobody else needs them. */
  const release = (): void => {
    if (!boot.again) return;
    ready = undefined;
    boot.kernel = NO_IMAGE;
    boot.initrd &&= NO_IMAGE;
  };
  if (boot.booted) release();
  fwCfg.addFile(ROM_FILE, buildBootRom(entry, FW_CFG_LOAD_IMAGE));
  fwCfg.addFile('bootorder', new TextEncoder().encode(`/rom@${ROM_FILE}\nHALT\0`));
  fwCfg.add(FW_CFG_LOAD_IMAGE, new Uint8Array(0), () => {
    try {
      ready ??= planDirectBoot({ ...boot, ...boot.again!() }, ramBytes);
      if (ready.entry.mode !== entry.mode) throw new Error(`${boot.label} is an image of another kind now`);
    } catch (error) {
      failed(error);
      return;
    }
    ready.load(memory, readMemoryMap(memory));
    if (ready.entry.mode === 'protected') writeProtectedEntry(memory, ready.entry);
    release();
  });
}
