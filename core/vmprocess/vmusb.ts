import { selectsUsb, usbName, type UsbSelector } from '../contract/usb.ts';
import type { VmConfig } from '../contract/vm.ts';
import { HOST_USB_CONNECTORS } from '../machine/slots.ts';
import { findUsb, type FoundUsb, usbDevices } from '../platform/usbfs/findusb.ts';
import { HostUsbDevice } from '../platform/usbfs/hostusbdevice.ts';
import { type UsbfsSystem, usbfsSystem } from '../platform/usbfs/usbfs.ts';
import { HypervueError } from '../util/errors.ts';
import type { Logger } from '../util/logger.ts';
import { say } from '../util/say.ts';
import type { FromMachine, ToMachine } from './machinemessages.ts';

interface Attached {
  found: FoundUsb;
  device: HostUsbDevice;
}

export interface VmUsbParts {
  config: Pick<VmConfig, 'name' | 'usb'>;
  post: (message: ToMachine) => void;
  log: Logger;
  /** Throws 'invalid-state' while the machine is not on. */
  needOn: () => void;
  /** One was pulled out of this computer. */
  gone: () => void;
  /** This computer's; a test stands in for them. */
  system?: () => UsbfsSystem;
  find?: (wanted: UsbSelector) => FoundUsb | Promise<FoundUsb>;
}

const findHere = async (wanted: UsbSelector): Promise<FoundUsb> => findUsb(wanted, await usbDevices());

/** USB devices of this computer that the machine has. */
export class VmUsb {
  private readonly parts: VmUsbParts;
  private readonly attached = new Map<number, Attached>();

  constructor(parts: VmUsbParts) {
    this.parts = parts;
  }

  get list(): UsbSelector[] {
    return [...this.attached.values()].map(({ found: { node: _, ...selector } }) => selector);
  }

  /** Takes the device from this computer and plugs it into the machine. */
  async attach(wanted: UsbSelector): Promise<void> {
    const { config, post, log } = this.parts;
    if (!config.usb)
      throw new HypervueError(
        'invalid-state',
        say('usbNoController', { name: config.name }),
        { object: config.name, operation: 'attach' },
        say('fixUsbController'),
      );
    const found = await (this.parts.find ?? findHere)(wanted);
    const name = usbName(found);
    // From one that went off meanwhile nobody would take it back.
    this.parts.needOn();
    if ([...this.attached.values()].some((each) => each.found.node === found.node))
      throw new HypervueError('already-exists', say('usbThere', { device: name, name: config.name }), {
        object: name,
        operation: 'attach',
      });
    const connector = HOST_USB_CONNECTORS.find((each) => !this.attached.has(each));
    if (connector === undefined)
      throw new HypervueError(
        'resource-limit',
        say('usbFull', { name: config.name, most: HOST_USB_CONNECTORS.length }),
        { object: name, operation: 'attach' },
        say('fixUsbFull'),
      );
    const device = this.open(found, {
      done: (id, status, moved, data) => post({ t: 'usb', news: { what: 'ended', connector, id, status, moved, data } }),
      gone: () => {
        log.warn(`${name} was pulled out`);
        this.drop(connector);
        this.parts.gone();
      },
    });
    this.attached.set(connector, { found, device });
    post({ t: 'usb', news: { what: 'plug', connector, speed: device.speed } });
    log.info(`${name} (bus ${found.bus}, port ${found.port}) is the machine's now`);
  }

  /** Takes it back. Throws 'not-found' when the machine does not have it. */
  detach(wanted: UsbSelector): void {
    const there = [...this.attached].filter(([, { found }]) => selectsUsb(wanted, found));
    const name = usbName(wanted);
    if (there.length !== 1)
      throw new HypervueError('not-found', say('usbNotThere', { device: name, name: this.parts.config.name }), {
        object: name,
        operation: 'detach',
      });
    this.drop(there[0]![0]);
    this.parts.log.info(`${name} is this computer's again`);
  }

  /** What the machine thread asks of a device. */
  handle(message: Extract<FromMachine, { t: 'usb' }>): void {
    const device = this.attached.get(message.connector)?.device;
    if (!device) return;
    if (message.op === 'submit') device.submit(message.id, message.request);
    else if (message.op === 'cancel') device.cancel(message.id);
    else device.reset();
  }

  close(): void {
    for (const { device } of this.attached.values()) device.close();
    this.attached.clear();
  }

  private drop(connector: number): void {
    this.attached.get(connector)?.device.close();
    this.attached.delete(connector);
    this.parts.post({ t: 'usb', news: { what: 'unplug', connector } });
  }

  private open(found: FoundUsb, listener: ConstructorParameters<typeof HostUsbDevice>[2]): HostUsbDevice {
    const device = usbName(found);
    try {
      return new HostUsbDevice((this.parts.system ?? usbfsSystem)(), found.node, listener);
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code ?? '';
      const [said, fix] =
        code === 'EACCES' || code === 'EPERM'
          ? [say('usbRefused', { device, path: found.node }), say('fixUsbRefused', { vendor: found.vendorId, product: found.productId })]
          : [say('usbFailed', { device, code: code || String(cause) }), say('fixUsbFailed')];
      throw new HypervueError(
        code === 'EBUSY' ? 'in-use' : code === 'EACCES' || code === 'EPERM' ? 'permission-denied' : 'io-error',
        said,
        { object: device, path: found.node, operation: 'attach' },
        fix,
        cause,
      );
    }
  }
}
