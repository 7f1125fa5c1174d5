/**
 * Every emulated chip, for the conformance suite. One import and one entry a device: how to build it on a bench and how to get it
 * away from its power-on state. `conformance.test.ts` fails when a class that implements Device is not here.
 */
import { BufferCharBackend, NullCharBackend } from '../../backend/char.ts';
import { Uart16550 } from '../char/uart16550.ts';
import { Vga } from '../display/vga.ts';
import { I8042 } from '../input/i8042.ts';
import { Ps2Keyboard } from '../input/ps2keyboard.ts';
import { Ps2Mouse } from '../input/ps2mouse.ts';
import { VmMouse } from '../input/vmmouse.ts';
import { Ioapic } from '../intc/ioapic.ts';
import { Lapic } from '../intc/lapic.ts';
import { Pic } from '../intc/pic.ts';
import { KvmClock, MSR_KVM_SYSTEM_TIME_NEW, MSR_KVM_WALL_CLOCK_NEW } from '../paravirt/kvmclock.ts';
import { CfiFlash } from '../platform/cfiflash.ts';
import { DebugCon } from '../platform/debugcon.ts';
import { DebugExit } from '../platform/debugexit.ts';
import { Dma8237 } from '../platform/dma8237.ts';
import { FwCfg } from '../platform/fwcfg.ts';
import { I440Fx } from '../platform/i440fx.ts';
import { Piix3 } from '../platform/piix3.ts';
import { Piix4Pm } from '../platform/piix4pm.ts';
import { Port92 } from '../platform/port92.ts';
import { PostPort } from '../platform/post.ts';
import { TestDevice } from '../platform/testdevice.ts';
import { Ahci } from '../storage/ahci.ts';
import { Fdc } from '../storage/fdc.ts';
import { Ide } from '../storage/ide.ts';
import { Hpet } from '../timer/hpet.ts';
import { Pit } from '../timer/pit.ts';
import { Port61 } from '../timer/port61.ts';
import { Rtc } from '../timer/rtc.ts';
import { Tsc } from '../timer/tsc.ts';
import { BIOS_ROM_BASE } from '../../memory/layout.ts';
import { E1000 } from '../net/e1000.ts';
import { VirtioNet } from '../net/virtionet.ts';
import { VirtioBlk } from '../virtio/virtioblk.ts';
import { AhciDriver } from './ahcidriver.ts';
import { type DeviceEntry, entry } from './conformance.ts';
import { FakeCable } from './fakecable.ts';
import { CARD_MAC } from './frames.ts';
import { E1000Driver } from './e1000driver.ts';
import { FakeBlockDevice } from './fakeblock.ts';
import { createVirtioVga, GpuDriver } from './gpudriver.ts';
import { VirtioDriver } from './virtiodriver.ts';
import { createXhci, DISK_PORT, TABLET_PORT, wrapper } from './xhcibench.ts';
import { DATA, XhciDriver } from './xhcidriver.ts';

