import type { BlockDevice } from '../backend/asyncblock.ts';
import type { CharBackend } from '../backend/char.ts';
import type { PacketBackend } from '../backend/packet.ts';
import type { Device, ResetKind } from '../bus/device.ts';
import { type IrqLine, SharedLine } from '../bus/irq.ts';
import { bootKinds } from '../contract/bootsequence.ts';
import { MmioBus } from '../bus/mmiobus.ts';
import { PciBus } from '../bus/pci/pcibus.ts';
import type { UsbConnectors } from '../bus/usb/usbdevice.ts';
import { PortBus } from '../bus/portbus.ts';
import type { Accelerator, CpuBus } from '../cpu/accelerator.ts';
import { AccessCounter } from '../cpu/accesscounter.ts';
import { checkCpuState } from '../cpu/checkstate.ts';
import type { CpuState } from '../cpu/cpustate.ts';
import { S_GPR } from '../cpu/interp/wasm/stateoffsets.ts';
import { COM_PORTS, Uart16550 } from '../devices/char/uart16550.ts';
import type { DisplayAdapter } from '../devices/display/displayadapter.ts';
import { GuestInput } from '../devices/input/guestinput.ts';
import { I8042 } from '../devices/input/i8042.ts';
import { Ps2Keyboard } from '../devices/input/ps2keyboard.ts';
import { Ps2Mouse } from '../devices/input/ps2mouse.ts';
import { VmMouse } from '../devices/input/vmmouse.ts';
import { InterruptHub } from '../devices/intc/interrupthub.ts';
import { Ioapic } from '../devices/intc/ioapic.ts';
import { Lapic } from '../devices/intc/lapic.ts';
import { Pic } from '../devices/intc/pic.ts';
import { KvmClock } from '../devices/paravirt/kvmclock.ts';
import { CfiFlash } from '../devices/platform/cfiflash.ts';
import { DebugCon } from '../devices/platform/debugcon.ts';
import { DebugExit } from '../devices/platform/debugexit.ts';
import { Dma8237 } from '../devices/platform/dma8237.ts';
import {
  FW_CFG_BOOT_MENU,
  FW_CFG_IRQ0_OVERRIDE,
  FW_CFG_MAX_CPUS,
  FW_CFG_NB_CPUS,
  FW_CFG_RAM_SIZE,
  FW_CFG_UUID,
  FwCfg,
} from '../devices/platform/fwcfg.ts';
import { I440Fx } from '../devices/platform/i440fx.ts';
import { Piix3 } from '../devices/platform/piix3.ts';
import { Piix4Pm } from '../devices/platform/piix4pm.ts';
import { Port92 } from '../devices/platform/port92.ts';
import { PostPort } from '../devices/platform/post.ts';
import { TestDevice } from '../devices/platform/testdevice.ts';
import { uefiVariableBytes } from '../devices/platform/uefivariables.ts';
import { Fdc } from '../devices/storage/fdc.ts';
import { Hpet } from '../devices/timer/hpet.ts';
import { Pit } from '../devices/timer/pit.ts';
import { TSC_PER_NS, Tsc } from '../devices/timer/tsc.ts';
import { Port61 } from '../devices/timer/port61.ts';
import { type FloppyDriveType, Rtc } from '../devices/timer/rtc.ts';
import { GuestMemory } from '../memory/guestmemory.ts';
import { BIOS_ROM_BASE, BIOS_ROM_MAX, CPU_STATE_BASE } from '../memory/layout.ts';
import { MB_DEVICE_CALLS, Mailbox } from '../memory/mailbox.ts';
import { PhysMap } from '../memory/physmap.ts';
import type { DeviceState, StateValue } from '../snapshot/snapshottable.ts';
import { StateReader } from '../snapshot/statereader.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { Logger } from '../util/logger.ts';
import { installAcpi } from './acpi/acpifiles.ts';
import { bootMenuWait, bootOrder } from './boot/bootorder.ts';
import { installDirectBoot, planDirectBoot } from './boot/directboot.ts';
import type { MachineDefinition } from './definition.ts';
import { createDisplay } from './display.ts';
import { installE820 } from './e820.ts';
import { floppyDriveType } from './floppytype.ts';
import type { Deferred, MachineClock } from './machineclock.ts';
import { addNetwork } from './network.ts';
import { BRIDGE_SLOT, ISA_SLOT, VGA_SLOT } from './slots.ts';
import { installSmbios } from './smbios.ts';
import { addStorage } from './storage.ts';
import { addUsb } from './usb.ts';

