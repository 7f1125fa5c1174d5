/**
 * What the firmware is to boot, as Open Firmware device paths, one a line: fw_cfg file "bootorder" (SeaBIOS, docs/Runtime_config.md; OVMF reads the same).
 * SeaBIOS tries what is not named after what is, unless the last line is HALT (QEMU's `-boot strict=on`).
 */
import { bootSequence } from '../../contract/bootsequence.ts';
import { busOf } from '../../contract/driveplaces.ts';
import type { CardBay, DriveBay, MachineDefinition } from '../definition.ts';
import { AHCI_SLOT, IDE_SLOT, NET_SLOTS, USB_SLOT, usbConnector, virtioSlot } from '../slots.ts';

/** Drives and network cards in the machine's order. A drive that is not in it is started from when it is chosen in the boot menu, and never otherwise. */
export function bootOrder({ bootOrder, drives, cards }: Pick<MachineDefinition, 'bootOrder' | 'drives' | 'cards'>): Uint8Array {
  const { tried } = bootSequence(bootOrder, [...drives, ...cards]);
  const unnamed = bootSequence(bootOrder, drives).rest.length > 0;
  const lines = [...tried.map((device) => ('kind' in device ? drivePath(device) : cardPath(device))), ...(unnamed ? ['HALT'] : [])];
  return new TextEncoder().encode(`${lines.join('\n')}\0`);
}

/** fw_cfg file "etc/boot-menu-wait": milliseconds, little-endian, in 16 bits (OVMF takes no other length). */
export function bootMenuWait(seconds: number): Uint8Array {
  const milliseconds = Math.min(seconds * 1000, 0xffff);
  return Uint8Array.of(milliseconds & 0xff, milliseconds >> 8);
}

const cardPath = ({ id }: CardBay): string => `/pci@i0cf8/ethernet@${NET_SLOTS[id].toString(16)}/ethernet-phy@0`;

function drivePath({ id }: DriveBay): string {
  const number = Number(/\d+$/.exec(id)![0]);
  switch (busOf(id)) {
    case 'floppy':
      return `/pci@i0cf8/isa@1/fdc@03f0/floppy@${number}`;
    case 'virtio':
      return `/pci@i0cf8/scsi@${virtioSlot(number).toString(16)}/disk@0,0`;
    case 'sata':
      return `/pci@i0cf8/pci8086,2922@${AHCI_SLOT}/drive@${number}/disk@0`;
    case 'usb':
      return `/pci@i0cf8/usb@${USB_SLOT.toString(16)}/storage@${usbConnector(number)}/channel@0/disk@0,0`;
    case 'ide':
      return `/pci@i0cf8/ide@${IDE_SLOT},1/drive@${number >> 1}/disk@${number & 1}`;
  }
}
