import { createHash } from 'node:crypto';
import type { BlockInfo } from '../backend/block.ts';
import type { MachineDefinition } from '../machine/definition.ts';
import type { Machine } from '../machine/machine.ts';
import { GUEST_RAM_BASE, VRAM_BASE } from '../memory/layout.ts';

/** SHA-256 of everything that makes up a machine at one moment, in hexadecimal: equal for two machines that will do the same from here on. */
export interface StateHash {
  /** Machine time, nanoseconds. */
  at: number;
  /** Instructions executed since the start. */
  instructions: number;
  /** Of all parts. */
  hash: string;
  /** `cpu`, `ram`, `vram` and each device by its id: which part is different. */
  parts: { [part: string]: string };
}

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');

/** Between slices of guest code. */
export function stateHash(machine: Machine, memory: WebAssembly.Memory, ramBytes: number, vramBytes: number, at: number): StateHash {
  const parts: { [part: string]: string } = {
    cpu: sha256(text(machine.accelerator.getState())),
    ram: sha256(new Uint8Array(memory.buffer, GUEST_RAM_BASE, ramBytes)),
    vram: sha256(new Uint8Array(memory.buffer, VRAM_BASE, vramBytes)),
  };
  for (const [id, state] of Object.entries(machine.saveDevices())) parts[id] = sha256(text(state));
  const { instructions } = machine.accelerator;
  return { at, instructions, hash: sha256(text([at, instructions, parts])), parts };
}

/** SHA-256 of what a machine is made of: firmware, boot images, chips, and the sizes of its media (not what is on them). */
export function machineFingerprint(definition: MachineDefinition, media: { [drive: string]: BlockInfo }): string {
  const { name: _name, ...rest } = definition;
  const sizes = Object.entries(media).map(([drive, { sizeBytes, readOnly }]) => [drive, sizeBytes, readOnly]);
  // Named only where there are some: recordings of before know of none.
  const cards = rest.cards.length ? rest.cards : undefined;
  return sha256(text([{ ...rest, cards, time: { ...rest.time, paced: undefined } }, sizes]));
}

function text(value: unknown): string {
  return JSON.stringify(value, (_, item) =>
    typeof item === 'bigint'
      ? `0x${item.toString(16)}`
      : ArrayBuffer.isView(item)
        ? sha256(new Uint8Array(item.buffer, item.byteOffset, item.byteLength))
        : item,
  );
}
