import { expect, test } from 'vitest';
import { defaultBus } from './defaultbus.ts';

test('a new disk is attached to the quickest that its system knows', () => {
  const buses = (systems: string[]) => systems.map((os) => [os, defaultBus(os, 'iso')]);
  expect(buses(['Debian GNU/Linux', 'Alpine Linux', 'FreeBSD', 'Linux'])).toEqual([
    ['Debian GNU/Linux', 'virtio'],
    ['Alpine Linux', 'virtio'],
    ['FreeBSD', 'virtio'],
    ['Linux', 'virtio'],
  ]);
  expect(buses(['Windows', 'Windows 11', 'Windows Server 2022'])).toEqual([
    ['Windows', 'sata'],
    ['Windows 11', 'sata'],
    ['Windows Server 2022', 'sata'],
  ]);
  // Their drivers know the interface before virtio 1.0 alone.
  for (const os of ['Debian GNU/Linux 8.11', 'Ubuntu 14.04.6 LTS', 'Ubuntu 9.10', 'CentOS 6.10', 'Red Hat Enterprise Linux 5', 'Fedora 21'])
    expect([os, defaultBus(os, 'iso')]).toEqual([os, 'ide']);
  for (const os of ['FreeBSD 12.4', 'FreeBSD 9.3', 'NetBSD 9.2', 'DragonFlyBSD 6.4'])
    expect([os, defaultBus(os, 'iso')]).toEqual([os, 'ide']);
  for (const os of [
    'Debian GNU/Linux 12',
    'Debian 9',
    'Ubuntu 16.04 LTS',
    'Ubuntu 24.04',
    'CentOS 7',
    'RHEL 10',
    'Fedora 40',
    'FreeBSD 13.1',
  ])
    expect([os, defaultBus(os, 'iso')]).toEqual([os, 'virtio']);
  expect(defaultBus('NetBSD 10.0', 'iso')).toBe('virtio');
  for (const os of ['Windows XP', 'Windows 2000', 'Windows 98', 'Windows NT 4.0', 'FreeDOS', 'GRUB', ''])
    expect(defaultBus(os, 'iso')).toBe('ide');
});

test('what was made for another computer, or brings its own drivers, gets what every system knows', () => {
  for (const source of ['disk', 'kernel', 'floppy', 'sample'] as const) expect(defaultBus('Debian GNU/Linux', source)).toBe('ide');
});
