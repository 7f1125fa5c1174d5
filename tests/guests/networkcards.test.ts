import path from 'node:path';
import { expect, test } from 'vitest';
import type { NicModel } from '../../core/contract/networks.ts';
import { cardInitramfs } from './support/cardinitramfs.ts';
import type { Guest, GuestOptions } from './support/guest.ts';
import { FAST_BOOT, type GuestArch, linuxKernel } from './support/images.ts';
import { startedGuests } from './support/startedguests.ts';
import { TestPeer } from './support/testpeer.ts';

/** Network cards under Debian's Linux 6.1 and its own drivers, with a peer of this test at the other end of the cable. */
const { folder, atEnd, start } = startedGuests('cards');

const drivers = [
  ['virtio', 'amd64'],
  ['e1000', 'i386'],
] as const satisfies readonly (readonly [NicModel, GuestArch])[];

test.each(drivers)(
  '%s under %s: driver, carrier, ARP and echoes of all sizes; a cable that is pulled out; a restore',
  async (model, arch) => {
    const peer = await new TestPeer().open();
    atEnd(() => peer.close());
    const options: GuestOptions = {
      memoryMiB: 128,
      cpu: arch === 'amd64' ? 'x86-64' : 'i686',
      kernel: {
        path: linuxKernel(arch),
        initrd: cardInitramfs(arch, model),
        cmdline: `console=ttyS0,115200 quiet mitigations=off ${FAST_BOOT}`,
      },
      network: [{ id: 'net0', model, mac: '52:54:00:12:34:56', socket: peer.socket }],
    };
    const guest = await start(options);
    await guest.onSerial(/GUEST READY/, 120_000);
    await guest.ask('sh /card/load', /CARD LOADED/, 60_000);
    await guest.ask(
      'ip addr add 192.168.100.50/24 dev eth0; cat /sys/class/net/eth0/address /sys/class/net/eth0/carrier',
      /52:54:00:12:34:56\s+1\s/,
    );
    expect(peer.hellos).toEqual([{ type: 'hello', vm: guest.vm.config.id, card: 'net0', mac: '52:54:00:12:34:56', long: true }]);
    const ping = (on: Guest, bytes: number, count = 3) =>
      on.ask(`ping -c ${count} -i 0.1 -W 20 -s ${bytes} 192.168.100.1; echo "END"`, new RegExp(`${count} packets received[^]*END`), 60_000);
    for (const bytes of [4, 56, 57, 1400, 1472]) await ping(guest, bytes);
    expect(peer.echoes).toBe(15);
    expect(peer.longest).toBe(1500);
    const stats = await guest.ask(
      'cat /sys/class/net/eth0/statistics/rx_errors /sys/class/net/eth0/statistics/tx_errors; echo "ERRORS"',
      /(\d+)\s+(\d+)\s+ERRORS/,
    );
    expect([stats[1], stats[2]]).toEqual(['0', '0']);
    // Pulled out, and in again.
    const carrier = (want: number) =>
      guest.ask(
        `while [ "$(cat /sys/class/net/eth0/carrier)" != ${want} ]; do sleep 0.1; done; echo "CARRIER $((${want}))"`,
        new RegExp(`CARRIER ${want}`),
        60_000,
      );
    guest.vm.plugCable('net0', null);
    await carrier(0);
    guest.vm.plugCable('net0', peer.socket);
    await carrier(1);
    await ping(guest, 100);
    // The other end goes away and comes back by itself.
    peer.cut();
    await guest.until('the third hello', () => peer.hellos.length >= 3, 60_000);
    await carrier(1);
    await ping(guest, 100);
    const file = path.join(folder, `${model}.state`);
    await guest.vm.saveState(file);
    const again = await start({ ...options, restore: file });
    await again.until('the fourth hello', () => peer.hellos.length >= 4, 60_000);
    await ping(again, 1000);
  },
);
