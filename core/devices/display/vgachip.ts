/**
 * The VGA with Bochs VBE, without the PCI function that it sits in: registers at their ports and in a window, video memory, ROM.
 * Spec: IBM PS/2 Video Subsystem Technical Reference (1992), FreeVGA's register pages; Bochs VBE Display Interface;
 * QEMU's docs/specs/standard-vga.rst for the window of 4 KiB: 000 EDID, 400 ports 3C0-3DF, 500 dispi registers as words.
 */
import type { ResetKind } from '../../bus/device.ts';
import type { MmioBus, MmioHandler } from '../../bus/mmiobus.ts';
import type { PciBar } from '../../bus/pci/pcidevice.ts';
import type { PortBus } from '../../bus/portbus.ts';
import { OPTION_ROM_BASE, PM_READ, PM_ROM, PM_WRITE, VRAM_BASE, VRAM_MAX } from '../../memory/layout.ts';
import type { PhysMap } from '../../memory/physmap.ts';
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { Clock } from '../../util/clock.ts';
import { HypervueError } from '../../util/errors.ts';
import type { Logger } from '../../util/logger.ts';
import { AttributeController } from './attribute.ts';
import { Crtc } from './crtc.ts';
import { Dac } from './dac.ts';
import { PublishedRegisters, SINGLE_MISC } from './displayregs.ts';
import { buildEdid } from './edid.ts';
import { GraphicsController } from './graphics.ts';
import { beamStatus } from './retrace.ts';
import { Sequencer } from './sequencer.ts';
import { Vbe } from './vbe.ts';
import { VideoMemory } from './videomemory.ts';

const WINDOW_BASE = 0xa0000;
const WINDOW_LENGTH = 0x20000;
/** The part of the window that can be plain memory. */
const DIRECT_LENGTH = 0x10000;
const ROM_BYTES = 0x10000;
export const REGISTERS_BYTES = 0x1000;
const REGISTERS_PORTS = 0x400;
const REGISTERS_DISPI = 0x500;
const DISPI_WORDS = 11;

const VRAM_MIN = 0x40000;
const MONITOR_WIDTH = 1280;
const MONITOR_HEIGHT = 800;

// Ports, as offsets from 3C0.
const PORT_BASE = 0x3c0;
const P_ATTRIBUTE = 0x0;
const P_ATTRIBUTE_READ = 0x1;
/** Writes: miscellaneous output. Reads: input status 0. */
const P_MISC_WRITE = 0x2;
const P_ENABLE = 0x3;
const P_SEQ_INDEX = 0x4;
const P_SEQ_DATA = 0x5;
const P_PEL_MASK = 0x6;
/** Writes: palette index for reading. Reads: DAC state. */
const P_DAC_READ_INDEX = 0x7;
const P_DAC_WRITE_INDEX = 0x8;
const P_DAC_DATA = 0x9;
const P_FEATURE_READ = 0xa;
const P_MISC_READ = 0xc;
const P_GRAPHICS_INDEX = 0xe;
const P_GRAPHICS_DATA = 0xf;
const P_CRTC_INDEX = 0x14;
const P_CRTC_DATA = 0x15;
/** Reads: input status 1. Writes: feature control. */
const P_STATUS1 = 0x1a;
/** CRTC and status ports on a monochrome adapter lie 0x20 lower. */
const MONO_SHIFT = 0x20;

const MISC_COLOR = 0x01;
const MISC_RAM_ENABLE = 0x02;

const DISPI_INDEX_PORT = 0x1ce;
/** Offset of the second data port, for architectures that want it aligned. */
const DISPI_DATA_ALIGNED = 2;

export interface VgaChipOptions {
  id: string;
  ports: PortBus;
  mmio: MmioBus;
  physMap: PhysMap;
  memory: WebAssembly.Memory;
  /** Bytes of video memory, a multiple of 64 KiB. */
  vramBytes: number;
  /** The VGA BIOS, at most 64 KiB. */
  rom: Uint8Array;
  clock: Clock;
  log: Logger;
}

