import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { hostDevicesSchema } from '../../contract/hostdevices.ts';
import { PciNames } from './pciids.ts';
import { presentDevices } from './present.ts';
import { readHostDevices } from './read.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'hv-sys-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A folder of attributes; a value that begins with -> is a link. */
function put(folder: string, attributes: Record<string, string>): void {
  for (const [name, value] of Object.entries(attributes)) {
    const file = path.join(root, folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    if (value.startsWith('->')) symlinkSync(value.slice(2), file);
    else writeFileSync(file, `${value}\n`);
  }
}

const pci = (address: string, attributes: Record<string, string>) => put(`sys/bus/pci/devices/${address}`, attributes);
const usb = (name: string, attributes: Record<string, string>) => put(`sys/bus/usb/devices/${name}`, attributes);
/** In /sys/block, with a link in /sys/class/block as the kernel has it. */
function block(place: string, attributes: Record<string, string>): void {
  put(`sys/block/${place}`, attributes);
  put('sys/class/block', { [path.basename(place)]: `->../../block/${place}` });
}
const schema = hostDevicesSchema.omit({ given: true });
const read = async () => schema.parse(await readHostDevices(root, 'linux'));

test('PCI functions have names, drivers, groups and virtual functions', async () => {
  put('usr/share/misc', {
    'pci.ids':
      '# list\n8086  Intel Corporation\n\t10fb  82599ES\n\t\t8086 0003  X520\n1af4  Red Hat, Inc.\nC 02  Network controller\n\t00  Ethernet controller',
  });
  pci('0000:01:00.0', {
    vendor: '0x8086',
    device: '0x10fb',
    class: '0x020000',
    driver: '->../../../bus/pci/drivers/ixgbe',
    iommu_group: '->../../../kernel/iommu_groups/14',
    sriov_totalvfs: '63',
    sriov_numvfs: '1',
  });
  pci('0000:01:10.0', { vendor: '0x8086', device: '0x10ed', class: '0x020000', physfn: '->../0000:01:00.0', sriov_totalvfs: '0' });
  pci('0000:00:02.0', { vendor: '0x1234', device: '0x1111', class: '0x030000', boot_vga: '1' });
  const { pci: found } = await read();
  expect(found.map(({ address }) => address)).toEqual(['0000:00:02.0', '0000:01:00.0', '0000:01:10.0']);
  expect(found[0]).toMatchObject({ vendor: '', device: '', className: '', bootVga: true, iommuGroup: null, driver: null });
  expect(found[1]).toEqual({
    address: '0000:01:00.0',
    vendorId: '8086',
    deviceId: '10fb',
    classId: '020000',
    vendor: 'Intel Corporation',
    device: '82599ES',
    className: 'Ethernet controller',
    driver: 'ixgbe',
    iommuGroup: 14,
    bootVga: false,
    virtualFunctions: { total: 63, count: 1 },
    physicalFunction: null,
  });
  expect(found[2]).toMatchObject({ device: '', virtualFunctions: null, physicalFunction: '0000:01:00.0' });
});

test('pci.ids: subsystems are no devices, and a class without the subclass has its own name', () => {
  const names = new PciNames('8086  Intel\n\t10fb  82599ES\n\t\t8086 0003  X520\nC 02  Network controller\n\t00  Ethernet controller\n');
  expect([names.device('8086', '0003'), names.device('8086', '10fb')]).toEqual(['', '82599ES']);
  expect([names.className('020000'), names.className('028000'), names.className('ff0000')]).toEqual([
    'Ethernet controller',
    'Network controller',
    '',
  ]);
});

test('USB devices have their place, texts, drivers, and hubs are marked', async () => {
  usb('usb1', { idVendor: '1d6b', idProduct: '0002', devnum: '1', bDeviceClass: '09', speed: '480' });
  usb('1-0:1.0', { driver: '->../../drivers/hub' });
  usb('1-10', { idVendor: '1d6b', idProduct: '0104', devnum: '9', bDeviceClass: '00', speed: '1.5' });
  usb('1-4.2', {
    idVendor: '046d',
    idProduct: 'c52b',
    devnum: '7',
    bDeviceClass: '00',
    speed: '12',
    manufacturer: 'Logitech',
    product: 'Receiver',
    serial: 'A1',
  });
  for (const each of ['1-4.2:1.0', '1-4.2:1.1']) usb(each, { driver: '->../../drivers/usbhid' });
  const { usb: found } = await read();
  expect(found.map(({ bus, port, hub, drivers }) => [bus, port, hub, drivers])).toEqual([
    [1, null, true, ['hub']],
    [1, '4.2', false, ['usbhid']],
    [1, '10', false, []],
  ]);
  expect(found[1]).toMatchObject({
    vendorId: '046d',
    productId: 'c52b',
    device: 7,
    vendor: 'Logitech',
    product: 'Receiver',
    serial: 'A1',
    speedMbps: 12,
  });
  expect(found[2]!.speedMbps).toBe(1.5);
});

test('a disk and its partitions tell which USB device they are on, behind hubs too', async () => {
  const way = 'sys/devices/pci0000:00/0000:00:14.0/usb1/1-4/1-4:1.0/1-4.2/1-4.2:1.0/host0/target0:0:0/0:0:0:0/block/sda';
  put(way, { dev: '8:0', size: '2048' });
  put(`${way}/sda1`, { dev: '8:1', size: '1024', partition: '1' });
  put('sys/class/block', { sda: `->../../../${way}`, sda1: `->../../../${way}/sda1` });
  const { block: found } = await read();
  expect(found.map(({ name, usb }) => [name, usb])).toEqual([
    ['sda', '1-4.2'],
    ['sda1', '1-4.2'],
  ]);
});

test('block devices: what is mounted, swapped to or held, and what the system is on, through LVM', async () => {
  block('sda', { dev: '8:0', size: '2048', removable: '0', ro: '0', 'device/model': 'DISK 1  ', 'device/wwid': 'naa.5' });
  block('sda/sda1', { dev: '8:1', size: '1024', partition: '1', ro: '0', 'holders/dm-0': '' });
  block('dm-0', { dev: '253:0', size: '1000', 'dm/name': 'vg-root', ro: '0' });
  block('sdb', { dev: '8:16', size: '4096', removable: '1', ro: '1' });
  block('sdb/sdb2', { dev: '8:18', size: '2048', partition: '2' });
  block('sdc', { dev: '8:32', size: '8', removable: '0' });
  block('sr0', { dev: '11:0', size: '0', removable: '1' });
  block('loop0', { dev: '7:0', size: '0' });
  block('loop1', { dev: '7:1', size: '16', 'loop/backing_file': '/a file' });
  put('dev/disk/by-id', { 'ata-DISK_1': '->../../sda', 'wwn-0x5': '->../../sda' });
  put('proc', {
    'self/mountinfo':
      '22 1 253:0 / / rw - ext4 /dev/mapper/vg-root rw\n30 22 8:18 / /mnt/my\\040stick rw - vfat /dev/sdb2 rw\n31 22 0:44 / /data rw - btrfs /dev/sdc rw\nbroken',
    swaps: 'Filename Type Size Used Priority',
  });
  const { block: found } = await read();
  const by = Object.fromEntries(found.map((each) => [each.name, each]));
  expect(Object.keys(by)).toEqual(['dm-0', 'loop1', 'sda', 'sda1', 'sdb', 'sdb2', 'sdc', 'sr0']);
  expect(by.sda).toEqual({
    name: 'sda',
    path: '/dev/sda',
    number: '8:0',
    stablePaths: ['/dev/disk/by-id/ata-DISK_1', '/dev/disk/by-id/wwn-0x5'],
    kind: 'disk',
    parent: null,
    sizeBytes: 1024 * 1024,
    model: 'DISK 1',
    serial: 'naa.5',
    readOnly: false,
    removable: false,
    usb: null,
    backingFile: '',
    mounts: [],
    swap: false,
    holders: [],
    system: true,
  });
  expect(by.sda1).toMatchObject({ kind: 'partition', parent: 'sda', holders: ['dm-0'], system: true });
  expect(by['dm-0']).toMatchObject({ kind: 'mapped', model: 'vg-root', mounts: ['/'], system: true });
  expect(by.sdb2).toMatchObject({ mounts: ['/mnt/my stick'], system: false });
  expect(by.sdb).toMatchObject({ readOnly: true, removable: true, system: false });
  expect(by.sdc).toMatchObject({ mounts: ['/data'], system: false });
  expect(by.loop1).toMatchObject({ kind: 'loop', backingFile: '/a file' });
  expect(by.sr0).toMatchObject({ kind: 'optical', sizeBytes: 0 });
});

test('a device that is swapped to by another name belongs to the system', async () => {
  block('sda', { dev: '8:0', size: '8' });
  put('dev/disk/by-id', { 'ata-X': '->../../sda' });
  put('proc', { swaps: 'Filename Type Size Used Priority\n/dev/disk/by-id/ata-X partition 1 0 -2' });
  expect((await read()).block[0]).toMatchObject({ swap: true, system: true });
});

test('hostile, circular and half-gone entries do not break the list', async () => {
  pci('0000:00:03.0', { vendor: '0x1af4', device: '0x1000', class: '0x020000' });
  pci('0000:00:04.0', { vendor: 'zz', device: '', class: '0x020000' });
  pci('nonsense', { vendor: '0x1af4' });
  put('sys/bus/pci/devices', { '0000:00:05.0': '->../gone' });
  usb('1-1', { idVendor: '1234', idProduct: '5678', devnum: '2', product: `\u001b[31mred\u202e\n${'x'.repeat(9999)}`, speed: 'fast' });
  usb('1-2', { idVendor: '1234', idProduct: '5678', devnum: '-1' });
  block('sda', { dev: '8:0', size: '8', 'holders/sdb': '' });
  block('sdb', { dev: '8:16', size: '8', 'holders/sda': '' });
  block('sdc', { dev: '8:32', size: '1e99' });
  put('proc/self/mountinfo', { folder: 'not a file' });
  const { pci: functions, usb: devices, block: disks } = await read();
  expect(functions.map(({ address }) => address)).toEqual(['0000:00:03.0']);
  expect(devices).toHaveLength(1);
  expect(devices[0]!.speedMbps).toBeNull();
  expect(devices[0]!.product).toMatch(/^\[31mred x+$/);
  expect(devices[0]!.product.length).toBeLessThanOrEqual(256);
  expect(disks.map(({ name, system }) => [name, system])).toEqual([
    ['sda', false],
    ['sdb', false],
  ]);
});

test('a computer without any has empty lists, and another system says that it is not read', async () => {
  expect(await read()).toEqual({ pci: [], usb: [], block: [] });
  await expect(readHostDevices(root, 'darwin')).rejects.toMatchObject({ kind: 'unsupported', message: expect.stringContaining('darwin') });
});

test('what is present differs when a device comes, goes, grows, gets another driver or is mounted, and not otherwise', async () => {
  const seen = [await presentDevices(root)];
  const now = async () => {
    const text = await presentDevices(root);
    expect(await presentDevices(root)).toBe(text);
    expect(seen).not.toContain(text);
    seen.push(text);
  };
  pci('0000:01:00.0', { vendor: '0x8086' });
  await now();
  put('sys/bus/pci/devices/0000:01:00.0', { driver: '->../../../../bus/pci/drivers/vfio-pci' });
  await now();
  usb('1-1', { idVendor: '1d6b' });
  await now();
  block('sdb', { size: '0' });
  await now();
  put('sys/block/sdb', { size: '2048' });
  await now();
  put('proc/self', { mountinfo: '36 35 8:16 / /mnt rw - ext4 /dev/sdb rw' });
  await now();
  rmSync(path.join(root, 'sys/bus/usb/devices/1-1'), { recursive: true });
  await now();
});
