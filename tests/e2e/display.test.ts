import { expect, test } from 'vitest';
import { displayInitramfs } from '../guests/support/displaymodules.ts';
import { FAST_BOOT, linuxKernel } from '../guests/support/images.ts';
import { eventually } from './support/browser.ts';
import { contract, window } from './support/session.ts';

/** The guest's picture follows the window: Debian's Linux with its driver of the VirtIO display, and a program that takes the size that it prefers. */
const BOOT_MS = 240_000;

test('the guest follows the window, one to one, where it has a VirtIO display and a driver for it', async () => {
  const { app, page } = window;
  await page.setViewportSize({ width: 1280, height: 860 });
  const { id } = await contract.call('vm.create', {
    name: 'Follower',
    cpuModel: 'x86-64',
    memoryMiB: 192,
    source: {
      type: 'kernel',
      path: linuxKernel('amd64'),
      initrd: displayInitramfs(),
      cmdline: `console=tty0 console=ttyS0,115200 quiet mitigations=off ${FAST_BOOT}`,
    },
    newDisk: null,
  });
  await app.machines.open('Follower');
  const machine = app.machine();
  // A VGA can't be told, and says so.
  await machine.tab('console');
  expect(await machine.scale('follow')).toBe(false);
  await machine.tab('hardware');
  await machine.device('display');
  await page.getByTestId('display-model').selectOption('virtio');
  await machine.applyHardware();
  expect((await contract.call('vm.get', { id })).config!.display.model).toBe('virtio');

  await machine.verb('start');
  await machine.waitForState('running');
  await machine.tab('console');
  await machine.focusConsole();
  expect(await machine.scale('follow')).toBe(false);
  await machine.tab('serial');
  const shell = (pattern: RegExp, timeoutMs: number) =>
    eventually(
      `${pattern} on the serial line`,
      async () => {
        const text = await machine.serialText();
        if (!pattern.test(text)) throw new Error(text);
        return true;
      },
      timeoutMs,
    );
  await shell(/GUEST READY/, BOOT_MS);
  await machine.typeSerial('\n');
  await machine.typeSerial('/display/load && /display/follower &\n');
  await shell(/MODE \d+x\d+/, 120_000);
  await machine.tab('console');
  const follows = () =>
    eventually(
      'a picture of the size of the window',
      async () => {
        const { picture, canvas, room } = await machine.sizes();
        const wanted = room.map((side) => Math.floor(side + 0.001));
        const text = `picture ${picture}, canvas ${canvas}, room ${room}`;
        if (picture.some((side, axis) => side !== wanted[axis] || Math.abs(canvas[axis]! - side) > 0.01)) throw new Error(text);
        return picture;
      },
      60_000,
    );
  await eventually('the choice', async () => machine.scale('follow'), 30_000);
  const first = await follows();
  await page.setViewportSize({ width: 1100, height: 780 });
  const second = await follows();
  expect([first[0]! - second[0]!, first[1]! - second[1]!]).toEqual([180, 80]);
  // As the program in the guest draws it, but for what JPEG takes away.
  const [x, y] = [second[0]! - 20, second[1]! - 20];
  const drawn = [x & 255, y & 255, ((x >> 8) << 4) | (y >> 8)];
  await eventually(
    'the picture that the guest draws',
    async () => {
      const { width, data } = await machine.pixels();
      const shown = [...data.subarray((y * width + x) * 4, (y * width + x) * 4 + 3)];
      if (shown.some((channel, index) => Math.abs(channel - drawn[index]!) > 16)) throw new Error(`${shown}, not ${drawn}`);
      return true;
    },
    30_000,
  );

  // A machine that is reverted has the size of then, and is asked again for the one of now.
  const snapshot = await contract.call('snapshot.take', { id, name: 'Smaller' });
  await page.setViewportSize({ width: 1160, height: 820 });
  await follows();
  await contract.call('snapshot.revert', { id, snapshot: snapshot.id });
  const third = await follows();
  expect([third[0]! - second[0]!, third[1]! - second[1]!]).toEqual([60, 40]);

  // The machine's own choice outlives the page.
  await page.reload();
  await machine.canvas.waitFor();
  await page.setViewportSize({ width: 1200, height: 800 });
  await follows();
  await machine.menu('forceOff');
  await app.confirm();
  await machine.waitForState('off');
  expect(window.problems).toEqual([]);
}, 420_000);