/** IA32_TSC_DEADLINE. */
const MSR_TSC_DEADLINE = 0x6e0;
/** Where writes are interrupt messages. */
const MESSAGE_BASE = 0xfee0_0000;
const MESSAGE_BYTES = 0x10_0000;
const UART_IRQS = [4, 3] as const;
const MACHINE_STATE_VERSION = 1;
const PAGE_BYTES = 4096;
/** Inputs of the I/O APIC that neither ISA nor PCI interrupts use. */
const HPET_INPUTS = [20, 21, 22, 23] as const;

export interface MachineOptions {
  memory: WebAssembly.Memory;
  definition: MachineDefinition;
  clock: MachineClock;
  log: Logger;
  createAccelerator(bus: CpuBus): Accelerator;
  /** The block device behind a drive bay of the definition. */
  drive(id: string): BlockDevice;
  /** What the network card of this id is plugged into. */
  cable(id: string): PacketBackend;
  serial(index: number): CharBackend;
  debugConsole: CharBackend;
  /** The guest entered ACPI S5. */
  onPowerOff(): void;
  onDebugExit(code: number): void;
  onPointerMode(absolute: boolean): void;
  onLeds(leds: number): void;
  /** The guest changed a block of the flash memory at the start of the system BIOS image: FLASH_BLOCK_BYTES at `block` times that. */
  onFlash(block: number): void;
}

/** The `pc` board: i440FX and PIIX3 with everything a PC of its time has. Creates the chips, wires them, resets and saves them in order. */
export class Machine {
  readonly accelerator: Accelerator;
  readonly input: GuestInput;
  readonly guestMemory: GuestMemory;
  /** Where devices of this computer are plugged in; undefined without a USB controller. */
  readonly usb: UsbConnectors | undefined;
  private readonly devices: Device[] = [];
  private readonly options: MachineOptions;
  private readonly display = { width: 640, height: 480 };
  private readonly pm: Piix4Pm;
  private readonly vga: DisplayAdapter;
  private readonly pic: Pic;
  private readonly hub: InterruptHub;
  private readonly lapic: Lapic;
  private readonly ioapic: Ioapic;
  private accesses: { ports: AccessCounter; mmio: AccessCounter } | undefined;
  private resetRequested = false;
  private initRequested = false;
  private readonly intrSoon: Deferred;
  private readonly nmi: Deferred;
  private readonly resetSoon: Deferred;
  private readonly initSoon: Deferred;