export const deviceRegistry: DeviceEntry[] = [
  entry({
    name: 'Pic',
    create: (bench) => new Pic({ id: 'pic', ports: bench.ports, intr: bench.wire('intr'), log: bench.log }),
    mutate(pic, bench) {
      for (const value of [0x11, 0x08, 0x04, 0x13]) bench.out8(value === 0x11 ? 0x20 : 0x21, value);
      bench.out8(0xa0, 0x11);
      bench.out8(0xa1, 0x70);
      bench.out8(0x21, 0x28);
      bench.out8(0x20, 0x6b);
      bench.out8(0x20, 0xc3);
      bench.out8(0x4d1, 0x0c);
      pic.inputs[10]!.set(true);
      pic.inputs[1]!.set(true);
      pic.acknowledge();
      // The levels belong to other chips and outlive this one's reset.
      for (const input of pic.inputs) input.set(false);
    },
  }),
  entry({
    name: 'KvmClock',
    // Time goes on.
    kept: ['now'],
    create: (bench) => new KvmClock({ id: 'kvmclock', memory: bench.memory, clock: bench.clock, tsc: new Tsc(() => bench.clock.now()) }),
    mutate(kvmClock, bench) {
      bench.clock.advance(5_000_000);
      kvmClock.writeMsr(MSR_KVM_WALL_CLOCK_NEW, 0x1000n);
      kvmClock.writeMsr(MSR_KVM_SYSTEM_TIME_NEW, 0x2001n);
    },
  }),
  entry({
    name: 'Pit',
    create: (bench) => new Pit({ id: 'pit', ports: bench.ports, irq: bench.wire('irq0'), clock: bench.clock }),
    mutate(pit, bench) {
      for (const value of [0x36, 0x74, 0xb1]) bench.out8(0x43, value);
      for (const port of [0x40, 0x41, 0x42]) for (const value of [0x34, 0x12]) bench.out8(port, value);
      pit.setGate2(true);
      bench.clock.advance(123_456_789);
      bench.out8(0x41, 0x55);
      for (const value of [0x99, 0x10]) bench.out8(0x40, value);
      bench.out8(0x43, 0xc8);
      bench.in8(0x42);
    },
  }),
  entry({
    name: 'Port61',
    create: (bench) => new Port61({ id: 'port61', ports: bench.ports, clock: bench.clock, pit: { setGate2: () => {}, out2: false } }),
    mutate: (_, bench) => bench.out8(0x61, 0x0b),
  }),
  entry({
    name: 'Port92',
    create: (bench) => new Port92({ id: 'port92', ports: bench.ports, a20: bench.wire('a20'), reset: () => {} }),
    mutate: (_, bench) => bench.out8(0x92, 0x02),
  }),
  entry({
    name: 'CfiFlash',
    // Flash keeps without power what was written to it.
    kept: ['contents'],
    create: (bench) =>
      new CfiFlash({
        id: 'flash',
        mmio: bench.mmio,
        physMap: bench.memory.physMap,
        memory: bench.memory.memory,
        base: 0xffe0_0000,
        offset: BIOS_ROM_BASE,
        length: 0x4000,
        changed: () => {},
        log: bench.log,
      }),
    mutate(_, bench) {
      for (const value of [0x10, 0x5a, 0x20, 0xff, 0xe8, 3, 0x11, 0x22]) bench.mmio.write(0xffe0_1004, value, 1);
    },
  }),
  entry({
    name: 'DebugCon',
    stateless: true,
    create: (bench) => new DebugCon({ id: 'debugcon', ports: bench.ports, backend: new NullCharBackend() }),
    mutate: (_, bench) => bench.out8(0x402, 0x21),
  }),
  entry({
    name: 'DebugExit',
    stateless: true,
    create: (bench) => new DebugExit({ id: 'debugexit', ports: bench.ports, exit: () => {} }),
    mutate: (_, bench) => bench.out8(0xf4, 0x21),
  }),
  entry({
    name: 'TestDevice',
    create: (bench) =>
      new TestDevice({
        id: 'testdevice',
        ports: bench.ports,
        mmio: bench.mmio,
        lines: Array.from({ length: 16 }, (_, irq) => bench.wire(`irq${irq}`)),
      }),
    mutate(_, bench) {
      bench.out8(0xe0, 0x21);
      bench.out8(0x2005, 1);
    },
  }),
  entry({
    name: 'PostPort',
    create: (bench) => new PostPort({ id: 'post', ports: bench.ports }),
    mutate: (_, bench) => bench.out8(0x80, 0x21),
  }),
  entry({
    name: 'Rtc',
    // Everything that the battery keeps.
    kept: ['cmos', 'offsetMs', 'heldFraction', 'periodicPhase'],
    create: (bench) => new Rtc({ id: 'rtc', ports: bench.ports, irq: bench.wire('irq8'), clock: bench.clock }),
    mutate(_, bench) {
      const write = (index: number, value: number) => {
        bench.out8(0x70, index);
        bench.out8(0x71, value);
      };
      write(0x0a, 0x2b);
      write(0x0b, 0x76);
      write(9, 77);
      write(0x44, 0x99);
      bench.out8(0x72, 0x33);
      bench.out8(0x73, 0x44);
      bench.clock.advance(1_234_567_890);
    },
  }),
  entry({
    name: 'I8042',
    create: (bench) =>
      new I8042({
        id: 'i8042',
        ports: bench.ports,
        irqKeyboard: bench.wire('irq1'),
        irqMouse: bench.wire('irq12'),
        keyboard: new Ps2Keyboard({ id: 'keyboard', log: bench.log }),
        mouse: new Ps2Mouse({ id: 'mouse', log: bench.log }),
        a20: bench.wire('a20'),
        reset: () => {},
        log: bench.log,
      }),
    mutate(_, bench) {
      bench.out8(0x64, 0x7f);
      bench.out8(0x60, 0x5a);
      bench.out8(0x64, 0xaa);
      bench.out8(0x64, 0xd3);
      bench.out8(0x60, 0x77);
      bench.out8(0x64, 0xdd);
      bench.out8(0x64, 0xa7);
      bench.out8(0x64, 0xd4);
    },
  }),
  entry({
    name: 'Ps2Keyboard',
    create: (bench) => new Ps2Keyboard({ id: 'keyboard', log: bench.log }),
    mutate(keyboard) {
      for (const byte of [0xed, 0x05, 0xf3, 0x11, 0xf0, 0x03, 0xf8]) keyboard.write(byte);
      keyboard.take();
      for (let i = 0; i < 20; i++) keyboard.key(0x1e, true);
      keyboard.write(0xfb);
    },
  }),
  entry({
    name: 'Ps2Mouse',
    create: (bench) => new Ps2Mouse({ id: 'mouse', log: bench.log }),
    mutate(mouse) {
      for (const byte of [0xf3, 200, 0xf3, 100, 0xf3, 80, 0xe7, 0xe8, 0x01, 0xf4]) mouse.write(byte);
      mouse.take();
      mouse.move(1000, -20, 3, 5);
      mouse.write(0xee);
    },
  }),
  entry({
    name: 'VmMouse',
    create: (bench) => {
      const values = [0, 0, 0, 0, 0, 0, 0, 0];
      const registers = {
        get: (register: number) => values[register]!,
        set: (register: number, value: number) => {
          values[register] = value;
        },
      };
      return Object.assign(new VmMouse({ id: 'vmmouse', ports: bench.ports, registers, wakeMouse: () => {}, log: bench.log }), {
        testRegisters: registers,
      });
    },
    mutate(vmmouse, bench) {
      for (const parameter of [0x45414552, 0x53424152]) {
        vmmouse.testRegisters.set(0, 0x564d5868);
        vmmouse.testRegisters.set(1, 41);
        vmmouse.testRegisters.set(3, parameter);
        bench.ports.read(0x5658, 4);
      }
      vmmouse.moveTo(100, 200, -1, 3);
    },
  }),
  entry({
    name: 'Uart16550',
    create: (bench) => {
      const backend = new BufferCharBackend();
      const irq = bench.wire('irq4');
      const uart = new Uart16550({ id: 'serial0', ports: bench.ports, base: 0x3f8, irq, clock: bench.clock, backend, log: bench.log });
      return Object.assign(uart, { testBackend: backend });
    },
    mutate(uart, bench) {
      for (const [port, value] of [
        [0x3fb, 0x83],
        [0x3f8, 0x01],
        [0x3fb, 0x03],
        [0x3fa, 0xc1],
        [0x3f9, 0x0f],
        [0x3fc, 0x1b],
        [0x3fc, 0x0b],
        [0x3ff, 0x5a],
      ] as const)
        bench.out8(port, value);
      uart.testBackend.feed(Uint8Array.from({ length: 20 }, (_, i) => i));
    },
  }),
  entry({
    name: 'Dma8237',
    create: (bench) => new Dma8237({ id: 'dma', ports: bench.ports, memory: bench.memory, log: bench.log }),
    mutate(dma, bench) {
      for (const [port, value] of [
        [0x0b, 0x56],
        [0x04, 0x34],
        [0x04, 0x12],
        [0x05, 0x03],
        [0x05, 0x00],
        [0x81, 0x07],
        [0x0a, 0x02],
        [0xd0, 0x10],
        [0xc4, 0x77],
      ] as const)
        bench.out8(port, value);
      dma.channel(2).toMemory(new Uint8Array(6));
      dma.channel(2).setRequest(true);
    },
  }),
  entry({
    name: 'Fdc',
    create: (bench) => {
      const dma = new Dma8237({ id: 'dma', ports: bench.ports, memory: bench.memory, log: bench.log });
      const drives = [new FakeBlockDevice(new Uint8Array(1474560)), undefined];
      return new Fdc({
        id: 'fdc',
        ports: bench.ports,
        irq: bench.wire('irq6'),
        dma: dma.channel(2),
        clock: bench.clock,
        drives,
        log: bench.log,
      });
    },
    mutate(_, bench) {
      bench.out8(0x3f2, 0x1c);
      bench.out8(0x3f7, 0x00);
      bench.clock.advance(1_000_000);
      for (const byte of [0x94]) bench.out8(0x3f5, byte);
      bench.in8(0x3f5);
      for (const byte of [0x13, 0, 0x57, 5, 0x12, 0x83, 0x03, 0xaf, 0x02, 0x0f, 0x04, 10]) bench.out8(0x3f5, byte);
      bench.clock.advance(10_000);
      for (const byte of [0xe6, 0x04, 10, 1, 3, 2, 18, 0x1b, 0xff]) bench.out8(0x3f5, byte);
    },
  }),
  entry({
    name: 'Vga',
    create: (bench) =>
      new Vga({
        id: 'vga',
        ports: bench.ports,
        mmio: bench.mmio,
        physMap: bench.memory.physMap,
        memory: bench.memory.memory,
        vramBytes: 0x40000,
        rom: Uint8Array.of(0x55, 0xaa, 1),
        clock: bench.clock,
        log: bench.log,
      }),
    mutate(vga, bench) {
      // SeaBIOS' order: BARs, then memory and I/O decoding, then a mode of each kind.
      vga.writeConfig(0x10, 0xfd000000, 4);
      vga.writeConfig(0x18, 0xfebf0000, 4);
      vga.writeConfig(0x30, 0xfebe0001, 4);
      vga.writeConfig(0x04, 0x0003, 2);
      bench.out8(0x3c2, 0x67);
      bench.out8(0x3da, 0x03);
      for (const [index, port, count] of [
        [0x3c4, 0x3c5, 5],
        [0x3d4, 0x3d5, 0x19],
        [0x3ce, 0x3cf, 9],
      ] as const)
        for (let i = 0; i < count; i++) {
          bench.out8(index, i);
          bench.out8(port, 0x35 + i);
        }
      for (let i = 0; i < 0x15; i++) {
        bench.out8(0x3c0, i);
        bench.out8(0x3c0, 0x21 + i);
      }
      bench.out8(0x3c0, 0x2f);
      bench.out8(0x3c6, 0x7f);
      bench.out8(0x3c7, 0x10);
      bench.out8(0x3c8, 0x20);
      for (let i = 0; i < 8; i++) bench.out8(0x3c9, 0x15 + i);
      bench.mmio.write(0xa0010, 0x12345678, 4);
      bench.mmio.read(0xa0010, 4);
      for (const [index, value] of [
        [1, 320],
        [2, 200],
        [3, 8],
        [4, 0xe1],
        [5, 2],
        [6, 640],
        [8, 16],
        [9, 8],
      ] as const) {
        bench.ports.write(0x1ce, index, 2);
        bench.ports.write(0x1cf, value, 2);
      }
    },
  }),
  entry({
    name: 'Lapic',
    create: (bench) =>
      new Lapic({
        id: 'lapic',
        mmio: bench.mmio,
        clock: bench.clock,
        nmi: () => {},
        init: () => {},
        broadcastEoi: () => {},
        ready: () => {},
        log: bench.log,
      }),
    mutate(lapic, bench) {
      lapic.setBase(0xfed0_0900);
      for (const [register, value] of [
        [0x020, 0x03000000],
        [0x080, 0x20],
        [0x0d0, 0x01000000],
        [0x0e0, 0x0fffffff],
        [0x0f0, 0x1ff],
        [0x310, 0x03000000],
        [0x300, 0x00004051],
        [0x320, 0x20061],
        [0x350, 0x00700],
        [0x370, 0x000fe],
        [0x3e0, 0x0b],
        [0x380, 1_000_000],
        [0x3f0, 0],
      ] as const)
        bench.mmio.write(0xfed00000 + register, value, 4);
      lapic.deliver(0, 0x71, true);
      lapic.acknowledge();
      lapic.setLint0(true);
      bench.clock.advance(1_500_000);
    },
  }),
  entry({
    name: 'Ioapic',
    // Levels belong to other chips.
    kept: ['lines'],
    create: (bench) => new Ioapic({ id: 'ioapic', mmio: bench.mmio, apic: { accepts: () => true, deliver: () => true } }),
    mutate(ioapic, bench) {
      const write = (register: number, value: number) => {
        bench.mmio.write(0xfec00000, register, 4);
        bench.mmio.write(0xfec00010, value, 4);
      };
      write(0x00, 0x05000000);
      write(0x10 + 2 * 11, 0x0000a931);
      write(0x11 + 2 * 11, 0x01000000);
      ioapic.inputs[11]!.set(true);
    },
  }),
  entry({
    name: 'Hpet',
    // Levels of the 8254 and the RTC, which are wired through it.
    kept: ['pit', 'rtc'],
    create: (bench) =>
      new Hpet({
        id: 'hpet',
        mmio: bench.mmio,
        clock: bench.clock,
        legacyIrqs: [bench.wire('irq0'), bench.wire('irq8')],
        inputs: new Map([20, 21].map((input) => [input, bench.wire(`input${input}`)])),
      }),
    mutate(hpet, bench) {
      for (const [register, value] of [
        [0x0f0, 0x1234],
        [0x0f4, 0x5],
        [0x100, (20 << 9) | 0x4c],
        [0x108, 0x4000],
        [0x108, 0x2000],
        [0x120, (21 << 9) | 0x06],
        [0x128, 0x1300],
        [0x12c, 0x5],
        [0x140, 0x102],
        [0x148, 0x7777],
        [0x010, 0x03],
      ] as const)
        bench.mmio.write(0xfed00000 + register, value, 4);
      hpet.rtcInput.set(true);
      bench.clock.advance(5_000_003);
    },
  }),
  entry({
    name: 'FwCfg',
    create: (bench) => {
      const fwCfg = new FwCfg({ id: 'fwcfg', ports: bench.ports, memory: bench.memory, log: bench.log });
      fwCfg.addFile('etc/test', Uint8Array.of(1, 2, 3, 4));
      return fwCfg;
    },
    mutate(_, bench) {
      bench.ports.write(0x510, 0x20, 2);
      bench.in8(0x511);
      bench.ports.write(0x514, 0x01000000, 4);
    },
  }),
  entry({
    name: 'I440Fx',
    create: (bench) => new I440Fx({ id: 'i440fx', memory: bench.memory, mmio: bench.mmio, biosBytes: 0x40000 }),
    mutate(bridge) {
      bridge.writeConfig(0x59, 0x30, 1);
      bridge.writeConfig(0x5a, 0x21, 1);
      bridge.writeConfig(0x72, 0x1a, 1);
      bridge.writeConfig(0x3c, 0x0b, 1);
    },
  }),
  entry({
    name: 'Piix3',
    // The levels of interrupt lines belong to the devices that drive them.
    kept: ['levels'],
    create: (bench) =>
      new Piix3({
        id: 'piix3',
        isaInputs: Array.from({ length: 16 }, (_, irq) => bench.wire(`irq${irq}`)),
        ioapicInputs: undefined,
        reset: () => {},
      }),
    mutate(bridge) {
      bridge.writeConfig(0x60, 0x0b, 1);
      bridge.writeConfig(0x61, 0x0a, 1);
      bridge.pirq[0].set(true);
      bridge.resetControl.write(0x02);
    },
  }),
  entry({
    name: 'Piix4Pm',
    create: (bench) =>
      new Piix4Pm({ id: 'pm', ports: bench.ports, clock: bench.clock, sci: bench.wire('irq9'), powerOff: () => {}, log: bench.log }),
    mutate(pm, bench) {
      pm.writeConfig(0x40, 0x0601, 4);
      pm.writeConfig(0x80, 0x01, 1);
      bench.out8(0xb2, 0xf1);
      bench.out8(0xb3, 0x44);
      bench.ports.write(0x602, 0x0101, 2);
      bench.out8(0xafe2, 0x08);
      pm.pressPowerButton();
    },
  }),
  entry({
    name: 'Ide',
    create: (bench) =>
      new Ide({
        id: 'ide',
        ports: bench.ports,
        memory: bench.memory,
        irqs: [bench.wire('irq14'), bench.wire('irq15')],
        drives: [
          { kind: 'disk', block: new FakeBlockDevice(new Uint8Array(1 << 20)), serial: 'HV00000' },
          undefined,
          { kind: 'cdrom', block: new FakeBlockDevice(new Uint8Array(1 << 20)), serial: 'HV00002' },
          undefined,
        ],
        log: bench.log,
      }),
    mutate(ide, bench) {
      ide.writeConfig(0x04, 0x05, 2);
      ide.writeConfig(0x20, 0xc000, 4);
      for (const [port, value] of [
        [0x1f6, 0xe0],
        [0x1f1, 0x11],
        [0x1f2, 0x02],
        [0x1f3, 0x33],
        [0x1f4, 0x44],
        [0x1f5, 0x55],
        [0x3f6, 0x02],
        [0x1f7, 0xec],
        [0x176, 0xa0],
        [0x177, 0xa1],
      ] as const)
        bench.out8(port, value);
      for (let word = 0; word < 256; word++) for (const port of [0x1f0, 0x170]) bench.ports.read(port, 2);
      bench.ports.write(0xc004, 0x1000, 4);
    },
    settle: (_, bench) => {
      // Software reset of both channels.
      for (const port of [0x3f6, 0x376]) for (const value of [4, 0]) bench.out8(port, value);
    },
  }),
  entry({
    name: 'Ahci',
    create: (bench) =>
      new Ahci({
        id: 'ahci',
        mmio: bench.mmio,
        memory: bench.memory,
        message: () => {},
        drives: [
          { kind: 'disk', block: new FakeBlockDevice(new Uint8Array(1 << 20)), serial: 'HVS00000', writeCache: true },
          { kind: 'cdrom', block: new FakeBlockDevice(new Uint8Array(1 << 20)), serial: '', writeCache: true },
        ],
        log: bench.log,
      }),
    mutate(ahci, bench) {
      ahci.writeConfig(0x42, 1, 2);
      const [disk, cd] = [new AhciDriver(ahci, bench), new AhciDriver(ahci, bench, 1)];
      for (const port of [disk, cd]) port.start();
      disk.issue(2, { command: 0xef, features: 0x03, count: 0x22 });
      // One that fails, and one that then waits.
      cd.issue(1, { command: 0xa0, packet: new Array<number>(12).fill(0) });
      cd.issue(5, { command: 0xa0, packet: new Array<number>(12).fill(0) });
      disk.write(0x34, 0x40);
      disk.write(0x2c, 0x300);
    },
  }),
  entry({
    name: 'Xhci',
    create: (bench) => createXhci(bench),
    mutate(xhci, bench) {
      const driver = new XhciDriver(xhci, bench);
      driver.start();
      const tablet = driver.connect(TABLET_PORT);
      driver.configure(tablet, [[3, 7]]);
      const disk = driver.connect(DISK_PORT);
      driver.configure(disk, [
        [3, 6],
        [4, 2],
      ]);
      // A report that is asked for, others that wait, a command with its data under way, and a port that is off.
      driver.normal(tablet, 3, DATA, 8);
      driver.doorbell(tablet, 3);
      xhci.testParts.tablet.moveTo(100, 200, 0, 1);
      xhci.testParts.tablet.moveTo(100, 200, 0, 0);
      bench.memory.write(DATA + 64, wrapper(7, 1024, true, [0x28, 0, 0, 0, 0, 4, 0, 0, 2, 0]));
      driver.normal(disk, 4, DATA + 64, 31);
      driver.doorbell(disk, 4);
      driver.normal(disk, 3, DATA + 128, 1024);
      driver.doorbell(disk, 3);
      driver.writePort(12, 0);
      driver.write(0x54, 0x22);
      driver.write(0x1024, 160);
      driver.write(0x40, 0x105);
    },
  }),
  entry({
    name: 'VirtioBlk',
    create: (bench) =>
      new VirtioBlk({
        id: 'virtio0',
        mmio: bench.mmio,
        memory: bench.memory,
        message: () => {},
        log: bench.log,
        block: new FakeBlockDevice(new Uint8Array(1 << 20)),
        serial: 'HV00000',
        writeCache: true,
        queues: 2,
      }),
    mutate(blk, bench) {
      const driver = new VirtioDriver(blk, bench);
      driver.useMessage(1, 0xfee01000, 0x41);
      blk.writeConfig(0x42, 0xc000, 2);
      driver.start([9, 11, 28, 29], 2);
      driver.write(0x10, 2, 2);
      driver.writeConfig(0x20, 0, 1);
      driver.write(0, 1, 4);
      // One that is answered at once, with an interrupt that is masked, and a queue that breaks.
      driver.submit([
        { gpa: driver.buffer(Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)), length: 16 },
        { gpa: driver.buffer(21), length: 21, write: true },
      ]);
      driver.kick();
      driver.makeAvailable(77, 1);
      driver.kick(1);
    },
  }),
  entry({
    name: 'E1000',
    create: (bench) =>
      new E1000({
        id: 'net0',
        mmio: bench.mmio,
        ports: bench.ports,
        memory: bench.memory,
        clock: bench.clock,
        log: bench.log,
        cable: new FakeCable(),
        mac: CARD_MAC,
      }),
    mutate(card, bench) {
      const driver = new E1000Driver(card, bench);
      driver.start();
      driver.write(0xc4, 0xffff);
      driver.write(0xd0, 0x9d);
      driver.write(0xc8, 4);
      driver.write(0x20, 0x0428_1234);
      driver.write(0x14, 0x0301);
      driver.readEeprom(1);
      for (const value of [0x42, 0x46, 0x47]) driver.write(0x10, value);
      bench.ports.write(0xc000, 0x38, 4);
      // The first part of a frame, and the causes of an interrupt that has to wait.
      driver.context(0x1122_3344, 0x5566_7788, 0, 0);
      driver.submit({ bytes: new Uint8Array(50).fill(7), command: 0x28, options: 3 });
      driver.read(0xc0);
      driver.write(0xc8, 0x80);
    },
  }),
  entry({
    name: 'VirtioNet',
    create: (bench) =>
      new VirtioNet({
        id: 'net0',
        mmio: bench.mmio,
        memory: bench.memory,
        message: () => {},
        log: bench.log,
        cable: new FakeCable(),
        mac: CARD_MAC,
      }),
    mutate(card, bench) {
      const driver = new VirtioDriver(card, bench);
      driver.useMessage(1, 0xfee01000, 0x41);
      driver.start([15, 17, 18, 20, 23, 28, 29], 3);
      for (const words of [
        [0, 0, 0],
        [0, 3, 1],
        [1, 1, 2, 4, 6, 8, 10, 12],
        [1, 0, 1, 0, 0, 0, 2, 2, 2, 2, 2, 2, 1, 0, 0, 0, 3, 3, 3, 3, 3, 3],
      ]) {
        driver.submit(
          [
            { gpa: driver.buffer(Uint8Array.from(words)), length: words.length },
            { gpa: driver.buffer(1), length: 1, write: true },
          ],
          2,
        );
        driver.kick(2);
      }
      driver.submit([{ gpa: driver.buffer(1600), length: 1526, write: true }], 0);
      driver.kick(0);
      driver.makeAvailable(77, 1);
      driver.kick(1);
    },
  }),
  entry({
    name: 'VirtioVga',
    create: (bench) => createVirtioVga(bench),
    mutate(display, bench) {
      bench.out8(0x3c2, 0x67);
      bench.out8(0x3c4, 2);
      bench.out8(0x3c5, 5);
      const driver = new GpuDriver(display, bench);
      driver.start();
      display.prefer(1000, 700);
      driver.create(7, 1, 40, 30);
      driver.create(9, 67, 8, 8);
      driver.attach(7, [new Uint8Array(40 * 30 * 4).fill(0x55)]);
      driver.transfer(7, { x: 3, y: 4, width: 20, height: 10 }, 12);
      driver.setScanout(7, { x: 1, y: 2, width: 30, height: 20 });
      driver.cursor(9, 5, -3);
    },
  }),
];
