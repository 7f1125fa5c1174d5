/**
 * VGA with Bochs VBE as a PCI function, 1234:1111: what SeaVGABIOS (stdvga), Linux' bochs driver and every VGA program drive.
 * QEMU's docs/specs/standard-vga.rst.
 *
 *   BAR 0   linear frame buffer, prefetchable
 *   BAR 2   4 KiB of registers (vgachip.ts)
 *   ROM     the VGA BIOS
 */
import type { ResetKind } from '../../bus/device.ts';
import type { MmioRange } from '../../bus/mmiobus.ts';
import { ROM_BAR } from '../../bus/pci/config.ts';
import { PciDevice } from '../../bus/pci/pcidevice.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { DisplayAdapter } from './displayadapter.ts';
import { REGISTERS_BYTES, VgaChip, type VgaChipOptions } from './vgachip.ts';

const STATE_VERSION = 1;

export class Vga extends PciDevice implements DisplayAdapter {
  private readonly chip: VgaChip;

  constructor(options: VgaChipOptions) {
    super(options.id, { vendor: 0x1234, device: 0x1111, revision: 2, classCode: 0x030000, subsystemVendor: 0x1af4, subsystem: 0x1100 });
    this.chip = new VgaChip(options);
    const { mmio, log } = options;
    this.addBar(0, this.chip.frameBuffer);
    let range: MmioRange | undefined;
    this.addBar(2, {
      kind: 'memory',
      size: REGISTERS_BYTES,
      onMapped: (base) => {
        range = { owner: this.id, base, length: REGISTERS_BYTES, handler: this.chip.registers };
        // Where firmware put it over another device, that device keeps its addresses.
        try {
          mmio.register(range);
        } catch (error) {
          range = undefined;
          log.guest(`register window at 0x${base.toString(16)} is not possible: ${String(error)}`);
        }
      },
      onUnmapped: () => {
        if (range) mmio.unregister(range);
        range = undefined;
      },
    });
    this.addBar(ROM_BAR, this.chip.rom);
  }

  override reset(kind: ResetKind): void {
    super.reset(kind);
    this.chip.reset(kind);
  }

  override save(): DeviceState {
    return { ...this.saveRegisters(), vram: this.chip.saveMemory() };
  }

  saveRegisters(): DeviceState {
    return { version: STATE_VERSION, pci: super.save(), ...this.chip.saveRegisters() };
  }

  override restore(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, STATE_VERSION);
    const vram = reader.bytes('vram', this.chip.memoryBytes);
    this.chip.restoreMemory(vram);
    this.restoreRegisters(state);
  }

  restoreRegisters(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, STATE_VERSION);
    reader.object('pci');
    super.restore(state.pci as DeviceState);
    this.chip.restoreRegisters(reader);
  }
}