  constructor(options: MachineOptions) {
    this.options = options;
    const { memory, definition, clock, log } = options;
    checkFirmware(definition);
    const plan = definition.directBoot && planDirectBoot(definition.directBoot, definition.ramBytes);
    const bytes = new Uint8Array(memory.buffer);
    const biosBytes = Math.ceil(definition.bios.length / 4096) * 4096;
    bytes.set(definition.bios, BIOS_ROM_BASE + biosBytes - definition.bios.length);

    const ports = new PortBus();
    const mmio = new MmioBus();
    const physMap = new PhysMap(memory);
    this.guestMemory = new GuestMemory(memory, physMap, definition.ramBytes);

    this.intrSoon = clock.deferred(() => this.accelerator.setIntr(true));
    this.nmi = clock.deferred(() => this.accelerator.nmi());
    this.resetSoon = clock.deferred(() => {
      this.resetRequested = true;
      this.accelerator.requestExit();
    });
    this.initSoon = clock.deferred(() => {
      this.initRequested = true;
      this.accelerator.requestExit();
    });
    this.hub = new InterruptHub((level) => {
      if (level) this.intrSoon.request();
      else {
        this.intrSoon.cancel();
        this.accelerator.setIntr(false);
      }
    });
    this.pic = this.add(new Pic({ id: 'pic', ports, intr: this.hub.extInt, log: log.child('pic') }));
    this.hub.connectPic(this.pic);
    const tsc = new Tsc(() => clock.now());
    const kvmClock = definition.paravirt ? this.add(new KvmClock({ id: 'kvmclock', memory: this.guestMemory, clock, tsc })) : undefined;
    const { words } = new Mailbox(memory);
    const called = () => {
      words[MB_DEVICE_CALLS]!++;
      clock.deviceCalled(this.accelerator);
    };
    const bus: CpuBus = {
      portRead: (port, size) => {
        called();
        this.accesses?.ports.read(port);
        return ports.read(port, size);
      },
      portWrite: (port, value, size) => {
        called();
        this.accesses?.ports.write(port);
        ports.write(port, value, size);
      },
      portReadMany: (port, size, into) => {
        called();
        this.accesses?.ports.read(port);
        return ports.readMany(port, size, into);
      },
      portWriteMany: (port, size, from) => {
        called();
        this.accesses?.ports.write(port);
        return ports.writeMany(port, size, from);
      },
      mmioRead: (gpa, size) => {
        called();
        this.accesses?.mmio.read(gpa - (gpa % 4));
        return mmio.read(gpa, size);
      },
      mmioWrite: (gpa, value, size) => {
        called();
        this.accesses?.mmio.write(gpa - (gpa % 4));
        mmio.write(gpa, value, size);
      },
      acknowledgeInterrupt: () => this.hub.acknowledge(),
      apicBaseChanged: (value) => this.lapic.setBase(value),
      readTsc: () => clock.now() * TSC_PER_NS,
      tscWritten: (value) => tsc.written(value),
      readMsr: (msr) => (msr === MSR_TSC_DEADLINE ? this.lapic.tscDeadline : (kvmClock?.readMsr(msr) ?? 0n)),
      writeMsr: (msr, value) => {
        if (msr !== MSR_TSC_DEADLINE) return kvmClock?.writeMsr(msr, value) ?? false;
        this.lapic.tscDeadline = value;
        return true;
      },
    };
    this.accelerator = options.createAccelerator(bus);
    clock.attach(this.accelerator);
    physMap.onChange(() => this.accelerator.flushTlb());
    this.guestMemory.onCodeWrite((offset) => this.accelerator.invalidateCode(offset));

    this.lapic = this.add(
      new Lapic({
        id: 'lapic',
        mmio,
        clock,
        tsc: definition.paravirt ? tsc : undefined,
        nmi: () => this.nmi.request(),
        init: () => this.requestInit(),
        broadcastEoi: (vector) => ioapic.endOfInterrupt(vector),
        ready: () => ioapic.retry(),
        log: log.child('lapic'),
      }),
    );
    this.hub.connectApic(this.lapic);
    const ioapic = this.add(new Ioapic({ id: 'ioapic', mmio, apic: this.lapic }));
    this.ioapic = ioapic;

    // Every ISA interrupt reaches both controllers; the guest masks the one it does not use.
    const isaLines = this.pic.inputs.map((picInput, irq) => {
      const ioapicInput = ioapic.inputs[isaToIoapic(irq)]!;
      return new SharedLine({
        set: (level) => {
          picInput.set(level);
          ioapicInput.set(level);
        },
      });
    });
    // Each caller is a source of its own: a PCI interrupt routed to a chip's line must not let go of what that chip holds.
    const isa = (irq: number): IrqLine => isaLines[irq]!.source();
    const requestReset = () => this.requestReset();
    const a20: IrqLine = { set: (level) => this.accelerator.setA20(level) };

    const piix3 = this.add(
      new Piix3({
        id: 'piix3',
        isaInputs: isaLines.map((line) => line.source()),
        ioapicInputs: [ioapic.inputs[16]!, ioapic.inputs[17]!, ioapic.inputs[18]!, ioapic.inputs[19]!],
        reset: requestReset,
      }),
    );
    const pci = this.add(new PciBus({ id: 'pci', ports, pirq: piix3.pirq, resetControl: piix3.resetControl }));
    pci.attach(BRIDGE_SLOT, 0, this.add(new I440Fx({ id: 'i440fx', memory: this.guestMemory, mmio, biosBytes })));
    pci.attach(ISA_SLOT, 0, piix3);
    const variableBytes = uefiVariableBytes(definition.bios);
    if (variableBytes > 0)
      this.add(
        new CfiFlash({
          id: 'flash',
          mmio,
          physMap,
          memory,
          base: 0x1_0000_0000 - biosBytes,
          offset: BIOS_ROM_BASE,
          length: variableBytes,
          changed: options.onFlash,
          log: log.child('flash'),
        }),
      );
    this.pm = new Piix4Pm({ id: 'pm', ports, clock, sci: isa(9), powerOff: options.onPowerOff, log: log.child('pm') });
    pci.attach(ISA_SLOT, 3, this.add(this.pm));
    this.vga = this.add(
      createDisplay({
        definition,
        ports,
        mmio,
        physMap,
        memory,
        guestMemory: this.guestMemory,
        message: (address, data) => this.message(address, data),
        clock,
        log: log.child('vga'),
      }),
    );
    pci.attach(VGA_SLOT, 0, this.vga);

    const hpet = definition.hpet
      ? this.add(new Hpet({ id: 'hpet', mmio, clock, legacyIrqs: [isa(0), isa(8)], inputs: ioapicInputs(ioapic, HPET_INPUTS) }))
      : undefined;
    const pit = this.add(new Pit({ id: 'pit', ports, irq: hpet?.pitInput ?? isa(0), clock }));
    this.add(new Port61({ id: 'port61', ports, clock, pit }));
    const rtc = this.add(new Rtc({ id: 'rtc', ports, irq: hpet?.rtcInput ?? isa(8), clock, offsetMs: definition.clockOffsetMs }));
    rtc.setHardware({
      ramBelow4G: definition.ramBytes,
      ramAbove4G: 0,
      floppies: [this.floppyType('fd0'), this.floppyType('fd1')],
      bootOrder: bootKinds(definition.bootOrder, definition.drives),
      cpus: 1,
      diskTranslations: (['ide0', 'ide1', 'ide2', 'ide3'] as const).map((id) =>
        definition.drives.some((d) => d.id === id && d.kind === 'disk') ? 'lba' : undefined,
      ),
    });

    const keyboard = this.add(new Ps2Keyboard({ id: 'keyboard', log: log.child('keyboard') }));
    const mouse = this.add(new Ps2Mouse({ id: 'mouse', log: log.child('mouse') }));
    this.add(
      new I8042({
        id: 'i8042',
        ports,
        irqKeyboard: isa(1),
        irqMouse: isa(12),
        keyboard,
        mouse,
        a20,
        reset: requestReset,
        log: log.child('i8042'),
      }),
    );
    this.add(new Port92({ id: 'port92', ports, a20, reset: requestReset }));
    const registers = new Uint32Array(memory.buffer, CPU_STATE_BASE + S_GPR, 32);
    const vmmouse = this.add(
      new VmMouse({
        id: 'vmmouse',
        ports,
        registers: {
          get: (register) => registers[register * 2]!,
          set: (register, value) => {
            registers[register * 2] = value;
          },
        },
        wakeMouse: () => mouse.wake(),
        log: log.child('vmmouse'),
      }),
    );
    const dma = this.add(new Dma8237({ id: 'dma', ports, memory: this.guestMemory, log: log.child('dma') }));
    this.add(
      new Fdc({
        id: 'fdc',
        ports,
        irq: isa(6),
        dma: dma.channel(2),
        clock,
        drives: (['fd0', 'fd1'] as const).map((id) => (definition.drives.some((drive) => drive.id === id) ? options.drive(id) : undefined)),
        log: log.child('fdc'),
      }),
    );
    addStorage({
      pci,
      ports,
      mmio,
      memory: this.guestMemory,
      ideIrqs: [isa(14), isa(15)],
      message: (address, data) => this.message(address, data),
      drives: definition.drives,
      drive: options.drive,
      add: (device) => this.add(device),
      log,
    });
    addNetwork({
      pci,
      ports,
      clock,
      mmio,
      memory: this.guestMemory,
      message: (address, data) => this.message(address, data),
      cards: definition.cards,
      cable: options.cable,
      add: (device) => this.add(device),
      log,
    });
    const usb = addUsb({
      pci,
      mmio,
      memory: this.guestMemory,
      message: (address, data) => this.message(address, data),
      clock,
      definition,
      drive: options.drive,
      add: (device) => this.add(device),
      log,
    });
    this.usb = usb?.controller;
    const input = new GuestInput({ keyboard, mouse, vmmouse, tablet: usb?.tablet, display: this.display });
    input.onPointerModeChange((absolute) => options.onPointerMode(absolute));
    input.onLedsChange((leds) => options.onLeds(leds));
    this.input = input;
    for (let index = 0; index < definition.serialPorts; index++)
      this.add(
        new Uart16550({
          id: `serial${index}`,
          ports,
          base: COM_PORTS[index]!,
          irq: isa(UART_IRQS[index]!),
          clock,
          backend: options.serial(index),
          log: log.child(`serial${index}`),
        }),
      );

    const fwCfg = this.add(new FwCfg({ id: 'fwcfg', ports, memory: this.guestMemory, log: log.child('fwcfg') }));
    fwCfg.addU64(FW_CFG_RAM_SIZE, definition.ramBytes);
    fwCfg.addU16(FW_CFG_NB_CPUS, 1);
    fwCfg.addU16(FW_CFG_MAX_CPUS, 1);
    fwCfg.addU16(FW_CFG_BOOT_MENU, definition.bootMenu ? 1 : 0);
    if (definition.bootMenuSeconds !== undefined) fwCfg.addFile('etc/boot-menu-wait', bootMenuWait(definition.bootMenuSeconds));
    fwCfg.add(FW_CFG_IRQ0_OVERRIDE, Uint8Array.of(1));
    fwCfg.add(FW_CFG_UUID, uuidBytes(definition.uuid));
    installE820(definition.ramBytes, fwCfg);
    installSmbios(definition, fwCfg);
    const floppy = definition.drives.some(({ kind }) => kind === 'floppy');
    installAcpi({ ramBytes: definition.ramBytes, serialPorts: definition.serialPorts, floppy, hpet: definition.hpet }, fwCfg);
    if (definition.directBoot && plan)
      installDirectBoot({
        boot: definition.directBoot,
        plan,
        ramBytes: definition.ramBytes,
        fwCfg,
        memory: this.guestMemory,
        failed: (error) => {
          log.error(`${error instanceof Error ? error.message : String(error)}; the machine is turned off`);
          options.onPowerOff();
        },
      });
    else fwCfg.addFile('bootorder', bootOrder(definition));

    this.add(new PostPort({ id: 'post', ports }));
    this.add(new DebugCon({ id: 'debugcon', ports, backend: options.debugConsole }));
    if (definition.debugExit) {
      this.add(new DebugExit({ id: 'debugexit', ports, exit: options.onDebugExit }));
      this.add(new TestDevice({ id: 'testdevice', ports, mmio, lines: isaLines.map((line) => line.source()) }));
    }
  }

