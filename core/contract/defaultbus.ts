import type { DriveBus } from './drives.ts';
import type { VmCreate } from './vm.ts';

/** Systems that bring a driver for virtio disks of version 1, the only ones here. */
const VIRTIO = /linux|debian|ubuntu|fedora|suse|centos|rhel|red hat|rocky|alma|arch|alpine|mint|gentoo|nixos|freebsd|openbsd|netbsd/i;
/** Releases of them whose driver knows the interface before that alone: Linux before 4.0 (2015), FreeBSD before 13, NetBSD before 10. */
const LEGACY_VIRTIO =
  /(?:debian\D*[1-8]|(?:centos|rhel|red hat)\D*[1-6]|fedora\D*(?:\d|1\d|2[0-1])|freebsd\D*(?:\d|1[0-2])|netbsd\D*\d|openbsd\D*[1-6])(?!\d)|ubuntu\D*(?:[4-9]|1[0-4])\./i;
/** Windows from Vista (2007) on brings one for AHCI. Older ones stop with an error on it. */
const OLD_WINDOWS = /windows\s*(xp|2000|2003|server 2003|nt|me\b|9[58]|[123]\.)/i;

/** Whether a system of this name surely brings drivers for virtio devices of version 1. */
export const knowsVirtio = (os: string): boolean => VIRTIO.test(os) && !LEGACY_VIRTIO.test(os);

/**
 * What the new disk of a machine is attached to when nobody chose: the quickest that its system surely knows. A disk that is there already was made for
 * something else, and a kernel's initial RAM disk may bring any driver or none: they get IDE, which every system knows. `known`: what the table of systems
 * says, if it has this one.
 */
export function defaultBus(os: string, source: VmCreate['source']['type'], known?: DriveBus): DriveBus {
  if (source !== 'iso' && source !== 'blank' && source !== 'network') return 'ide';
  if (known) return known;
  if (knowsVirtio(os)) return 'virtio';
  return /windows/i.test(os) && !OLD_WINDOWS.test(os) ? 'sata' : 'ide';
}
