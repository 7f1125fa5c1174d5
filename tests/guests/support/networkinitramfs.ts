import { loadModules } from './kernelmodules.ts';
import { moduleInitramfs, virtioNetModules } from './moduleinitramfs.ts';

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
${loadModules('network', 'exit 1')}mkdir -p /etc/udhcpc
ip link set lo up
ip link set eth0 up
echo NETWORK LOADED
`;

/** The amd64 initramfs with `/network/load`, which loads the kernel's driver of VirtIO network cards, and `/network/leased` for udhcpc. */
export const networkInitramfs = (): string =>
  moduleInitramfs({ arch: 'amd64', folder: 'network', modules: virtioNetModules, scripts: { load, leased } });
