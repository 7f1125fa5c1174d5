import { z } from 'zod';
import { vmSummarySchema } from './vm.ts';

/** Four hexadecimal digits, as lsusb(8) shows them: 046d. */
const usbNumber = z.string().regex(/^[0-9a-f]{4}$/);

/** Which USB device of this computer: what is given has to fit, and exactly one device may. */
export const usbSelectorSchema = z.object({
  vendorId: usbNumber,
  productId: usbNumber,
  /** Number of the bus, as in /dev/bus/usb. */
  bus: z.number().int().min(1).max(999).optional(),
  /** Ports on the way to it: '4.2' is port 2 of the hub at port 4. */
  port: z
    .string()
    .regex(/^\d{1,3}(\.\d{1,3}){0,6}$/)
    .optional(),
  /** White space in it is folded, as `host.devices` shows it. */
  serial: z
    .string()
    .overwrite((text) => text.replace(/\s+/g, ' ').trim())
    .min(1)
    .max(255)
    .optional(),
});
export type UsbSelector = z.infer<typeof usbSelectorSchema>;

/** Vendor and product as lsusb(8) shows them: `046d:c52b`. */
export const usbName = ({ vendorId, productId }: Pick<UsbSelector, 'vendorId' | 'productId'>): string => `${vendorId}:${productId}`;

/** Whether a selector means this device: all that it names is so. */
export const selectsUsb = (selector: UsbSelector, device: Readonly<Partial<Record<keyof UsbSelector, string | number | null>>>): boolean =>
  (Object.keys(selector) as (keyof UsbSelector)[]).every((key) => selector[key] === undefined || selector[key] === device[key]);

const usbDevice = z.object({ id: z.string().max(64), device: usbSelectorSchema });

export const usbMethods = {
  /** Gives a USB device of this computer to a machine that is on and has a USB controller, until it is taken back, pulled out, or the machine is off. */
  'vm.usb.attach': { params: usbDevice, result: vmSummarySchema },
  'vm.usb.detach': { params: usbDevice, result: vmSummarySchema },
  /** What the machine has of this computer's devices now. */
  'vm.usb.list': { params: z.object({ id: z.string().max(64) }), result: z.array(usbSelectorSchema) },
} as const;
