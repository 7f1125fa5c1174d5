/**
 * QEMU's "pc-testdev" (QEMU, hw/misc/pc-testdev.c), with which kvm-unit-tests checks what instructions do to ports and to memory that is no
 * RAM, and how interrupt lines behave. Only machines for tests have it, beside isa-debug-exit.
 */
import type { Device } from '../../bus/device.ts';
import type { IrqLine } from '../../bus/irq.ts';
import type { MmioBus } from '../../bus/mmiobus.ts';
import type { AccessSize, PortBus } from '../../bus/portbus.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';

/** Four bytes of storage, any size of access. */
const STORAGE_PORT = 0xe0;
/** Asks a hypervisor to drop its mapping of a page; there is nothing to do here. */
const FLUSH_PORT = 0xe4;
/** The storage again, bytes only. */
const STORAGE_BYTE_PORT = 0xe8;
/** One port for each line: its level. */
const LINE_PORT = 0x2000;
const LINES = 16;
const MEMORY_BASE = 0xff000000;
const MEMORY_BYTES = 0x10000;

export interface TestDeviceOptions {
  id: string;
  ports: PortBus;
  mmio: MmioBus;
  /** ISA interrupt lines 0 to 15. */
  lines: readonly IrqLine[];
}

export class TestDevice implements Device {
  readonly id: string;
  private readonly storage = new DataView(new ArrayBuffer(4));
  private readonly memory = new DataView(new ArrayBuffer(MEMORY_BYTES));
  private readonly lines: readonly IrqLine[];

  constructor({ id, ports, mmio, lines }: TestDeviceOptions) {
    this.id = id;
    this.lines = lines.slice(0, LINES);
    const storage = viewHandler(this.storage);
    ports.register({ owner: id, base: STORAGE_PORT, length: 4, maxSize: 4, handler: storage });
    ports.register({ owner: id, base: FLUSH_PORT, length: 4, maxSize: 4, handler: { read: () => 0, write: () => {} } });
    ports.register({ owner: id, base: STORAGE_BYTE_PORT, length: 4, handler: storage });
    ports.register({
      owner: id,
      base: LINE_PORT,
      length: LINES,
      maxSize: 4,
      handler: { read: () => 0, write: (offset, value) => this.lines[offset]?.set(value !== 0) },
    });
    mmio.register({ owner: id, base: MEMORY_BASE, length: MEMORY_BYTES, handler: viewHandler(this.memory) });
  }

  reset(_kind: 'power' | 'hard'): void {
    this.storage.setUint32(0, 0);
    new Uint8Array(this.memory.buffer).fill(0);
    for (const line of this.lines) line.set(false);
  }

  save(): DeviceState {
    return { version: 1, storage: this.storage.getUint32(0, true), memory: new Uint8Array(this.memory.buffer.slice(0)) };
  }

  restore(state: DeviceState): void {
    const from = StateReader.open(state, this.id, 1);
    this.storage.setUint32(0, from.number('storage', 0, 0xffffffff), true);
    new Uint8Array(this.memory.buffer).set(from.bytes('memory', MEMORY_BYTES));
  }
}

/** Accesses that begin inside the view; the buses let none end outside. */
function viewHandler(view: DataView) {
  return {
    read: (offset: number, size: AccessSize): number => {
      if (offset + size > view.byteLength) return 0;
      return size === 1 ? view.getUint8(offset) : size === 2 ? view.getUint16(offset, true) : view.getUint32(offset, true);
    },
    write: (offset: number, value: number, size: AccessSize): void => {
      if (offset + size > view.byteLength) return;
      if (size === 1) view.setUint8(offset, value);
      else if (size === 2) view.setUint16(offset, value, true);
      else view.setUint32(offset, value, true);
    },
  };
}