export class VgaChip {
  /** BAR 0, the linear frame buffer, and the ROM's. */
  readonly frameBuffer: PciBar;
  readonly rom: PciBar;
  /** The window of registers, REGISTERS_BYTES long. */
  readonly registers: MmioHandler;
  private readonly id: string;
  private readonly options: VgaChipOptions;
  private readonly published: PublishedRegisters;
  private readonly sequencer: Sequencer;
  private readonly crtc: Crtc;
  private readonly graphics: GraphicsController;
  private readonly attribute: AttributeController;
  private readonly dac: Dac;
  private readonly vbe: Vbe;
  private readonly video: VideoMemory;
  private readonly edid = buildEdid(MONITOR_WIDTH, MONITOR_HEIGHT);
  private feature = 0;
  private enabled = true;
  /** Byte of video memory that A0000 maps directly, or undefined while the window goes through `video`. */
  private directAt: number | undefined;

  constructor(options: VgaChipOptions) {
    this.id = options.id;
    const { memory, vramBytes, rom, ports, mmio, physMap } = options;
    if (!(vramBytes >= VRAM_MIN && vramBytes <= VRAM_MAX) || vramBytes % 0x10000 !== 0)
      throw new HypervueError('invalid-argument', `${vramBytes} bytes of video memory are not possible`, { object: options.id });
    if (rom.length > ROM_BYTES) throw new HypervueError('invalid-argument', 'the VGA BIOS is larger than 64 KiB', { object: options.id });
    this.options = options;
    this.published = new PublishedRegisters(memory, vramBytes);
    this.sequencer = new Sequencer(this.published.sequencer);
    this.crtc = new Crtc(this.published.crtc);
    this.graphics = new GraphicsController(this.published.graphics);
    this.attribute = new AttributeController(this.published.attribute, this.published.single);
    this.dac = new Dac(this.published.palette, this.published.single);
    this.vbe = new Vbe(this.published.vbe, vramBytes, { clear: (bytes) => this.video.clear(bytes) });
    this.video = new VideoMemory(memory, vramBytes, this.sequencer, this.graphics);

    const romArea = new Uint8Array(memory.buffer, OPTION_ROM_BASE, ROM_BYTES);
    romArea.fill(0);
    romArea.set(rom);
    this.frameBuffer = {
      kind: 'memory',
      size: 2 ** Math.ceil(Math.log2(vramBytes)),
      prefetch: true,
      onMapped: (base) => physMap.mapWindow(base, VRAM_BASE, vramBytes, PM_READ | PM_WRITE),
      onUnmapped: (base) => physMap.unmapWindow(base, VRAM_BASE, vramBytes),
    };
    this.rom = {
      kind: 'memory',
      size: ROM_BYTES,
      onMapped: (base) => physMap.mapWindow(base, OPTION_ROM_BASE, ROM_BYTES, PM_READ | PM_ROM),
      onUnmapped: (base) => physMap.unmapWindow(base, OPTION_ROM_BASE, ROM_BYTES),
    };
    this.registers = this.registersHandler();

    this.registerPorts(ports, PORT_BASE, 16, (offset) => offset);
    this.registerPorts(ports, 0x3d4, 2, (offset) => P_CRTC_INDEX + offset);
    this.registerPorts(ports, 0x3da, 1, () => P_STATUS1);
    this.registerPorts(ports, 0x3b4, 2, (offset) => P_CRTC_INDEX + offset - MONO_SHIFT);
    this.registerPorts(ports, 0x3ba, 1, () => P_STATUS1 - MONO_SHIFT);
    this.registerDispi(ports);
    mmio.register({ owner: this.id, base: WINDOW_BASE, length: WINDOW_LENGTH, handler: this.video });
    this.resetRegisters();
  }

  reset(kind: ResetKind): void {
    this.resetRegisters();
    if (kind === 'power') this.video.clear(this.video.bytes.length);
  }

  /** All but video memory. */
  saveRegisters(): { [key: string]: StateValue } {
    return {
      misc: this.misc,
      feature: this.feature,
      enabled: this.enabled,
      sequencer: this.sequencer.save(),
      crtc: this.crtc.save(),
      graphics: this.graphics.save(),
      attribute: this.attribute.save(),
      dac: this.dac.save(),
      vbe: this.vbe.save(),
    };
  }

  saveMemory(): Uint8Array {
    return this.video.bytes.slice();
  }

  /** Before `restoreRegisters`. */
  restoreMemory(vram: Uint8Array): void {
    this.video.bytes.set(vram);
  }

  /** Bytes of video memory. */
  get memoryBytes(): number {
    return this.video.bytes.length;
  }

