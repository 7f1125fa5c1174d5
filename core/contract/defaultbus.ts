import type { DriveBus } from './drives.ts';
import type { VmCreate } from './vm.ts';

/** Systems that bring a driver for virtio disks: Linux since 2.6.25 (2008), the BSDs since about 2012. */
const VIRTIO = /linux|debian|ubuntu|fedora|suse|centos|rhel|rocky|alma|arch|alpine|mint|gentoo|nixos|freebsd|openbsd|netbsd|dragonfly/i;
/** Windows from Vista (2007) on brings one for AHCI. Older ones stop with an error on it. */
const OLD_WINDOWS = /windows\s*(xp|2000|2003|server 2003|nt|me\b|9[58]|[123]\.)/i;

/**
 * What the new disk of a machine is attached to when nobody chose: the quickest that its system surely knows. A disk that is there already was made for
 * something else, and a kernel's initial RAM disk may bring any driver or none: they get IDE, which every system knows. `known`: what the table of systems
 * says, if it has this one.
 */
export function defaultBus(os: string, source: VmCreate['source']['type'], known?: DriveBus): DriveBus {
  if (source !== 'iso' && source !== 'blank') return 'ide';
  if (known) return known;
  if (VIRTIO.test(os)) return 'virtio';
  return /windows/i.test(os) && !OLD_WINDOWS.test(os) ? 'sata' : 'ide';
}
