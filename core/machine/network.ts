import type { PacketBackend } from '../backend/packet.ts';
import type { Device } from '../bus/device.ts';
import type { MmioBus } from '../bus/mmiobus.ts';
import type { MessageSink } from '../bus/pci/msi.ts';
import type { PciBus } from '../bus/pci/pcibus.ts';
import type { PortBus } from '../bus/portbus.ts';
import { E1000 } from '../devices/net/e1000.ts';
import { VirtioNet } from '../devices/net/virtionet.ts';
import type { GuestMemory } from '../memory/guestmemory.ts';
import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/logger.ts';
import type { CardBay } from './definition.ts';
import { NET_SLOTS } from './slots.ts';

export interface NetworkParts {
  pci: PciBus;
  ports: PortBus;
  mmio: MmioBus;
  memory: GuestMemory;
  message: MessageSink;
  clock: Clock;
  cards: readonly CardBay[];
  cable(id: string): PacketBackend;
  add<T extends Device>(device: T): T;
  log: Logger;
}

/** Creates the network cards. */
export function addNetwork({ pci, ports, mmio, memory, message, clock, cards, cable, add, log }: NetworkParts): void {
  for (const { id, model, mac, bootRom: rom } of cards) {
    const bytes = Uint8Array.from(mac.split(':'), (byte) => Number.parseInt(byte, 16));
    const options = { id, mmio, memory, cable: cable(id), mac: bytes, rom, log: log.child(id) };
    pci.attach(
      NET_SLOTS[id],
      0,
      add(model === 'virtio' ? new VirtioNet({ ...options, message }) : new E1000({ ...options, ports, clock })),
    );
  }
}