  /** All but video memory, which was put back already. */
  restoreRegisters(reader: StateReader): void {
    this.published.begin();
    try {
      this.published.single[SINGLE_MISC] = reader.byte('misc');
      this.feature = reader.byte('feature');
      this.enabled = reader.boolean('enabled');
      this.sequencer.restore(reader.object('sequencer'));
      this.crtc.restore(reader.object('crtc'));
      this.graphics.restore(reader.object('graphics'));
      this.attribute.restore(reader.object('attribute'));
      this.dac.restore(reader.object('dac'));
      this.vbe.restore(reader.object('vbe'));
    } finally {
      this.published.end();
    }
    this.video.touch(0, this.video.bytes.length);
    this.updateWindow();
  }

  private get misc(): number {
    return this.published.single[SINGLE_MISC]!;
  }

  private resetRegisters(): void {
    this.published.begin();
    this.published.single[SINGLE_MISC] = 0;
    this.feature = 0;
    this.enabled = true;
    this.sequencer.reset();
    this.crtc.reset();
    this.graphics.reset();
    this.attribute.reset();
    this.dac.reset();
    this.vbe.reset();
    this.published.end();
    this.updateWindow();
  }

  /** `place` turns an offset in the range into a port as an offset from 3C0. */
  private registerPorts(ports: PortBus, base: number, length: number, place: (offset: number) => number): void {
    ports.register({
      owner: this.id,
      base,
      length,
      handler: {
        read: (offset) => this.readPort(place(offset)),
        write: (offset, value) => this.writePort(place(offset), value),
      },
    });
  }

  private registerDispi(ports: PortBus): void {
    ports.register({
      owner: this.id,
      base: DISPI_INDEX_PORT,
      length: 4,
      maxSize: 2,
      handler: {
        read: (offset, size) => {
          if (offset > DISPI_DATA_ALIGNED) return 0xff;
          const value = offset === 0 ? this.vbe.index : this.vbe.readData();
          return size === 1 ? value & 0xff : value;
        },
        write: (offset, value) => {
          if (offset === 0) this.vbe.index = value;
          else if (offset <= DISPI_DATA_ALIGNED) this.writeDispi(value);
        },
      },
    });
  }

  private writeDispi(value: number): void {
    this.published.begin();
    this.vbe.writeData(value);
    this.dac.eightBit = this.vbe.eightBitDac;
    this.published.end();
    this.updateWindow();
  }

  private readPort(port: number): number {
    if (port === P_ENABLE) return this.enabled ? 1 : 0;
    const place = this.decode(port);
    switch (place) {
      case P_ATTRIBUTE:
        return this.attribute.index;
      case P_ATTRIBUTE_READ:
        return this.attribute.readData();
      case P_MISC_WRITE:
        // Input status 0: no monitor sense, no interrupt pending.
        return 0;
      case P_SEQ_INDEX:
        return this.sequencer.index;
      case P_SEQ_DATA:
        return this.sequencer.readData();
      case P_PEL_MASK:
        return this.dac.mask;
      case P_DAC_READ_INDEX:
        return this.dac.state;
      case P_DAC_WRITE_INDEX:
        return this.dac.index;
      case P_DAC_DATA:
        return this.dac.readData();
      case P_FEATURE_READ:
        return this.feature;
      case P_MISC_READ:
        return this.misc;
      case P_GRAPHICS_INDEX:
        return this.graphics.index;
      case P_GRAPHICS_DATA:
        return this.graphics.readData();
      case P_CRTC_INDEX:
        return this.crtc.index;
      case P_CRTC_DATA:
        return this.crtc.readData();
      case P_STATUS1:
        this.attribute.expectsData = false;
        return beamStatus(this.published.crtc, this.options.clock.now());
      default:
        return 0xff;
    }
  }

  private writePort(port: number, value: number): void {
    if (port === P_ENABLE) {
      this.enabled = (value & 1) !== 0;
      this.updateWindow();
      return;
    }
    const place = this.decode(port);
    switch (place) {
      // Index registers are not published.
      case P_SEQ_INDEX:
        this.sequencer.index = value & 7;
        return;
      case P_GRAPHICS_INDEX:
        this.graphics.index = value & 0xf;
        return;
      case P_CRTC_INDEX:
        this.crtc.index = value;
        return;
      case P_DAC_READ_INDEX:
        this.dac.startRead(value);
        return;
      case P_DAC_WRITE_INDEX:
        this.dac.startWrite(value);
        return;
      case P_STATUS1:
        this.feature = value & 0x0b;
        return;
    }
    this.published.begin();
    switch (place) {
      case P_ATTRIBUTE:
        this.attribute.write(value);
        break;
      case P_MISC_WRITE:
        this.published.single[SINGLE_MISC] = value & 0xef;
        break;
      case P_SEQ_DATA:
        this.sequencer.writeData(value);
        break;
      case P_PEL_MASK:
        this.dac.mask = value;
        break;
      case P_DAC_DATA:
        this.dac.writeData(value);
        break;
      case P_GRAPHICS_DATA:
        this.graphics.writeData(value);
        break;
      case P_CRTC_DATA:
        this.crtc.writeData(value);
        break;
    }
    this.published.end();
    if (place === P_MISC_WRITE || place === P_SEQ_DATA || place === P_GRAPHICS_DATA) this.updateWindow();
  }

