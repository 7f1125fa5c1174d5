import { chmodSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { NicModel } from '../../../core/contract/networks.ts';
import type { GuestArch } from './images.ts';
import { loadModules } from './kernelmodules.ts';
import { appendFolder, moduleInitramfs, virtioNetModules } from './moduleinitramfs.ts';

/** Of each model. */
const modules = { virtio: virtioNetModules, e1000: ['e1000'] } satisfies { [M in NicModel]: string[] };

const load = `#!/bin/sh
${loadModules('card', 'exit 1')}/bin/busybox --install -s /bin
mkdir -p /etc/udhcpc
ip link set lo up
ip link set eth0 up
echo CARD LOADED
`;
const leased = `#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr flush dev $interface
ip addr add $ip/$mask dev $interface
ip route replace default via $router
echo "LEASE $ip/$mask router=$router"
`;

/** The initramfs with `/card/load`, which loads the kernel's driver of such a network card, and `/card/leased` for udhcpc. */
export const cardInitramfs = (arch: GuestArch, model: NicModel): string =>
  moduleInitramfs({ arch, folder: 'card', name: `card-${model}`, modules: modules[model], scripts: { load, leased } });

/**
 * The initramfs for amd64 with the driver of such a card, in `folder`, whose `/card/go` takes the place of init (`rdinit=/card/go`): with the driver loaded and an address from DHCP, it runs
 * these lines of a shell on COM1. `programs` are put beside it.
 */
export function cardScriptInitramfs(folder: string, model: NicModel, lines: string, programs: readonly string[] = []): string {
  const target = path.join(folder, `${model}.gz`);
  const root = path.join(folder, `root-${model}`);
  mkdirSync(path.join(root, 'card'), { recursive: true });
  const go = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /bin
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
exec </dev/ttyS0 >/dev/ttyS0 2>&1
/bin/busybox sh /card/load
udhcpc -i eth0 -n -q -s /card/leased
${lines}
sleep 1000
`;
  writeFileSync(path.join(root, 'card/go'), go, { mode: 0o755 });
  for (const program of programs) {
    const place = path.join(root, 'card', path.basename(program));
    cpSync(program, place);
    chmodSync(place, 0o755);
  }
  appendFolder(cardInitramfs('amd64', model), root, 'card', target);
  return target;
}
