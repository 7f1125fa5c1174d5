import type { GuestArch } from './images.ts';
import { loadModules } from './kernelmodules.ts';
import { moduleInitramfs } from './moduleinitramfs.ts';

/** Of the USB 3 controller, disks, CD drives and HID. */
const modules = ['xhci-pci', 'usb-storage', 'sr_mod', 'hid-generic', 'usbhid'];
const load = `#!/bin/sh\n${loadModules('usb', 'exit 1')}echo USB LOADED\n`;

/** The initramfs with `/usb/load`, which loads the kernel's drivers for the USB controller and what can be plugged into it. */
export const usbInitramfs = (arch: GuestArch): string => moduleInitramfs({ arch, folder: 'usb', modules, scripts: { load } });
