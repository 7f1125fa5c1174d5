import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { initramfs, kernelPackage, recipe } from './images.ts';
import { built, findFile, run } from './packages.ts';

/** In the order in which they can be loaded. */
const modules = [
  'virtio_ring',
  'virtio',
  'virtio_pci_modern_dev',
  'virtio_pci_legacy_dev',
  'virtio_pci',
  'failover',
  'net_failover',
  'virtio_net',
];

const leased = `#!/bin/sh
case "$1" in
  bound|renew)
    ip addr flush dev $interface
    ip addr add $ip/$mask dev $interface
    [ -n "$router" ] && ip route replace default via $router
    : >/etc/resolv.conf
    for d in $dns; do echo nameserver $d >>/etc/resolv.conf; done
    echo "LEASE $ip/$mask router=$router dns=$dns seconds=$lease" ;;
esac
`;

const load = `#!/bin/sh
/bin/busybox --install -s /bin
for m in ${modules.join(' ')}; do insmod /network/$m.ko || exit 1; done
mkdir -p /etc/udhcpc
ip link set lo up
ip link set eth0 up
echo NETWORK LOADED
`;

/** The amd64 initramfs with `/network/load`, which loads the kernel's driver of VirtIO network cards, and `/network/leased` for udhcpc. */
export function networkInitramfs(): string {
  return built(`network-amd64-${recipe(load, leased, initramfs('amd64'))}.gz`, (target) => {
    const root = mkdtempSync(path.join(tmpdir(), 'hypervue-network-'));
    try {
      mkdirSync(path.join(root, 'network'));
      for (const name of modules)
        cpSync(findFile(kernelPackage('amd64'), new RegExp(`/${name}\\.ko$`)), path.join(root, 'network', `${name}.ko`));
      writeFileSync(path.join(root, 'network/load'), load, { mode: 0o755 });
      writeFileSync(path.join(root, 'network/leased'), leased, { mode: 0o755 });
      run('sh', ['-c', `cd '${root}' && find network | cpio --quiet -o -H newc | gzip -1 > '${target}.more'`]);
      // The kernel unpacks archives one after the other.
      writeFileSync(target, Buffer.concat([readFileSync(initramfs('amd64')), readFileSync(`${target}.more`)]));
    } finally {
      rmSync(root, { recursive: true, force: true });
      rmSync(`${target}.more`, { force: true });
    }
  });
}
