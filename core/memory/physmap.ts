import { PHYS_MAP_BASE, PM_READ, PM_ROM, PM_WRITE } from './layout.ts';

/**
 * Guest-physical page table below 4 GiB: which 4 KiB pages are memory, where in the shared memory they lie and what may be done to
 * them directly. Changing it calls the `onChange` listeners so that accelerators drop their TLBs.
 */
export class PhysMap {
  private readonly entries: Uint32Array;
  private readonly listeners: (() => void)[] = [];

  constructor(memory: WebAssembly.Memory) {
    this.entries = new Uint32Array(memory.buffer, PHYS_MAP_BASE, 0x100000);
  }

  /** Guest-physical `gpa`, byte `offset` in the shared memory and `length` are multiples of 4096; `flags` are PM_*. */
  map(gpa: number, offset: number, length: number, flags: number): void {
    for (let done = 0; done < length; done += 4096) this.entries[(gpa + done) / 4096] = (((offset + done) & 0xfffff000) | flags) >>> 0;
    this.changed();
  }

  mapRam(gpa: number, offset: number, length: number): void {
    this.map(gpa, offset, length, PM_READ | PM_WRITE);
  }

  mapRom(gpa: number, offset: number, length: number): void {
    this.map(gpa, offset, length, PM_READ | PM_ROM);
  }

  /**
   * Memory behind a device's movable window, with the flags of `map`. The board's RAM and ROM are decoded before it: only pages that nobody has
   * become the window's, so that a guest which moves it over its own RAM does not lose that RAM.
   */
  mapWindow(gpa: number, offset: number, length: number, flags: number): void {
    for (let done = 0; done < length; done += 4096)
      if (this.entries[(gpa + done) / 4096] === 0) this.entries[(gpa + done) / 4096] = (((offset + done) & 0xfffff000) | flags) >>> 0;
    this.changed();
  }

  /** Takes away what `mapWindow` with the same place mapped. */
  unmapWindow(gpa: number, offset: number, length: number): void {
    for (let done = 0; done < length; done += 4096) {
      const page = (gpa + done) / 4096;
      if ((this.entries[page]! & 0xfffff000) >>> 0 === offset + done) this.entries[page] = 0;
    }
    this.changed();
  }

  unmap(gpa: number, length: number): void {
    this.entries.fill(0, gpa / 4096, (gpa + length) / 4096);
    this.changed();
  }

  /** The raw entry of the page that holds `gpa`; 0 when unmapped or at or above 4 GiB. */
  entry(gpa: number): number {
    return this.entries[Math.floor(gpa / 4096)] ?? 0;
  }

  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  private changed(): void {
    for (const listener of this.listeners) listener();
  }
}
