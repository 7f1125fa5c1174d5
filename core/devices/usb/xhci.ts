/**
 * USB 3 host controller. eXtensible Host Controller Interface for Universal Serial Bus (xHCI), revision 1.2, with what revision 1.0 demands; one interrupter, no
 * streams, no isochronous endpoints. 1b36:000d, which drivers know by its class.
 *
 * Root hub: USB 3 ports 1 to n, then USB 2 ports n + 1 to 2n, in pairs of one connector each.
 */
import type { ResetKind } from '../../bus/device.ts';
import type { MmioBus, MmioRange } from '../../bus/mmiobus.ts';
import { CAPABILITY_MSI, type MessageSink, MSI_BYTES, Msi } from '../../bus/pci/msi.ts';
import { PciDevice } from '../../bus/pci/pcidevice.ts';
import type { UsbConnectors, UsbDevice } from '../../bus/usb/usbdevice.ts';
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Clock, Timer } from '../../util/clock.ts';
import type { Logger } from '../../util/logger.ts';
import { CommandRing } from './commandring.ts';
import { EventRing } from './eventring.ts';
import { RootPort } from './rootport.ts';
import { DeviceSlot, type SlotHost } from './slot.ts';
import * as T from './trb.ts';
import { PORTS, readCapability, readProtocol, SLOTS, USB_CONNECTORS } from './xhcicapabilities.ts';
import * as R from './xhciregisters.ts';

/** Serial bus release number 3.0 and frame length adjustment, section 5.2.3. */
const SBRN = 0x60;
const SBRN_USB3 = 0x30;
const FLADJ_DEFAULT = 0x20;
const BAR = 0;
const MICROFRAME_NS = 125_000;
const FRAMES = 0x3fff;
/** How soon an endpoint with much to do has its next turn. */
const LATER_NS = 20_000;

export interface XhciOptions {
  id: string;
  mmio: MmioBus;
  memory: GuestMemory;
  message: MessageSink;
  clock: Clock;
  log: Logger;
}

export class Xhci extends PciDevice implements UsbConnectors {
  private readonly options: XhciOptions;
  private readonly msi: Msi;
  private readonly events: EventRing;
  private readonly ports: readonly RootPort[];
  private readonly slots: readonly DeviceSlot[];
  private readonly commands: CommandRing;
  private readonly turn: Timer;
  private range: MmioRange | undefined;
  private usbCommand = 0;
  private status = R.STS_HALTED;
  private notifications = 0;
  private configured = 0;
  private contextsLow = 0;
  private contextsHigh = 0;
  /** The driver has saved its state, and nothing was lost since. */
  private kept = false;

  constructor(options: XhciOptions) {
    super(options.id, {
      vendor: 0x1b36,
      device: 0x000d,
      revision: 1,
      classCode: 0x0c0330,
      subsystemVendor: 0x1af4,
      subsystem: 0x1100,
      interruptPin: 1,
    });
    this.options = options;
    this.config[SBRN] = SBRN_USB3;
    this.config[SBRN + 1] = FLADJ_DEFAULT;
    this.msi = new Msi({
      device: this,
      config: this.config,
      writeMask: this.writeMask,
      at: this.addCapability(CAPABILITY_MSI, MSI_BYTES),
      sink: options.message,
    });
    const { memory } = options;
    this.turn = options.clock.createTimer(() => this.runAll());
    this.events = new EventRing({ memory, raise: () => this.raise(), onRoom: () => this.runAll() });
    this.ports = Array.from({ length: PORTS }, (_, index) => {
      const port: RootPort = new RootPort({
        number: index + 1,
        super: index < USB_CONNECTORS,
        changed: () => this.portChanged(port),
        busReset: () => this.busReset(port),
      });
      return port;
    });
    const host: SlotHost = {
      memory,
      ready: () => this.ready,
      post: (event, quiet) => this.events.post(event, quiet),
      later: () => this.later(),
      deviceContext: (slot) => this.deviceContext(slot),
      port: (number) => this.ports[number - 1],
      taken: (port, slot) => this.slots.some((other) => other !== slot && other.port === port),
    };
    this.slots = Array.from({ length: SLOTS }, (_, index) => new DeviceSlot(host, index + 1));
    this.commands = new CommandRing({
      memory,
      slots: this.slots,
      ports: PORTS,
      ready: () => this.ready,
      post: (event) => this.events.post(event),
      later: () => this.later(),
      failed: () => {
        this.status |= R.STS_ERROR;
      },
      log: options.log,
    });
    this.addBar(BAR, {
      kind: 'memory',
      size: R.XHCI_BYTES,
      onMapped: (base) => this.map(base),
      onUnmapped: () => {
        if (this.range) options.mmio.unregister(this.range);
        this.range = undefined;
      },
    });
    this.seal();
  }

