import { findFile, debianPackage } from './packages.ts';
import type { GuestArch } from './images.ts';

/** Debian 12's installer as it starts from the network: its kernel, and its first stage for text or for GTK. */
export function installer(arch: GuestArch, frontend: 'text' | 'gtk'): { path: string; initrd: string } {
  const folder = debianPackage(`debian-installer-12-netboot-${arch}`);
  const file = (name: string) => findFile(folder, new RegExp(`/${frontend}/debian-installer/${arch}/${name}$`));
  return { path: file('linux'), initrd: file('initrd\\.gz') };
}
