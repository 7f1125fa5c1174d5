import type { ResetKind } from '../../bus/device.ts';
import type { MmioBus } from '../../bus/mmiobus.ts';
import { PciDevice } from '../../bus/pci/pcidevice.ts';
import type { AccessSize } from '../../bus/portbus.ts';
import type { GuestMemory } from '../../memory/guestmemory.ts';
import { BIOS_ROM_BASE, GUEST_RAM_BASE, PM_READ, PM_ROM, PM_WRITE } from '../../memory/layout.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';

/*
 * Intel 82441FX PCI and Memory Controller (PMC), data sheet 290549, sections 3.2.18 (PAM) and 3.2.19 (SMRAM).
 *
 * Programmable attribute map, 0x59..0x5f: seven registers, two 4-bit fields each. Bit 0 of a field: reads go to DRAM; bit 1: writes go to DRAM.
 *   0x59 high nibble   F0000-FFFFF
 *   0x5a low, high     C0000-C3FFF, C4000-C7FFF
 *   ...
 *   0x5f low, high     E8000-EBFFF, EC000-EFFFF
 */
const PAM0 = 0x59;
const PAM_LAST = 0x5f;
const PAM_READ = 1;
const PAM_WRITE = 2;
const SHADOW_BASE = 0xc0000;
const SHADOW_END = 0x100000;
const AREA_BYTES = 0x4000;
const SMRAM = 0x72;
const SMRAM_RESET = 0x02;
/** SMRAM.D_LCK: once set, the register is read-only until reset. */
const SMRAM_LOCK = 0x10;

export interface I440FxOptions {
  id: string;
  memory: GuestMemory;
  mmio: MmioBus;
  /** Bytes of the system BIOS at BIOS_ROM_BASE; its end is at 4 GiB and, the last 128 KiB, at 1 MiB. */
  biosBytes: number;
}

/** The host bridge 8086:1237: decides what C0000-FFFFF is, and maps RAM and the BIOS. */
export class I440Fx extends PciDevice {
  private readonly options: I440FxOptions;
  /** Attributes that the map shows, one for each 16 KiB; 0xff before the first time. */
  private readonly shownAttributes = new Uint8Array((SHADOW_END - SHADOW_BASE) / AREA_BYTES).fill(0xff);

  constructor(options: I440FxOptions) {
    super(options.id, { vendor: 0x8086, device: 0x1237, revision: 2, classCode: 0x060000, subsystemVendor: 0x1af4, subsystem: 0x1100 });
    this.options = options;
    for (let register = PAM0; register <= PAM_LAST; register++) this.writeMask[register] = 0x33;
    this.writeMask[SMRAM] = 0x7f;
    this.config[SMRAM] = SMRAM_RESET;
    this.seal();
    this.mapFixed();
    this.mapShadow();
    options.mmio.register({
      owner: this.id,
      base: SHADOW_BASE,
      length: SHADOW_END - SHADOW_BASE,
      handler: {
        read: (_, size) => 0xffffffff >>> (32 - size * 8),
        write: (offset, value, size) => this.writeShadow(SHADOW_BASE + offset, value, size),
      },
    });
  }

  override reset(kind: ResetKind): void {
    super.reset(kind);
    this.writeMask[SMRAM] = 0x7f;
    this.mapShadow();
  }

  override restore(state: DeviceState): void {
    super.restore(state);
    this.writeMask[SMRAM] = this.config[SMRAM]! & SMRAM_LOCK ? 0 : 0x7f;
    this.mapShadow();
  }

  protected override configWritten(offset: number, size: number): void {
    if (offset <= PAM_LAST && offset + size > PAM0) this.mapShadow();
    // System management mode is not implemented; the register keeps what firmware wrote and honours its lock.
    if (offset <= SMRAM && offset + size > SMRAM && this.config[SMRAM]! & SMRAM_LOCK) this.writeMask[SMRAM] = 0;
  }

  private mapFixed(): void {
    const { biosBytes } = this.options;
    const { physMap, ramBytes } = this.options.memory;
    physMap.mapRam(0, GUEST_RAM_BASE, Math.min(ramBytes, 0xa0000));
    if (ramBytes > 0x100000) physMap.mapRam(0x100000, GUEST_RAM_BASE + 0x100000, ramBytes - 0x100000);
    physMap.mapRom(0x1_0000_0000 - biosBytes, BIOS_ROM_BASE, biosBytes);
  }

  private mapShadow(): void {
    for (let gpa = SHADOW_BASE, area = 0; gpa < SHADOW_END; gpa += AREA_BYTES, area++) {
      const attributes = this.attributes(gpa);
      // Every change of the map costs the processor its TLB.
      if (this.shownAttributes[area] === attributes) continue;
      this.shownAttributes[area] = attributes;
      this.mapArea(gpa, attributes);
    }
  }

  /** The 4-bit field that rules address `gpa`. */
  private attributes(gpa: number): number {
    if (gpa >= 0xf0000) return this.config[PAM0]! >> 4;
    const area = Math.floor((gpa - SHADOW_BASE) / AREA_BYTES);
    return (this.config[PAM0 + 1 + (area >> 1)]! >> ((area & 1) * 4)) & 0xf;
  }

  /** Reads come from RAM or ROM, writes go to RAM or nowhere. A page that reads ROM and writes RAM has its writes sent to `writeShadow`. */
  private mapArea(gpa: number, attributes: number): void {
    const { physMap } = this.options.memory;
    const writeRam = (attributes & PAM_WRITE) !== 0;
    if (attributes & PAM_READ) physMap.map(gpa, GUEST_RAM_BASE + gpa, AREA_BYTES, writeRam ? PM_READ | PM_WRITE : PM_READ | PM_ROM);
    else {
      const rom = this.romOffset(gpa);
      if (rom !== undefined) physMap.map(gpa, rom, AREA_BYTES, writeRam ? PM_READ : PM_READ | PM_ROM);
      else physMap.unmap(gpa, AREA_BYTES);
    }
  }

  private writeShadow(gpa: number, value: number, size: AccessSize): void {
    if (this.attributes(gpa) & PAM_WRITE) this.options.memory.writeBehind(gpa, value, size);
  }

  private romOffset(gpa: number): number | undefined {
    const shown = Math.min(this.options.biosBytes, 0x20000);
    if (gpa >= SHADOW_END - shown) return BIOS_ROM_BASE + this.options.biosBytes - (SHADOW_END - gpa);
    return undefined;
  }
}