  plug(connector: number, device: UsbDevice): void {
    if (this.at(connector)) this.unplug(connector);
    device.reset();
    const [usb3, usb2] = this.pair(connector);
    (device.speed === 'super' ? usb3 : usb2).plug(device);
  }

  unplug(connector: number): void {
    const port = this.pair(connector).find(({ device }) => device);
    if (!port) return;
    port.device?.reset();
    port.unplug();
    this.lost(port);
  }

  at(connector: number): UsbDevice | undefined {
    return this.pair(connector).find(({ device }) => device)?.device;
  }

  noticed(connector: number): boolean {
    return !this.running || this.pair(connector).every(({ hasChanges }) => !hasChanges);
  }

  override reset(kind: ResetKind): void {
    super.reset(kind);
    this.resetController();
  }

  override save(): DeviceState {
    const { usbCommand, status, notifications, configured, contextsLow, contextsHigh, kept } = this;
    return {
      ...super.save(),
      ...{ usbCommand, status, notifications, configured, contextsLow, contextsHigh, kept },
      ...{ commandRingLow: this.commands.low, commandRingHigh: this.commands.high, commands: this.commands.save() },
      events: this.events.save(),
      ports: this.ports.map((port) => port.save()),
      slots: this.slots.filter(({ enabled }) => enabled).map((slot) => slot.save()),
      devices: this.ports.flatMap(({ device, number }) => (device?.save ? [{ port: number, state: device.save() }] : [])),
    };
  }

  /** Guest memory must have been restored before: transfers that were under way are read from there and given again, when the machine runs. */
  override restore(state: DeviceState): void {
    super.restore(state);
    const reader = StateReader.open(state, this.id, 1);
    this.usbCommand = reader.number('usbCommand', 0, 0xffff);
    this.status = reader.number('status', 0, 0xffff);
    for (const name of ['notifications', 'configured', 'contextsLow', 'contextsHigh'] as const)
      this[name] = reader.number(name, 0, 0xffffffff);
    this.kept = reader.boolean('kept');
    this.commands.low = reader.number('commandRingLow', 0, 0xffffffff);
    this.commands.high = reader.number('commandRingHigh', 0, 0xffffffff);
    this.commands.restore(reader.object('commands'));
    this.events.restore(reader.object('events'));
    for (const slot of this.slots) slot.disable();
    for (const port of this.ports) port.device?.reset();
    reader.objects('ports', PORTS).forEach((port, index) => {
      this.ports[index]!.restore(port);
    });
    for (const slot of reader.list('slots', SLOTS)) this.slots[slot.number('id', 1, SLOTS) - 1]!.restore(slot);
    for (const device of reader.list('devices', PORTS))
      this.ports[device.number('port', 1, PORTS) - 1]!.device?.restore?.(device.state('state'));
    for (const { stale, device, number } of this.ports)
      if (stale && !device)
        this.options.log.warn(
          `what was plugged in at connector ${((number - 1) % USB_CONNECTORS) + 1} when the state was saved is not here any more`,
        );
    // Nothing is told before every chip is put back.
    this.turn.arm(this.options.clock.now());
  }

  protected override configWritten(): void {
    this.tell();
  }

