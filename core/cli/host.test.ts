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
