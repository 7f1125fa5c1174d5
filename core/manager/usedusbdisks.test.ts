import { expect, test } from 'vitest';
import type { HostBlockDevice, HostUsbDevice } from '../contract/hostdevices.ts';
import { refuseGivenUsbDisks, refuseUsedUsbDisks } from './usedusbdisks.ts';

const stick = (bus: number, port: string): HostUsbDevice => ({
  vendorId: '0951',
  productId: '1666',
  bus,
  port,
  device: 7,
  vendor: '',
  product: '',
  serial: `S${port}`,
  speedMbps: 480,
  hub: false,
  drivers: ['usb-storage'],
});
const disk = (name: string, parent: string | null, usb: string | null, more: Partial<HostBlockDevice> = {}): HostBlockDevice => ({
  name,
  path: `/dev/${name}`,
  number: '',
  stablePaths: [],
  kind: parent === null ? 'disk' : 'partition',
  parent,
  sizeBytes: 1 << 20,
  model: '',
  serial: '',
  readOnly: false,
  removable: true,
  usb,
  backingFile: '',
  mounts: [],
  swap: false,
  holders: [],
  system: false,
  ...more,
});
const usb = [stick(1, '4.2'), stick(1, '3')];
const wanted = { vendorId: '0951', productId: '1666' };

test('a USB disk that this computer uses is not taken away from it; another one, and one that is only plugged in, are', () => {
  const block = [
    disk('sda', null, '1-4.2'),
    disk('sda1', 'sda', '1-4.2', { mounts: ['/mnt/stick'] }),
    disk('sdb', null, '1-3'),
    disk('vda', null, null, { system: true }),
  ];
  expect(() => refuseUsedUsbDisks({ ...wanted, bus: 1, port: '4.2' }, { usb, block })).toThrow(
    expect.objectContaining({ kind: 'in-use', message: expect.stringContaining('0951:1666: /dev/sda1 /mnt/stick') }),
  );
  expect(() => refuseUsedUsbDisks({ ...wanted, serial: 'S4.2' }, { usb, block })).toThrow('/dev/sda1');
  expect(() => refuseUsedUsbDisks({ ...wanted, bus: 1, port: '3' }, { usb, block })).not.toThrow();
  for (const more of [{ swap: true }, { holders: ['dm-0'] }, { system: true }])
    expect(() => refuseUsedUsbDisks(wanted, { usb, block: [disk('sdb', null, '1-3', more)] })).toThrow('/dev/sdb');
});

test('a USB disk that is a disk of a machine is not given to another as a USB device', () => {
  const block = [disk('sda', null, '1-4.2'), disk('sda1', 'sda', '1-4.2'), disk('sdb', null, '1-3')];
  const given = [{ device: 'sda1', machineName: 'One', drive: 'virtio0' }];
  expect(() => refuseGivenUsbDisks({ ...wanted, bus: 1, port: '4.2' }, { usb, block }, given)).toThrow(
    expect.objectContaining({ kind: 'in-use', message: expect.stringContaining('virtio0 of One') }),
  );
  expect(() => refuseGivenUsbDisks({ ...wanted, bus: 1, port: '3' }, { usb, block }, given)).not.toThrow();
});