  private pair(connector: number): [usb3: RootPort, usb2: RootPort] {
    return [this.ports[connector - 1]!, this.ports[USB_CONNECTORS + connector - 1]!];
  }

  private get running(): boolean {
    return (this.usbCommand & R.CMD_RUN) !== 0;
  }

  /** Work may be done: the controller runs, and what there is to tell has room. */
  private get ready(): boolean {
    return this.running && !(this.status & R.STS_ERROR) && this.events.hasRoom;
  }

  private map(base: number): void {
    const range: MmioRange = {
      owner: this.id,
      base,
      length: R.XHCI_BYTES,
      handler: {
        read: (offset, size) => {
          const word = this.readRegister(offset & ~3);
          return size === 4 ? word : (word >>> ((offset & 3) * 8)) & (size === 2 ? 0xffff : 0xff);
        },
        // Registers are written whole (section 5.1).
        write: (offset, value, size) => {
          if (size !== 4 || offset % 4) return;
          this.writeRegister(offset, value);
          this.tell();
        },
      },
    };
    try {
      this.options.mmio.register(range);
      this.range = range;
    } catch {
      this.options.log.guest(`BAR ${BAR} at 0x${base.toString(16)} lies on another device`);
    }
  }

  private resetController(): void {
    this.usbCommand = this.notifications = this.configured = this.contextsLow = this.contextsHigh = 0;
    this.status = R.STS_HALTED;
    this.kept = false;
    this.commands.reset();
    this.turn.disarm();
    for (const slot of this.slots) slot.disable();
    this.events.reset();
    for (const port of this.ports) port.reset();
    if (this.ports.some(({ hasChanges }) => hasChanges)) this.status |= R.STS_PORT_CHANGE;
    this.setInterrupt(false);
  }

  private readRegister(offset: number): number {
    if (offset >= R.DOORBELLS_AT) return 0;
    if (offset === R.RUNTIME_AT + R.R_FRAME) return this.running ? Math.floor(this.options.clock.now() / MICROFRAME_NS) & FRAMES : 0;
    if (offset >= R.RUNTIME_AT) return this.events.read(offset - R.RUNTIME_AT) >>> 0;
    if (offset >= R.EXTENDED_AT) return readProtocol(offset - R.EXTENDED_AT);
    if (offset >= R.PORTS_AT) return this.portAt(offset)?.read(offset % R.PORT_BYTES) ?? 0;
    return offset >= R.OPERATIONAL_AT ? this.readOperational(offset - R.OPERATIONAL_AT) : readCapability(offset);
  }

  private readOperational(offset: number): number {
    switch (offset) {
      case R.O_COMMAND:
        return this.usbCommand;
      case R.O_STATUS:
        return this.status;
      case R.O_PAGE_SIZE:
        return R.PAGE_4K;
      case R.O_NOTIFICATIONS:
        return this.notifications;
      case R.O_COMMAND_RING:
        return this.commands.read();
      case R.O_CONTEXTS:
        return this.contextsLow;
      case R.O_CONTEXTS + 4:
        return this.contextsHigh;
      case R.O_CONFIGURE:
        return this.configured;
      default:
        return 0;
    }
  }

  private writeRegister(offset: number, value: number): void {
    if (offset >= R.DOORBELLS_AT) this.ringDoorbell((offset - R.DOORBELLS_AT) / 4, value & 0xff);
    else if (offset >= R.RUNTIME_AT) this.events.write32(offset - R.RUNTIME_AT, value);
    else if (offset >= R.PORTS_AT) this.portAt(offset)?.write(offset % R.PORT_BYTES, value);
    else if (offset >= R.OPERATIONAL_AT) this.writeOperational(offset - R.OPERATIONAL_AT, value);
  }