  /** The CRTC and status ports answer at 3Dx on a colour and at 3Bx on a monochrome adapter; a disabled chip answers nowhere. */
  private decode(port: number): number {
    if (!this.enabled) return -1;
    const shared = port >= 0 && port < 0x10;
    if (shared) return port;
    const color = (this.misc & MISC_COLOR) !== 0;
    if (port < 0) return color ? -1 : port + MONO_SHIFT;
    return color ? port : -1;
  }

  /** Recomputes how A0000-BFFFF reaches video memory, directly where every byte lies where the processor sees it. */
  private updateWindow(): void {
    const { physMap, vramBytes } = this.options;
    const packed = this.vbe.packed;
    const enabled = this.enabled && ((this.misc & MISC_RAM_ENABLE) !== 0 || packed);
    const bank = this.vbe.enabled ? this.vbe.bankOffset : 0;
    this.video.update({ enabled, packed, bank });
    const plain = packed || (this.sequencer.chain4 && this.sequencer.mapMask === 0xf && this.graphics.transparent);
    const lowWindow = packed || this.graphics.memoryMap === 1;
    const direct = enabled && plain && lowWindow && bank + DIRECT_LENGTH <= vramBytes ? bank : undefined;
    if (direct === this.directAt) return;
    if (direct === undefined) physMap.unmap(WINDOW_BASE, DIRECT_LENGTH);
    else physMap.mapRam(WINDOW_BASE, VRAM_BASE + direct, DIRECT_LENGTH);
    this.directAt = direct;
  }

  private registersHandler(): MmioHandler {
    return {
      read: (offset, size) => {
        if (offset >= REGISTERS_DISPI && offset < REGISTERS_DISPI + DISPI_WORDS * 2) {
          const word = this.withDispi((offset - REGISTERS_DISPI) >> 1, () => this.vbe.readData());
          const next = size === 4 ? this.withDispi(((offset - REGISTERS_DISPI) >> 1) + 1, () => this.vbe.readData()) : 0;
          return size === 1 ? (word >> ((offset & 1) * 8)) & 0xff : word | (next << 16);
        }
        let value = 0;
        for (let i = 0; i < size; i++) value |= this.readRegisterByte(offset + i) << (i * 8);
        return value;
      },
      write: (offset, value, size) => {
        if (offset >= REGISTERS_DISPI && offset < REGISTERS_DISPI + DISPI_WORDS * 2) {
          // Words are the only width that drivers use; a byte would write half a register.
          if (size === 1) return;
          const index = (offset - REGISTERS_DISPI) >> 1;
          this.withDispi(index, () => this.writeDispi(value & 0xffff));
          if (size === 4 && index + 1 < DISPI_WORDS) this.withDispi(index + 1, () => this.writeDispi(value >>> 16));
          return;
        }
        for (let i = 0; i < size; i++) this.writeRegisterByte(offset + i, (value >>> (i * 8)) & 0xff);
      },
    };
  }

  private readRegisterByte(offset: number): number {
    if (offset < REGISTERS_PORTS) return this.edid[offset] ?? 0;
    return offset < REGISTERS_PORTS + 0x20 ? this.readPort(offset - REGISTERS_PORTS) : 0;
  }

  private writeRegisterByte(offset: number, value: number): void {
    if (offset >= REGISTERS_PORTS && offset < REGISTERS_PORTS + 0x20) this.writePort(offset - REGISTERS_PORTS, value);
  }

  /** Accesses a dispi register by number without disturbing the index port. */
  private withDispi<T>(index: number, access: () => T): T {
    const kept = this.vbe.index;
    this.vbe.index = index;
    try {
      return access();
    } finally {
      this.vbe.index = kept;
    }
  }
}
