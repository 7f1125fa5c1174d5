import type { MmioBus } from '../bus/mmiobus.ts';
import type { MessageSink } from '../bus/pci/msi.ts';
import type { PortBus } from '../bus/portbus.ts';
import type { DisplayAdapter } from '../devices/display/displayadapter.ts';
import { Vga } from '../devices/display/vga.ts';
import { VirtioVga } from '../devices/virtio/virtiovga.ts';
import { GPU_MEMORY_BYTES } from '../memory/gpumemory.ts';
import type { GuestMemory } from '../memory/guestmemory.ts';
import { GUEST_RAM_BASE } from '../memory/layout.ts';
import type { PhysMap } from '../memory/physmap.ts';
import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/logger.ts';
import type { MachineDefinition } from './definition.ts';

export interface DisplayParts {
  definition: MachineDefinition;
  ports: PortBus;
  mmio: MmioBus;
  physMap: PhysMap;
  memory: WebAssembly.Memory;
  guestMemory: GuestMemory;
  message: MessageSink;
  clock: Clock;
  log: Logger;
}

/** The display of the definition. Both are called 'vga' and sit in the same place. */
export function createDisplay({ definition, guestMemory, message, ...parts }: DisplayParts): DisplayAdapter {
  const { vramBytes, vgaBios: rom, ramBytes } = definition;
  const options = { id: 'vga', vramBytes, rom, ...parts };
  if (definition.display !== 'virtio') return new Vga(options);
  return new VirtioVga({ ...options, guestMemory, message, pictures: { base: GUEST_RAM_BASE + ramBytes, size: GPU_MEMORY_BYTES } });
}

/** Bytes behind guest RAM that the machine needs. */
export function memoryBehindRam(definition: Pick<MachineDefinition, 'display'>): number {
  return definition.display === 'virtio' ? GPU_MEMORY_BYTES : 0;
}
