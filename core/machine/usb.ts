import type { BlockDevice } from '../backend/asyncblock.ts';
import type { Device } from '../bus/device.ts';
import type { MmioBus } from '../bus/mmiobus.ts';
import type { MessageSink } from '../bus/pci/msi.ts';
import type { PciBus } from '../bus/pci/pcibus.ts';
import type { UsbDevice } from '../bus/usb/usbdevice.ts';
import { type DriveId, usbPlaces } from '../contract/driveplaces.ts';
import { UsbTablet } from '../devices/usb/tablet.ts';
import { usbCdrom, usbDisk } from '../devices/usb/usbdrives.ts';
import { Xhci } from '../devices/usb/xhci.ts';
import type { GuestMemory } from '../memory/guestmemory.ts';
import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/logger.ts';
import type { DriveBay, MachineDefinition } from './definition.ts';
import { TABLET_CONNECTOR, USB_SLOT, usbConnector } from './slots.ts';

export interface UsbParts {
  pci: PciBus;
  mmio: MmioBus;
  memory: GuestMemory;
  message: MessageSink;
  clock: Clock;
  definition: Pick<MachineDefinition, 'usb' | 'drives'>;
  drive(id: string): BlockDevice;
  add<T extends Device>(device: T): T;
  log: Logger;
}

/** Creates the USB controller, if the machine has one, with what is plugged into it at the start. */
export function addUsb(parts: UsbParts): { controller: Xhci; tablet: UsbTablet | undefined } | undefined {
  const { pci, mmio, memory, message, clock, definition, drive, add } = parts;
  if (!definition.usb) return undefined;
  const log = parts.log.child('usb');
  const controller = add(new Xhci({ id: 'usb', mmio, memory, message, clock, log }));
  pci.attach(USB_SLOT, 0, controller);
  const tablet = definition.usb.tablet ? new UsbTablet(clock) : undefined;
  if (tablet) controller.plug(TABLET_CONNECTOR, tablet);
  for (const bay of definition.drives) {
    const connector = usbConnectorOf(bay.id);
    if (connector !== undefined) controller.plug(connector, usbDrive(bay, drive(bay.id), log));
  }
  return { controller, tablet };
}

/** Connector of a USB drive; undefined for one that is elsewhere. */
export function usbConnectorOf(id: DriveId): number | undefined {
  const number = (usbPlaces as readonly DriveId[]).indexOf(id);
  return number < 0 ? undefined : usbConnector(number);
}

/** What is plugged in for a drive. */
export function usbDrive({ id, kind, writeCache }: DriveBay, block: BlockDevice, log: Logger): UsbDevice {
  const serial = `HVU${String((usbPlaces as readonly DriveId[]).indexOf(id)).padStart(5, '0')}`;
  const options = { block, serial, log: log.child(id) };
  return kind === 'cdrom' ? usbCdrom(options) : usbDisk({ ...options, writeCache });
}
