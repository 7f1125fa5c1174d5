import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import type { VmConfig } from '../contract/vm.ts';
import { loopDevice, noLoopDevices } from '../platform/testing/loopdevice.ts';
import { testCommand } from './testing/command.ts';

/** Drives, network cards and ports of a machine from the command line; each command opens the library itself. */
const { home, run, json, serve } = testCommand();
// Each command is a process of its own.
vi.setConfig({ testTimeout: 180_000 });
const config = (): VmConfig => JSON.parse(readFileSync(path.join(home, 'machines', 'One', 'vm.json'), 'utf8'));

test('drives, cards and ports come and go', async () => {
  expect(await run('create', '--blank', '--name', 'One', '--memory', '32M', '--new-disk', '8M', '--bus', 'virtio')).toMatchObject({
    code: 0,
  });
  // As the first disk is attached.
  expect(await run('device', 'add-disk', 'One', '--size', '16M')).toMatchObject({ code: 0, out: 'One: new disk virtio1\n' });
  const image = path.join(home, 'x.qcow2');
  expect(await run('disk', 'create', image, '8M')).toMatchObject({ code: 0 });
  expect(await run('device', 'add-disk', 'One', image, '--bus', 'sata', '--readonly')).toMatchObject({ code: 0, out: 'One: disk sata0\n' });
  expect(await run('device', 'add-cdrom', 'One', '--bus', 'sata')).toMatchObject({ code: 0, out: 'One: CD drive sata1\n' });
  const floppy = path.join(home, 'floppy.img');
  writeFileSync(floppy, Buffer.alloc(1_474_560));
  expect(await run('device', 'add-floppy', 'One', floppy)).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^One: floppy drive fd\d\n$/),
  });
  expect(await run('device', 'add-card', 'One', '--network', 'none', '--mac', '52:54:00:AA:BB:CC')).toMatchObject({
    code: 0,
    out: 'One: network card net1\n',
  });
  const made = config();
  expect(made.drives).toContainEqual({ id: 'sata0', kind: 'disk', path: image, format: 'qcow2', readOnly: true });
  expect(made.drives).toContainEqual({ id: 'sata1', kind: 'cdrom', path: null, format: 'raw', readOnly: true });
  expect(made.network[1]).toEqual({ ...made.network[0], id: 'net1', mac: '52:54:00:aa:bb:cc', network: null });
  const { out } = await run('device', 'list', 'One');
  expect(out).toMatch(/virtio1 +disk +virtio +.+\.qcow2 \(qcow2\)\n/);
  expect(out).toMatch(/sata0 +disk +sata +\/.*x\.qcow2 \(qcow2\), read-only\n/);
  expect(out).toMatch(/net1 +network card +\S+ +52:54:00:aa:bb:cc, no network\n/);

  expect(await run('device', 'set-card', 'One', 'net1', '--network', 'default', '--cable', 'out', '--nic', 'e1000')).toMatchObject({
    code: 0,
    out: 'One: net1 is 52:54:00:aa:bb:cc (e1000) on default, its cable out\n',
  });
  expect(config().network[1]).toMatchObject({ model: 'e1000', network: 'default', connected: false });
  expect(await run('device', 'remove', 'One', 'sata0')).toMatchObject({ code: 0, out: `One: sata0 is removed\n${image} stays.\n` });
  expect(existsSync(image)).toBe(true);
  const own = path.join(home, 'machines', 'One', config().drives.find(({ id }) => id === 'virtio1')!.path!);
  const gone = await run('device', 'remove', 'One', 'virtio1', '--delete-image');
  expect(gone).toMatchObject({ code: 0, out: expect.stringMatching(/in the trash: hypervue trash restore \S+\n$/) });
  expect(existsSync(own)).toBe(false);
  expect(config().drives.map(({ id }) => id)).not.toContain('virtio1');
  expect(await run('trash', 'restore', /restore (\S+)/.exec(gone.out)![1]!)).toMatchObject({ code: 0 });
  expect(existsSync(own)).toBe(true);
  // A disk on USB brings the controller along, which goes when nothing is on it.
  expect(await run('device', 'add-disk', 'One', '--size', '8M', '--bus', 'usb')).toMatchObject({ code: 0, out: 'One: new disk usb0\n' });
  expect(config().usb).toEqual({ tablet: false });
  expect(await run('device', 'remove', 'One', 'usb')).toMatchObject({ code: 1, err: expect.stringContaining('Remove usb0 first.') });
  expect(await run('device', 'remove', 'One', 'usb0')).toMatchObject({ code: 0 });
  expect(await run('device', 'add-cdrom', 'One', '--bus', 'usb')).toMatchObject({ code: 0, out: 'One: CD drive usb0\n' });
  expect(config().drives.at(-1)).toMatchObject({ id: 'usb0', kind: 'cdrom', path: null });
  expect(await run('device', 'remove', 'One', 'usb0')).toMatchObject({ code: 0 });
  expect(await run('device', 'add-usb', 'One', '--tablet')).toMatchObject({ code: 0, out: 'One: USB controller with a tablet\n' });
  expect((await run('device', 'list', 'One')).out).toMatch(/usb +USB controller +xhci +with a tablet\n/);
  expect(await run('device', 'remove', 'One', 'usb')).toMatchObject({ code: 0 });
  expect(config().usb).toBeNull();
  expect(await run('config', 'set', 'One', 'boot.order', '["net0","disk","net1"]')).toMatchObject({ code: 0 });
  expect(await run('device', 'remove', 'One', 'net0')).toMatchObject({ code: 0 });
  expect(config().boot.order).toEqual(['disk', 'net1']);
  expect(config().network.map(({ id }) => id)).toEqual(['net1']);
});

