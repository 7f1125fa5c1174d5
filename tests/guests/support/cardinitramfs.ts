import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { NicModel } from '../../../core/contract/networks.ts';
import { type GuestArch, initramfs, kernelPackage, recipe } from './images.ts';
import { built, findFile, run } from './packages.ts';

/** Of each model, in the order in which they can be loaded. */
const modules = {
  virtio: [
    'virtio_ring',
    'virtio',
    'virtio_pci_modern_dev',
    'virtio_pci_legacy_dev',
    'virtio_pci',
    'failover',
    'net_failover',
    'virtio_net',
  ],
  e1000: ['e1000'],
} satisfies { [M in NicModel]: string[] };

const script = (model: NicModel) => `#!/bin/sh
for m in ${modules[model].join(' ')}; do insmod /card/$m.ko || exit 1; done
/bin/busybox --install -s /bin
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
export function cardInitramfs(arch: GuestArch, model: NicModel): string {
  return built(`card-${model}-${arch}-${recipe(script(model), leased, initramfs(arch))}.gz`, (target) => {
    const root = mkdtempSync(path.join(tmpdir(), 'hypervue-card-'));
    try {
      mkdirSync(path.join(root, 'card'));
      for (const name of modules[model])
        cpSync(findFile(kernelPackage(arch), new RegExp(`/${name}\\.ko$`)), path.join(root, 'card', `${name}.ko`));
      writeFileSync(path.join(root, 'card/load'), script(model), { mode: 0o755 });
      writeFileSync(path.join(root, 'card/leased'), leased, { mode: 0o755 });
      run('sh', ['-c', `cd '${root}' && find card | cpio --quiet -o -H newc | gzip -1 > '${target}.more'`]);
      // The kernel unpacks archives one after the other.
      writeFileSync(target, Buffer.concat([readFileSync(initramfs(arch)), readFileSync(`${target}.more`)]));
    } finally {
      rmSync(root, { recursive: true, force: true });
      rmSync(`${target}.more`, { force: true });
    }
  });
}

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
  run('sh', ['-c', `cd '${root}' && find card | cpio --quiet -o -H newc | gzip -1 > '${target}.more'`]);
  writeFileSync(target, Buffer.concat([readFileSync(cardInitramfs('amd64', model)), readFileSync(`${target}.more`)]));
  return target;
}
