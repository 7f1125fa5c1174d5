/** PCI places of the board. They never change: a guest finds a device again by its place. */
export const BRIDGE_SLOT = 0;
export const ISA_SLOT = 1;
/** Functions 1 and 3 of the ISA bridge's slot. */
export const IDE_SLOT = ISA_SLOT;
export const VGA_SLOT = 2;
export const AHCI_SLOT = 4;
/** Of net0 to net3. */
export const NET_SLOTS = { net0: 3, net1: 5, net2: 6, net3: 7 } as const;
const FIRST_VIRTIO_SLOT = 8;
export const USB_SLOT = 16;
/** Connectors of the USB controller, from 1: the tablet's; those of the disks follow; the others are for devices of this computer. */
export const TABLET_CONNECTOR = 1;
const FIRST_USB_DISK = 2;
export const HOST_USB_CONNECTORS = [6, 7, 8, 9, 10] as const;

/** Connector of the disk `usb<number>`. */
export function usbConnector(number: number): number {
  return FIRST_USB_DISK + number;
}

/** Place of the disk `virtio<number>`. */
export function virtioSlot(number: number): number {
  return FIRST_VIRTIO_SLOT + number;
}
