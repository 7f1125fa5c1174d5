import { expect, test } from 'vitest';
import { hostDevicesSchema } from '../contract/hostdevices.ts';
import { testCommand } from './testing/command.ts';

const { run, json } = testCommand();

test('host devices lists what this computer has, on Linux', async () => {
  if (process.platform !== 'linux') {
    expect(await run('host', 'devices')).toMatchObject({ code: 1, err: expect.stringContaining('on Linux only') });
    return;
  }
  const list = hostDevicesSchema.parse(await json('host', 'devices'));
  expect(await json('host', 'devices', 'usb')).toEqual(list.usb);
  const { code, out } = await run('host', 'devices', 'pci');
  expect(code).toBe(0);
  for (const { address } of list.pci) expect(out).toContain(address);
  expect(await run('host', 'devices', 'floppy')).toMatchObject({ code: 2 });
});

test('host passthrough says what is in the way, and of an unknown function that it is none', async () => {
  if (process.platform !== 'linux') return;
  expect(await run('host', 'passthrough', 'ffff:ff:1f.7')).toMatchObject({
    code: 1,
    err: expect.stringContaining('no PCI function ffff:ff:1f.7'),
  });
  expect(await run('host', 'passthrough', 'graphics')).toMatchObject({ code: 1 });
  const [first] = hostDevicesSchema.parse(await json('host', 'devices')).pci;
  if (!first) return;
  const { code, out } = await run('host', 'passthrough', first.address);
  expect([code, out]).toEqual([0, expect.stringContaining(first.address)]);
  expect(out).toContain('stop  ');
});