test('what can not be is refused, and nothing changes', async () => {
  const before = config();
  const refused = async (message: RegExp, ...args: string[]) =>
    expect(await run('device', ...args), args.join(' ')).toMatchObject({ code: 1, err: expect.stringMatching(message) });
  await refused(/image or a new one/, 'add-disk', 'One');
  await refused(/new disks/, 'add-disk', 'One', path.join(home, 'x.qcow2'), '--format', 'raw');
  await refused(/passphrase/, 'add-disk', 'One', '--size', '8M', '--encrypt');
  await refused(/nothing\.img/, 'add-disk', 'One', path.join(home, 'nothing.img'));
  await refused(/CD drive can not be attached to virtio/, 'add-cdrom', 'One', '--bus', 'virtio');
  await refused(/off is no USB device[\s\S]*046d:c52b/, 'attach-usb', 'One', 'off');
  await refused(/can't attach|can't give|give a USB device/, 'attach-usb', 'One', '046d:c52b');
  await refused(/no network nowhere/, 'add-card', 'One', '--network', 'nowhere');
  await refused(/no device net3/, 'set-card', 'One', 'net3', '--cable', 'in');
  await refused(/no device ide7/, 'remove', 'One', 'ide7');
  await refused(/no disk of One/, 'remove', 'One', 'net1', '--delete-image');
  await refused(/both serial ports/, 'add-port', 'One');
  await refused(/serial1 first/, 'remove', 'One', 'serial0');
  expect(await run('device', 'add-card', 'One', '--mac', '53:54')).toMatchObject({
    code: 2,
    err: expect.stringContaining('52:54:00:12:34:56'),
  });
  expect(config()).toEqual(before);
  expect(await run('device', 'remove', 'One', 'serial1')).toMatchObject({ code: 0 });
  expect(await run('device', 'add-port', 'One', '--json')).toMatchObject({ code: 0, out: expect.stringContaining('"serial"') });
});

