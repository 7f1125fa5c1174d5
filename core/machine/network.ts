import type { PacketBackend } from '../backend/packet.ts';
import type { Device } from '../bus/device.ts';
import type { MmioBus } from '../bus/mmiobus.ts';
import type { MessageSink } from '../bus/pci/msi.ts';
import type { PciBus } from '../bus/pci/pcibus.ts';
import { VirtioNet } from '../devices/net/virtionet.ts';
import type { GuestMemory } from '../memory/guestmemory.ts';
import type { Logger } from '../util/logger.ts';
import type { CardBay } from './definition.ts';
import { NET_SLOTS } from './slots.ts';

export interface NetworkParts {
  pci: PciBus;
  mmio: MmioBus;
  memory: GuestMemory;
  message: MessageSink;
  cards: readonly CardBay[];
  cable(id: string): PacketBackend;
  add<T extends Device>(device: T): T;
  log: Logger;
}

/** Creates the network cards. */
export function addNetwork({ pci, mmio, memory, message, cards, cable, add, log }: NetworkParts): void {
  for (const { id, model, mac } of cards) {
    if (model !== 'virtio') continue;
    const options = { id, mmio, memory, cable: cable(id), mac: Uint8Array.from(mac.split(':'), (byte) => Number.parseInt(byte, 16)) };
    pci.attach(NET_SLOTS[id], 0, add(new VirtioNet({ ...options, message, log: log.child(id) })));
  }
}
