import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { findUsb, usbDevices } from './findusb.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-sysusb-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('devices are found by what sysfs says of them; hubs and interfaces are none', () => {
  const add = (name: string, attributes: { [file: string]: string }) => {
    mkdirSync(path.join(folder, name));
    for (const [file, value] of Object.entries(attributes)) writeFileSync(path.join(folder, name, file), `${value}\n`);
  };
  const device = (devnum: number, more: object = {}) => ({
    idVendor: '046d',
    idProduct: 'c52b',
    bDeviceClass: '00',
    devnum: `${devnum}`,
    ...more,
  });
  add('usb1', { idVendor: '1d6b', idProduct: '0002', bDeviceClass: '09', devnum: '1' });
  add('1-4', { idVendor: '05e3', idProduct: '0608', bDeviceClass: '09', devnum: '2' });
  add('1-4.2', device(17, { serial: 'X 1' }));
  add('1-4.2:1.0', {});
  add('2-1', device(3));
  expect(usbDevices(folder)).toEqual([
    { vendorId: '046d', productId: 'c52b', bus: 1, port: '4.2', serial: 'X 1', node: '/dev/bus/usb/001/017' },
    { vendorId: '046d', productId: 'c52b', bus: 2, port: '1', node: '/dev/bus/usb/002/003' },
  ]);
  const wanted = { vendorId: '046d', productId: 'c52b' };
  expect(() => findUsb(wanted, usbDevices(folder))).toThrow(/1-4\.2, 2-1/);
  expect(findUsb({ ...wanted, serial: 'X 1' }, usbDevices(folder)).bus).toBe(1);
  expect(findUsb({ ...wanted, port: '1' }, usbDevices(folder)).bus).toBe(2);
  expect(() => findUsb({ ...wanted, bus: 3 }, usbDevices(folder))).toThrow(/no USB device 046d:c52b/);
  expect(usbDevices(path.join(folder, 'nothing'))).toEqual([]);
});