  /** Accesses to device registers by address since the first call of this. */
  countAccesses(): { ports: AccessCounter; mmio: AccessCounter } {
    this.accesses ??= { ports: new AccessCounter(), mmio: new AccessCounter() };
    return this.accesses;
  }

  /** Presses the ACPI power button. */
  pressPowerButton(): void {
    this.pm.pressPowerButton();
  }

  /** The picture's size, which absolute pointer positions refer to. */
  setDisplaySize(width: number, height: number): void {
    this.display.width = width;
    this.display.height = height;
  }

  /** The size that the picture had better have, pixels; nothing happens where the display has no way to tell the guest. */
  preferDisplaySize(width: number, height: number): void {
    this.vga.prefer?.(width, height);
  }

  /** Resets every chip and the processor. Between slices of guest code only. */
  reset(kind: ResetKind): void {
    this.resetAll(() => kind);
  }

  private resetAll(kindOf: (device: Device) => ResetKind): void {
    this.resetRequested = this.initRequested = false;
    this.nmi.cancel();
    this.resetSoon.cancel();
    this.initSoon.cancel();
    this.input.reset();
    for (const device of this.devices) device.reset(kindOf(device));
    this.accelerator.setA20(true);
    this.accelerator.reset('hard');
  }

  /** A chip's reset line was pulled from inside a port write: the processor leaves guest code, then `takeReset` tells the loop. */
  private requestReset(): void {
    this.resetSoon.request();
  }

