import { constants, copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import * as P from '../../core/vnc/protocol.ts';
import { drive } from '../guests/support/guest.ts';
import { run } from '../guests/support/packages.ts';
import { WatchedGuest } from '../guests/support/watchedguest.ts';
import { desktopSystem } from './support/desktopsystem.ts';

const MINUTE = 60_000;
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-desktop-test-'));
let watched: WatchedGuest | undefined;
afterEach(async () => {
  await watched?.end();
  rmSync(folder, { recursive: true, force: true });
});

/** Pointer event (RFC 6143, 7.5.5). */
function pointer({ client }: WatchedGuest, x: number, y: number, buttons = 0): void {
  const message = Buffer.from([P.MSG_POINTER_EVENT, buttons, 0, 0, 0, 0]);
  message.writeUInt16BE(x, 2);
  message.writeUInt16BE(y, 4);
  client.send(message);
}

test(
  'a Debian desktop: Xfce starts, keys and pointer arrive, it takes another size, and is saved and gone on with',
  async () => {
    const { kernel, initrd, cmdline, disk } = desktopSystem();
    const copy = path.join(folder, 'disk.img');
    copyFileSync(disk, copy, constants.COPYFILE_FICLONE);
    const options = {
      memoryMiB: 1024,
      cpu: 'x86-64-v2' as const,
      virtioDisplay: true,
      kernel: { path: kernel, initrd, cmdline },
      drives: [drive('virtio0', 'disk', copy)],
    };
    watched = await WatchedGuest.start(options);
    let { guest, client } = watched;
    await guest.onSerial(/root@desk:~# /, 10 * MINUTE);
    // What bash adds for terminals that paste would stand between the lines.
    await guest.ask(
      'bind \'set enable-bracketed-paste off\'; export DISPLAY=:0 XAUTHORITY=/home/user/.Xauthority; echo s""et',
      /^set\r?$/m,
    );
    await guest.ask(
      'until pgrep xfdesktop && pgrep xfce4-panel && xdotool search --onlyvisible --class xfdesktop; do sleep 2; done; echo u""p',
      /^up\r?$/m,
      15 * MINUTE,
    );
    const whole = () => client.width * client.height;
    await watched.seen('desktop', () => client.width === 1280 && client.height === 800 && watched!.lit() > whole() * 0.9, 5 * MINUTE);

    // The pointer is where the viewer's is, to the pixel.
    for (const [x, y] of [
      [300, 200],
      [1279, 799],
      [0, 640],
    ] as const) {
      pointer(watched, x, y);
      await guest.ask(`until xdotool getmouselocation | grep "^x:${x} y:${y} "; do sleep 1; done; echo a""t`, /^at\r?$/m, MINUTE);
    }

    await guest.ask(
      'runuser -u user -- xfce4-terminal > /dev/null 2>&1 & until xdotool getwindowfocus getwindowname | grep Terminal; do xdotool search --onlyvisible --class xfce4-terminal windowfocus; sleep 2; done; echo op""en',
      /^open\r?$/m,
      5 * MINUTE,
    );
    await guest.vm.typeText("echo 'Keys: {A|b} ~1' > typed\n", 30);
    await guest.ask('until grep . /home/user/typed; do sleep 1; done', /^Keys: \{A\|b\} ~1\r?$/m, 3 * MINUTE);

    // Xfce leaves its size to the user.
    client.setDesktopSize(1440, 900);
    await guest.ask(
      'until xrandr | grep "1440x900 .*+"; do sleep 1; done; xrandr --output Virtual-1 --auto; echo tak""en',
      /^taken\r?$/m,
      2 * MINUTE,
    );
    await watched.seen(
      'desktop of 1440 x 900',
      () => client.width === 1440 && client.height === 900 && watched!.lit() > whole() * 0.9,
      5 * MINUTE,
    );

    await guest.ask('sync; echo syn""ced', /^synced\r?$/m, 2 * MINUTE);
    const file = path.join(folder, 'saved.state');
    const before = Uint32Array.from(client.pixels);
    await guest.vm.saveState(file);
    expect(statSync(file).size).toBeGreaterThan(1 << 20);
    await watched.end();
    watched = await WatchedGuest.start({ ...options, restore: file });
    ({ guest, client } = watched);
    const same = () => client.pixels.reduce((count, pixel, i) => count + (pixel === before[i] ? 1 : 0), 0);
    // But for the clock and a blinking cursor.
    await watched.seen('the same desktop', () => client.pixels.length === before.length && same() > whole() * 0.95, MINUTE);
    await guest.ask('cat /home/user/typed', /^Keys: \{A\|b\} ~1\r?$/m, MINUTE);
    await guest.ask(
      'dmesg | grep -ciE "call trace|bug:|oops|nobody cared|lost interrupt|bad page|segfault|virtio_gpu.*error"',
      /^0\r?$/m,
      MINUTE,
    );
    guest.vm.serial[0]!.receive(Buffer.from('poweroff\n'));
    await guest.until('power off', () => guest.vm.state === 'off', 5 * MINUTE);
    run('e2fsck', ['-f', '-n', copy]);
  },
  60 * MINUTE,
);