  private writeOperational(offset: number, value: number): void {
    switch (offset) {
      case R.O_COMMAND:
        this.writeCommand(value);
        break;
      case R.O_STATUS:
        this.status &= ~(value & R.STS_CLEARED);
        break;
      case R.O_NOTIFICATIONS:
        this.notifications = value & 0xffff;
        break;
      case R.O_COMMAND_RING:
      case R.O_COMMAND_RING + 4:
        this.commands.write(offset === R.O_COMMAND_RING, value);
        break;
      case R.O_CONTEXTS:
        this.contextsLow = (value & ~0x3f) >>> 0;
        break;
      case R.O_CONTEXTS + 4:
        this.contextsHigh = value;
        break;
      case R.O_CONFIGURE:
        this.configured = value & 0xff;
    }
  }

  private writeCommand(value: number): void {
    if (value & R.CMD_RESET) {
      this.resetController();
      return;
    }
    const ran = this.running;
    this.usbCommand = value & R.CMD_KEPT;
    if (!ran && this.running) this.start();
    else if (ran && !this.running) this.halt();
    // Nothing is lost without power while the machine is on (section 4.23.2): what was saved is still here, unless there was a reset.
    if (value & R.CMD_SAVE) this.kept = true;
    if (value & R.CMD_RESTORE && !this.kept) this.status |= R.STS_RESTORE_ERROR;
  }

  private start(): void {
    this.status &= ~R.STS_HALTED;
    for (const port of this.ports) if (port.hasChanges) this.portChanged(port);
    this.runAll();
  }

  /** Transfers go back to their rings, from which they are taken again when the controller runs. */
  private halt(): void {
    for (const slot of this.slots) for (const endpoint of slot.all) endpoint.recall();
    this.status |= R.STS_HALTED;
    this.commands.halt();
    this.turn.disarm();
  }

  private ringDoorbell(slot: number, target: number): void {
    if (!this.running) return;
    if (slot === 0) {
      this.commands.ringDoorbell();
      return;
    }
    const endpoint = this.slots[slot - 1]?.endpoint(target);
    if (endpoint) endpoint.ringDoorbell();
    else this.options.log.guest(`doorbell of slot ${slot} rung for endpoint ${target}, which is not there`);
  }

  private portChanged(port: RootPort): void {
    this.status |= R.STS_PORT_CHANGE;
    if (!this.running) return;
    this.events.post({ low: (port.number << 24) >>> 0, high: 0, status: T.CC_SUCCESS << 24, control: T.T_PORT_EVENT << 10 });
  }

  /** Everything that was rung for and is not done. */
  private runAll(): void {
    for (const port of this.ports)
      if (port.stale) {
        port.exchange();
        this.lost(port);
      }
    this.commands.run();
    for (const slot of this.slots) for (const endpoint of slot.all) endpoint.run();
  }

  private later(): void {
    this.turn.arm(this.options.clock.now() + LATER_NS);
  }

  private busReset(port: RootPort): void {
    for (const slot of this.slots) if (slot.port === port) for (const endpoint of slot.all) endpoint.forget();
  }

  private lost(port: RootPort): void {
    for (const slot of this.slots) if (slot.port === port) for (const endpoint of slot.all) endpoint.lost();
  }

  /** Entry of a slot in the device context base address array, section 6.1. */
  private deviceContext(slot: number): number {
    const { memory } = this.options;
    const at = this.contextsHigh * 2 ** 32 + this.contextsLow + slot * 8;
    const low = memory.read32(at);
    return memory.read32(at + 4) * 2 ** 32 + low - (low & 0x3f);
  }

  private portAt(offset: number): RootPort | undefined {
    return this.ports[Math.floor((offset - R.PORTS_AT) / R.PORT_BYTES)];
  }

  private raise(): void {
    this.status |= R.STS_INTERRUPT;
    this.tell();
  }

  /** Interrupts the guest if there is reason to. A message takes the reason with it (section 4.17.2). */
  private tell(): void {
    const { events, msi } = this;
    const due = (events.management & both) === both && (this.usbCommand & R.CMD_INTERRUPTS) !== 0;
    this.setInterrupt(due && !msi.enabled);
    if (!due || !msi.enabled) return;
    events.management &= ~R.MANAGEMENT_PENDING;
    msi.send();
  }
}

const both = R.MANAGEMENT_PENDING | R.MANAGEMENT_ENABLE;