  /** A message signalled interrupt: a write to the range of the processors' APICs (SDM volume 3, section 11.11), or to memory like any other. */
  private message(address: number, data: number): void {
    if (address < MESSAGE_BASE || address >= MESSAGE_BASE + MESSAGE_BYTES) {
      this.guestMemory.write32(address, data);
      return;
    }
    const destination = (address >>> 12) & 0xff;
    if (this.lapic.accepts(destination, (address & 4) !== 0)) this.lapic.deliver((data >> 8) & 7, data & 0xff, false);
  }

  /** An INIT message: only the processor and its APIC restart. Done between slices, as a reset is. */
  private requestInit(): void {
    this.initSoon.request();
  }

  /** Carries out an INIT that the guest sent itself; true when there was one. */
  takeInit(): boolean {
    if (!this.initRequested) return false;
    this.initRequested = false;
    this.lapic.init();
    this.accelerator.reset('init');
    return true;
  }

  /** True when the guest asked for a reset since the last call of `reset`. */
  get wantsReset(): boolean {
    return this.resetRequested;
  }

  /** State of every chip by id. */
  saveDevices(): { [id: string]: DeviceState } {
    return Object.fromEntries(this.devices.map((device) => [device.id, device.save()]));
  }

  /** False while the guest is in the middle of something that a saved state can't carry; then it has to run on a little first. */
  get settled(): boolean {
    if (this.resetRequested || this.initRequested) return false;
    if (this.nmi.pending || this.resetSoon.pending || this.initSoon.pending || this.intrSoon.pending) return false;
    return this.devices.every(({ settled }) => settled !== false);
  }

