import type { GuestArch } from './images.ts';
import { loadModules, moduleInitramfs } from './moduleinitramfs.ts';

/** Of the USB 3 controller, disks and HID, in the order in which they are loaded. */
const modules = ['usb-common', 'usbcore', 'xhci-hcd', 'xhci-pci', 'usb-storage', 'hid', 'hid-generic', 'usbhid'];
const load = `#!/bin/sh\n${loadModules('usb', modules)}echo USB LOADED\n`;

/** The initramfs with `/usb/load`, which loads the kernel's drivers for the USB controller and what can be plugged into it. */
export const usbInitramfs = (arch: GuestArch): string => moduleInitramfs({ arch, folder: 'usb', modules, scripts: { load } });
