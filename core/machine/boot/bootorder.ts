/**
 * What the firmware is to boot, as Open Firmware device paths, one a line: fw_cfg file "bootorder" (SeaBIOS, docs/Runtime_config.md; OVMF reads the same).
 * What is not named comes after it.
 */
import { busOf } from '../../contract/drives.ts';
import type { DriveBay, MachineDefinition } from '../definition.ts';
import { AHCI_SLOT, IDE_SLOT, virtioSlot } from '../slots.ts';

/** The drives of each kind in the order of kinds, those of one kind in the order of the machine's list. */
export function bootOrder({ bootOrder, drives }: Pick<MachineDefinition, 'bootOrder' | 'drives'>): Uint8Array {
  const lines = bootOrder.flatMap((kind) => drives.filter((drive) => drive.kind === kind).map(devicePath));
  return new TextEncoder().encode(`${lines.join('\n')}\0`);
}

function devicePath({ id }: DriveBay): string {
  const number = Number(/\d+$/.exec(id)![0]);
  switch (busOf(id)) {
    case 'floppy':
      return `/pci@i0cf8/isa@1/fdc@03f0/floppy@${number}`;
    case 'virtio':
      return `/pci@i0cf8/scsi@${virtioSlot(number).toString(16)}/disk@0,0`;
    case 'sata':
      return `/pci@i0cf8/pci8086,2922@${AHCI_SLOT}/drive@${number}/disk@0`;
    case 'ide':
      return `/pci@i0cf8/ide@${IDE_SLOT},1/drive@${number >> 1}/disk@${number & 1}`;
  }
}