  /** Processor, clock and chips, without RAM and video memory. Between slices of guest code, best while `settled`. */
  save(): { [part: string]: StateValue } {
    const devices: { [id: string]: StateValue } = {};
    // Video memory is saved as memory, page by page.
    for (const device of this.devices) devices[device.id] = device === this.vga ? this.vga.saveRegisters() : device.save();
    return {
      version: MACHINE_STATE_VERSION,
      now: this.options.clock.now(),
      cpu: this.accelerator.getState() as unknown as StateValue,
      devices,
    };
  }

  /**
   * Puts back what `save` gave, on a machine of the same definition that has run nothing yet, or was reset, and whose RAM and video memory are those of that moment.
   * Throws 'corrupt' or 'unsupported'; the machine can't be used then.
   */
  restore(tree: { [part: string]: StateValue }): void {
    const reader = StateReader.open(tree as DeviceState, 'machine', MACHINE_STATE_VERSION);
    const devices = tree.devices as { [id: string]: DeviceState };
    reader.object('devices');
    const unknown = Object.keys(devices).find((id) => !this.devices.some((device) => device.id === id));
    if (unknown !== undefined) throw corruptState(`it holds a device ${unknown} that this machine does not have`);
    const { clock, definition } = this.options;
    clock.restore(reader.number('now', 0, Number.MAX_SAFE_INTEGER));
    this.accelerator.setState(checkCpuState(tree.cpu, definition.cpuModel));
    for (const device of this.devices) {
      const state = devices[device.id];
      if (state === undefined) throw corruptState(`the state of ${device.id} is missing`);
      if (device === this.vga) this.vga.restoreRegisters(state);
      else device.restore(state);
    }
    // Chips moved A20 and interrupt lines while they were put back one after another: who listens to these has the last word.
    for (const device of [this.pic, this.ioapic, this.lapic]) device.restore(devices[device.id]!);
    this.accelerator.setA20((tree.cpu as unknown as CpuState).a20);
    this.accelerator.flushTlb();
  }

