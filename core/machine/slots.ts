/** PCI places of the board. They never change: a guest finds a device again by its place. Slot 3 is for a network card. */
export const BRIDGE_SLOT = 0;
export const ISA_SLOT = 1;
/** Functions 1 and 3 of the ISA bridge's slot. */
export const IDE_SLOT = ISA_SLOT;
export const VGA_SLOT = 2;
export const AHCI_SLOT = 4;
const FIRST_VIRTIO_SLOT = 8;

/** Place of the disk `virtio<number>`. */
export function virtioSlot(number: number): number {
  return FIRST_VIRTIO_SLOT + number;
}
