import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { createRfbPlatform } from '../../core/platform/rfbplatform.ts';
import { nullLogger } from '../../core/util/logger.ts';
import * as P from '../../core/vnc/protocol.ts';
import { RfbServer } from '../../core/vnc/rfbserver.ts';
import { PipeEnd } from '../../core/vnc/testing/pipe.ts';
import { RfbClient } from '../../core/vnc/testing/rfbclient.ts';
import { displayInitramfs } from './support/displaymodules.ts';
import { Guest, type GuestOptions } from './support/guest.ts';
import { FAST_BOOT, linuxKernel } from './support/images.ts';

/** The VirtIO display under Debian's Linux 6.1 and its own driver, watched and resized over RFB. */
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-display-'));
const guests: Guest[] = [];
const servers: RfbServer[] = [];
afterEach(async () => {
  for (const server of servers) server.close();
  for (const guest of guests) await guest.end();
  rmSync(folder, { recursive: true, force: true });
});

/** What programs/follower.c draws. */
const drawn = (x: number, y: number) => ((x & 255) << 16) | ((y & 255) << 8) | ((x >> 8) << 4) | (y >> 8);

/** A machine and somebody who looks at it. */
async function watched(options: GuestOptions) {
  const guest = await new Guest(options).start();
  guests.push(guest);
  const { vm } = guest;
  const server = new RfbServer({
    source: vm.scanout,
    input: vm.input,
    name: 'guest',
    platform: createRfbPlatform(),
    log: nullLogger,
    resize: (width, height) => vm.resizeDisplay(width, height),
  });
  servers.push(server);
  const [near, far] = PipeEnd.pair();
  server.accept(near, {});
  const client = new RfbClient(far, { encodings: [P.ENCODING_RAW, P.PSEUDO_EXTENDED_DESKTOP_SIZE] });
  await client.connect();
  client.request(false);
  await client.update();
  /** Takes updates until the picture is as wanted. */
  const seen = async (what: string, wanted: () => boolean) => {
    const late = setTimeout(() => server.close(), 120_000);
    try {
      while (!wanted()) {
        client.request(true);
        await client.update();
      }
    } catch (error) {
      throw new Error(`no ${what}, but ${client.width} x ${client.height}: ${error}\n${guest.serial.slice(-800)}`);
    } finally {
      clearTimeout(late);
    }
  };
  /** The follower's picture of that size, with its cursor. */
  const follows = async (width: number, height: number) => {
    const places = [
      [0, 0],
      [width - 1, 0],
      [width - 1, height - 1],
      [300, 299],
      // Beside what is seen of the cursor.
      [width - 90, 52],
    ] as const;
    await seen(
      `picture of ${width} x ${height}`,
      () =>
        client.width === width &&
        client.height === height &&
        places.every(([x, y]) => client.pixels[y * width + x] === drawn(x, y)) &&
        client.pixels[52 * width + width - 98] === 0xffffff,
    );
  };
  return { guest, vm, client, seen, follows };
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
  const { guest, vm, client, seen, follows } = await watched(options);
  const lit = () => client.pixels.reduce((count, pixel) => count + (pixel ? 1 : 0), 0);
  await guest.onSerial(/GUEST READY 6\.1\.\S+ x86_64/, 240_000);
  await guest.ask('', /\/ # /);
  // The VGA's text mode. What is asked for now is what the driver begins with.
  expect(guest.screen()).toMatch(/\S/);
  expect(vm.scanout.mode().resizable).toBe(false);
  client.setDesktopSize(1200, 760);
  await seen('answer', () => client.extendedSizes.some(({ reason }) => reason === P.SIZE_BY_THIS_CLIENT));
  expect(client.extendedSizes.at(-1)).toMatchObject({ reason: P.SIZE_BY_THIS_CLIENT, status: P.SIZE_FORWARDED });

  await guest.ask('/display/load', /^DISPLAY LOADED\r?$/m, 120_000);
  await seen('frame buffer console', () => client.width === 1200 && client.height === 760 && lit() > 500);
  expect(guest.screen()).toBe('');
  expect(vm.scanout.mode().resizable).toBe(true);
  await guest.ask('head -1 /sys/class/drm/card0-Virtual-1/modes', /^1200x760\r?$/m);
  const before = lit();
  await guest.ask('for i in 1 2 3 4 5 6 7 8; do echo WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW; done > /dev/tty0; echo d""one', /done/);
  await seen('text', () => lit() > before + 2000);

  client.setDesktopSize(1001, 701);
  await guest.ask(
    'until head -1 /sys/class/drm/card0-Virtual-1/modes | grep 1001x701; do sleep 1; done; echo e""nd',
    /^1001x701\r?\nend/m,
    60_000,
  );
  await guest.ask('/display/follower &', /MODE 1001x701\r?\n/, 60_000);
  await follows(1001, 701);
  client.setDesktopSize(1600, 900);
  await follows(1600, 900);
  await guest.ask('dmesg | grep -ciE "call trace|bug:|oops|virtio_gpu.*error|response 0x12"', /^0\r?$/m);

  const file = path.join(folder, 'saved.state');
  await vm.saveState(file);
  const again = await watched({ ...options, restore: file });
  await again.follows(1600, 900);
  again.client.setDesktopSize(640, 480);
  await again.follows(640, 480);

  // Without a driver the VGA is there again.
  await again.vm.reset();
  await again.guest.until('the VGA', () => !again.vm.scanout.mode().resizable && again.guest.screen() !== '', 60_000);
}, 600_000);
