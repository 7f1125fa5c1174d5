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
  for (const os of ['Windows XP', 'Windows 2000', 'Windows 98', 'Windows NT 4.0', 'FreeDOS', 'GRUB', ''])
    expect(defaultBus(os, 'iso')).toBe('ide');
});

test('what was made for another computer, or brings its own drivers, gets what every system knows', () => {
  for (const source of ['disk', 'kernel', 'floppy', 'sample'] as const) expect(defaultBus('Debian GNU/Linux', source)).toBe('ide');
});