test('the list has the USB devices of this computer that a machine has while it is on; they go with detach-usb', async () => {
  await serve();
  expect(await run('device', 'add-usb', 'One')).toMatchObject({ code: 0 });
  expect(await json('device', 'list', 'One')).toMatchObject({ usb: { tablet: false }, hostUsb: [] });
  expect(await run('start', 'One')).toMatchObject({ code: 0 });
  expect(await run('device', 'attach-usb', 'One', '046D:c52b', '--bus', '1', '--port', '4.2', '--serial', 'A  1')).toMatchObject({
    code: 0,
  });
  expect(await json('device', 'list', 'One')).toMatchObject({
    hostUsb: [{ vendorId: '046d', productId: 'c52b', bus: 1, port: '4.2', serial: 'A 1' }],
  });
  expect((await run('device', 'list', 'One')).out).toMatch(
    /^046d:c52b +USB device +xhci +of this computer, bus 1, port 4\.2, serial A 1$/m,
  );
  expect(await run('device', 'remove', 'One', '046d:c52b')).toMatchObject({
    code: 1,
    err: expect.stringContaining('detach-usb One 046d:c52b'),
  });
  expect(await run('device', 'detach-usb', 'One', '046d:c52b')).toMatchObject({ code: 0 });
  expect(await run('device', 'add-disk', 'One', '--size', '8M', '--bus', 'usb')).toMatchObject({
    code: 0,
    out: 'One: new disk usb0; it is there from the next start on, or at once with `hypervue device plug`\n',
  });
  expect((await run('device', 'list', 'One')).out).toMatch(/^usb0 .*, from the next start on$/m);
  expect(await run('device', 'plug', 'One', 'usb0')).toMatchObject({ code: 0, out: 'One: usb0 is plugged in\n' });
  expect(await run('device', 'plug', 'One', 'usb0')).toMatchObject({ code: 1, err: expect.stringContaining('One has usb0 already') });
  expect(await run('device', 'plug', 'One', 'usb9')).toMatchObject({ code: 1, err: expect.stringContaining('usb9') });
  expect(await run('device', 'unplug', 'One', 'usb0')).toMatchObject({
    code: 0,
    out: 'One: usb0 is pulled out; it is there again from the next start on\n',
  });
  expect(await json('device', 'list', 'One')).toMatchObject({ hostUsb: [] });
  expect(await run('device', 'attach-usb', 'One', '0951:1666')).toMatchObject({ code: 0 });
  expect((await run('device', 'list', 'One')).out).toMatch(/^0951:1666 +USB device +xhci +of this computer$/m);
  expect(await run('force-off', 'One')).toMatchObject({ code: 0 });
  expect(await json('device', 'list', 'One')).toMatchObject({ hostUsb: [] });
});

test.skipIf(noLoopDevices)(
  'a device of this computer is given and taken back; what is on it is never deleted, and written over only when told so',
  async () => {
    const loop = loopDevice(8 << 20);
    try {
      writeFileSync(loop.path, Buffer.alloc(8 << 20, 3), { flag: 'r+' });
      const before = loop.content();
      expect(await run('create', '--blank', '--name', 'Two', '--memory', '32M', '--new-disk', '8M', '--bus', 'virtio')).toMatchObject({
        code: 0,
      });
      const mine = () => JSON.parse(readFileSync(path.join(home, 'machines', 'Two', 'vm.json'), 'utf8')) as VmConfig;
      expect(await run('device', 'add-disk', 'Two', loop.path, '--readonly')).toMatchObject({
        code: 0,
        out: `Two: the device ${loop.path} as disk virtio1\n`,
      });
      expect(mine().drives).toContainEqual({ id: 'virtio1', kind: 'disk', path: loop.path, format: 'raw', readOnly: true });
      expect((await run('host', 'devices', 'block')).out).toContain('virtio1 of Two');
      expect(await run('device', 'add-disk', 'Two', loop.path)).toMatchObject({ code: 1, err: expect.stringContaining('virtio1 of Two') });
      expect(await run('device', 'remove', 'Two', 'virtio1', '--delete-image')).toMatchObject({
        code: 1,
        err: expect.stringContaining('no image to delete'),
      });
      expect(mine().drives.map(({ id }) => id)).toContain('virtio1');
      expect(await run('device', 'remove', 'Two', 'virtio1')).toMatchObject({
        code: 0,
        out: expect.stringContaining(`${loop.path} stays.`),
      });
      expect(loop.content().equals(before)).toBe(true);
      const image = path.join(home, 'small.img');
      writeFileSync(image, Buffer.alloc(1 << 20, 9));
      expect(await run('disk', 'convert', image, loop.path, '--format', 'raw')).toMatchObject({
        code: 1,
        err: expect.stringContaining('--overwrite-device'),
      });
      expect(loop.content().equals(before)).toBe(true);
      expect(await run('disk', 'convert', image, loop.path, '--format', 'raw', '--overwrite-device')).toMatchObject({ code: 0 });
      expect(loop.content().equals(Buffer.concat([readFileSync(image), before.subarray(1 << 20)]))).toBe(true);
    } finally {
      loop.dispose();
    }
  },
);
