import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { usbSelectorSchema } from '../../contract/usb.ts';
import { readUsb } from '../hostdevices/usb.ts';
import { findUsb, usbDevices } from './findusb.ts';

const root = mkdtempSync(path.join(tmpdir(), 'hypervue-sysusb-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const add = (name: string, attributes: { [file: string]: string }) => {
  const folder = path.join(root, 'sys/bus/usb/devices', name);
  mkdirSync(folder, { recursive: true });
  for (const [file, value] of Object.entries(attributes)) writeFileSync(path.join(folder, file), `${value}\n`);
};

test('devices are found by what sysfs says of them; hubs and interfaces are none', async () => {
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
  const devices = await usbDevices(root);
  expect(devices).toEqual([
    { vendorId: '046d', productId: 'c52b', bus: 1, port: '4.2', serial: 'X 1', node: '/dev/bus/usb/001/017' },
    { vendorId: '046d', productId: 'c52b', bus: 2, port: '1', node: '/dev/bus/usb/002/003' },
  ]);
  const wanted = { vendorId: '046d', productId: 'c52b' };
  expect(() => findUsb(wanted, devices)).toThrow(/1-4\.2, 2-1/);
  expect(findUsb({ ...wanted, serial: 'X 1' }, devices).bus).toBe(1);
  expect(findUsb({ ...wanted, port: '1' }, devices).bus).toBe(2);
  expect(() => findUsb({ ...wanted, bus: 3 }, devices)).toThrow(/no USB device 046d:c52b/);
  expect(await usbDevices(path.join(root, 'nothing'))).toEqual([]);
});

test('a serial number with more white space than one is found as it is listed, and as lsusb shows it', async () => {
  add('3-1', { idVendor: '0951', idProduct: '1666', bDeviceClass: '00', devnum: '5', serial: ' AB  12\t3' });
  const devices = await usbDevices(root);
  const listed = (await readUsb(root)).find(({ bus }) => bus === 3)!.serial;
  for (const serial of [listed, 'AB  12\t3'])
    expect(findUsb(usbSelectorSchema.parse({ vendorId: '0951', productId: '1666', serial }), devices).node).toBe('/dev/bus/usb/003/005');
  expect(() => findUsb({ vendorId: '0951', productId: '1666', serial: 'AB 124' }, devices)).toThrow(/no USB device 0951:1666/);
  expect(usbSelectorSchema.safeParse({ vendorId: '0951', productId: '1666', serial: '  ' }).success).toBe(false);
});
