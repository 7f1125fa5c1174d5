import type { BlockDevice } from '../backend/asyncblock.ts';
import type { Device } from '../bus/device.ts';
import type { IrqLine } from '../bus/irq.ts';
import type { MmioBus } from '../bus/mmiobus.ts';
import type { MessageSink } from '../bus/pci/msi.ts';
import type { PciBus } from '../bus/pci/pcibus.ts';
import type { PortBus } from '../bus/portbus.ts';
import { idePlaces, sataPlaces, virtioPlaces } from '../contract/driveplaces.ts';
import { Ahci } from '../devices/storage/ahci.ts';
import { Ide } from '../devices/storage/ide.ts';
import { VirtioBlk } from '../devices/virtio/virtioblk.ts';
import type { GuestMemory } from '../memory/guestmemory.ts';
import type { Logger } from '../util/logger.ts';
import type { DriveBay } from './definition.ts';
import { AHCI_SLOT, IDE_SLOT, virtioSlot } from './slots.ts';

export interface StorageParts {
  pci: PciBus;
  ports: PortBus;
  mmio: MmioBus;
  memory: GuestMemory;
  /** ISA interrupts 14 and 15. */
  ideIrqs: readonly [IrqLine, IrqLine];
  message: MessageSink;
  drives: readonly DriveBay[];
  drive(id: string): BlockDevice;
  add<T extends Device>(device: T): T;
  log: Logger;
}

/** Creates the disk controllers: IDE always, as the chipset has it; AHCI when a drive is there; one virtio function for each of its disks. */
export function addStorage({ pci, ports, mmio, memory, ideIrqs, message, drives, drive, add, log }: StorageParts): void {
  const bayAt = (id: string) => drives.find((bay) => bay.id === id);
  const ide = new Ide({
    id: 'ide',
    ports,
    memory,
    irqs: ideIrqs,
    drives: idePlaces.map((id, index) => {
      const bay = bayAt(id);
      return bay && bay.kind !== 'floppy'
        ? { kind: bay.kind, block: drive(id), serial: `HV${String(index).padStart(5, '0')}`, writeCache: bay.writeCache }
        : undefined;
    }),
    log: log.child('ide'),
  });
  pci.attach(IDE_SLOT, 1, add(ide));
  if (sataPlaces.some((id) => bayAt(id)))
    pci.attach(
      AHCI_SLOT,
      0,
      add(
        new Ahci({
          id: 'ahci',
          mmio,
          memory,
          message,
          drives: sataPlaces.map((id, index) => {
            const bay = bayAt(id);
            return bay && bay.kind !== 'floppy'
              ? { kind: bay.kind, block: drive(id), serial: `HVS${String(index).padStart(5, '0')}`, writeCache: bay.writeCache }
              : undefined;
          }),
          log: log.child('ahci'),
        }),
      ),
    );
  virtioPlaces.forEach((id, index) => {
    const bay = bayAt(id);
    if (!bay) return;
    const options = { id, mmio, memory, message, block: drive(id), serial: `HVV${String(index).padStart(5, '0')}` };
    pci.attach(virtioSlot(index), 0, add(new VirtioBlk({ ...options, writeCache: bay.writeCache, log: log.child(id) })));
  });
}
