import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import * as P from '../../core/vnc/protocol.ts';
import { displayInitramfs } from './support/displaymodules.ts';
import type { GuestOptions } from './support/guest.ts';
import { FAST_BOOT, linuxKernel } from './support/images.ts';
import { WatchedGuest } from './support/watchedguest.ts';

/** The VirtIO display under Debian's Linux 6.1 and its own driver, watched and resized over RFB. */
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-display-'));
const all: WatchedGuest[] = [];
afterEach(async () => {
  for (const watched of all.splice(0)) await watched.end();
  rmSync(folder, { recursive: true, force: true });
});

/** What programs/follower.c draws. */
const drawn = (x: number, y: number) => ((x & 255) << 16) | ((y & 255) << 8) | ((x >> 8) << 4) | (y >> 8);

/** The follower's picture of that size, with its cursor. */
async function follows(watched: WatchedGuest, width: number, height: number): Promise<void> {
  const { client } = watched;
  const places = [
    [0, 0],
    [width - 1, 0],
    [width - 1, height - 1],
    [300, 299],
    // Beside what is seen of the cursor.
    [width - 90, 52],
  ] as const;
  await watched.seen(
    `picture of ${width} x ${height}`,
    () =>
      client.width === width &&
      client.height === height &&
      places.every(([x, y]) => client.pixels[y * width + x] === drawn(x, y)) &&
      client.pixels[52 * width + width - 98] === 0xffffff,
  );
}

test('a driver takes over from the VGA, and its guest follows the size that a viewer asks for, also after a restore', async () => {
  const options: GuestOptions = {
    memoryMiB: 256,
    cpu: 'x86-64',
    virtioDisplay: true,
    kernel: {
      path: linuxKernel('amd64'),
      initrd: displayInitramfs(),
      cmdline: `console=tty0 console=ttyS0,115200 mitigations=off ${FAST_BOOT}`,
    },
  };
  const start = async (more: GuestOptions) => {
    const started = await WatchedGuest.start(more);
    all.push(started);
    return started;
  };
  const watched = await start(options);
  const { guest, client } = watched;
  const { vm } = guest;
  await guest.onSerial(/GUEST READY 6\.1\.\S+ x86_64/, 240_000);
  await guest.ask('', /\/ # /);
  // The VGA's text mode. What is asked for now is what the driver begins with.
  expect(guest.screen()).toMatch(/\S/);
  expect(vm.scanout.mode().resizable).toBe(false);
  client.setDesktopSize(1200, 760);
  await watched.seen('answer', () => client.extendedSizes.some(({ reason }) => reason === P.SIZE_BY_THIS_CLIENT));
  expect(client.extendedSizes.at(-1)).toMatchObject({ reason: P.SIZE_BY_THIS_CLIENT, status: P.SIZE_FORWARDED });

  await guest.ask('/display/load', /^DISPLAY LOADED\r?$/m, 120_000);
  await watched.seen('frame buffer console', () => client.width === 1200 && client.height === 760 && watched.lit() > 500);
  expect(guest.screen()).toBe('');
  expect(vm.scanout.mode().resizable).toBe(true);
  await guest.ask('head -1 /sys/class/drm/card0-Virtual-1/modes', /^1200x760\r?$/m);
  const before = watched.lit();
  await guest.ask('for i in 1 2 3 4 5 6 7 8; do echo WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW; done > /dev/tty0; echo d""one', /done/);
  await watched.seen('text', () => watched.lit() > before + 2000);

  client.setDesktopSize(1001, 701);
  await guest.ask(
    'until head -1 /sys/class/drm/card0-Virtual-1/modes | grep 1001x701; do sleep 1; done; echo e""nd',
    /^1001x701\r?\nend/m,
    60_000,
  );
  await guest.ask('/display/follower &', /MODE 1001x701\r?\n/, 60_000);
  await follows(watched, 1001, 701);
  client.setDesktopSize(1600, 900);
  await follows(watched, 1600, 900);
  await guest.ask('dmesg | grep -ciE "call trace|bug:|oops|virtio_gpu.*error|response 0x12"', /^0\r?$/m);

  const file = path.join(folder, 'saved.state');
  await vm.saveState(file);
  const again = await start({ ...options, restore: file });
  await follows(again, 1600, 900);
  again.client.setDesktopSize(640, 480);
  await follows(again, 640, 480);

  // Without a driver the VGA is there again.
  await again.guest.vm.reset();
  await again.guest.until('the VGA', () => !again.guest.vm.scanout.mode().resizable && again.guest.screen() !== '', 60_000);
}, 600_000);
