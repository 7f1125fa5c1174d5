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

/** Lets the firmware boot `plan` instead of a drive; it does so again after every reset. */
export function installDirectBoot(plan: BootPlan, fwCfg: FwCfg, memory: GuestMemory): void {
  fwCfg.addFile(ROM_FILE, buildBootRom(plan.entry, FW_CFG_LOAD_IMAGE));
  fwCfg.addFile('bootorder', new TextEncoder().encode(`/rom@${ROM_FILE}\nHALT\0`));
  fwCfg.add(FW_CFG_LOAD_IMAGE, new Uint8Array(0), () => {
    plan.load(memory, readMemoryMap(memory));
    if (plan.entry.mode === 'protected') writeProtectedEntry(memory, plan.entry);
  });
}