  /**
   * As `restore`, for a machine that has run, and stands with no disk request under way. `changed`: pages of memory that are other ones than when it ran last, by byte offset in
   * the shared memory / 4096. What it knows of all others, compiled code too, stays.
   */
  revert(tree: { [part: string]: StateValue }, changed: Iterable<number>): void {
    const { clock } = this.options;
    // Chips begin as in a machine that was just made: nothing that `restore` leaves alone may be of the time before. Video memory has been put back already.
    this.resetAll((device) => (device === this.vga ? 'hard' : 'power'));
    clock.disarmAll();
    for (const page of changed) this.accelerator.invalidateCode(page * PAGE_BYTES);
    this.restore(tree);
  }

  private add<T extends Device>(device: T): T {
    if (this.devices.some(({ id }) => id === device.id))
      throw new HypervueError('already-exists', `two devices are called ${device.id}`, { object: device.id });
    this.devices.push(device);
    return device;
  }

  private floppyType(id: 'fd0' | 'fd1'): FloppyDriveType {
    const { definition, drive } = this.options;
    return definition.drives.some((bay) => bay.id === id) ? floppyDriveType(drive(id).info?.sizeBytes) : 'none';
  }
}

function corruptState(what: string): HypervueError {
  return new HypervueError('corrupt', say('stateUnfit', { what }), { operation: 'restore' });
}

/** ISA interrupt 0 is at input 2, where the 8259's cascade leaves a place free (the ACPI tables say so). */
function isaToIoapic(irq: number): number {
  return irq === 0 ? 2 : irq;
}

function ioapicInputs(ioapic: Ioapic, numbers: readonly number[]): Map<number, IrqLine> {
  return new Map(numbers.map((number) => [number, ioapic.inputs[number]!]));
}

function checkFirmware({ bios, vgaBios }: MachineDefinition): void {
  if (bios.length < 65536 || bios.length > BIOS_ROM_MAX || bios.length % 65536 !== 0)
    throw new HypervueError('corrupt', say('noBiosImage', { size: bios.length }), { object: 'bios' }, say('fixReinstallSeabios'));
  if (vgaBios.length < 512 || vgaBios.length > 65536 || vgaBios[0] !== 0x55 || vgaBios[1] !== 0xaa)
    throw new HypervueError('corrupt', say('noOptionRom'), { object: 'vgabios' }, say('fixReinstallSeabios'));
}

/** RFC 4122 text as 16 bytes in network order. */
function uuidBytes(uuid: string): Uint8Array {
  return Uint8Array.from(uuid.replaceAll('-', '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
