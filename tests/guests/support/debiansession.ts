import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'vitest';
import { debianDisk, ROOT_PASSWORD } from './debiansystem.ts';
import { drive, Guest } from './guest.ts';
import type { GuestArch } from './images.ts';
import { run } from './packages.ts';

/** Typed as a person would, so it is short; 64-bit integers, doubles and recursion, with results that only working code prints. */
const PROGRAM = `#include <stdio.h>
#include <math.h>
long long f(int n){return n<2?n:f(n-1)+f(n-2);}
int main(void){double s=0;for(int i=1;i<=1000;i++)s+=1.0/i/i;
printf("fib %lld pi %.6f ptr %d\\n",f(25),__builtin_sqrt(6*s),(int)sizeof(void*));}
`;
const MINUTE = 60_000;
/** Milliseconds between keys: what a console takes on a busy host. */
const PACE = 30;

/** The system from `debiansystem.ts` as somebody at the screen and keyboard uses it: boots from its disk, logs in, works, compiles, turns it off. */
export async function debianSession(arch: GuestArch): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-debian-'));
  const disk = path.join(folder, 'debian.img');
  copyFileSync(debianDisk(arch), disk);
  const guest = await new Guest({
    memoryMiB: 256,
    ...(arch === 'amd64' ? { cpu: 'x86-64-v2' as const } : {}),
    drives: [drive('ide0', 'disk', disk)],
    order: ['disk'],
  }).start();
  const type = (line: string) => guest.vm.typeText(`${line}\n`, PACE);
  /** A command on a cleared screen, and what it printed there. */
  const answer = async (command: string, pattern: RegExp, timeoutMs = 2 * MINUTE) => {
    await type(`clear; ${command}`);
    return guest.onScreen(pattern, timeoutMs);
  };
  try {
    await guest.onScreen(/^guestbox login:/m, 8 * MINUTE);
    await type('root');
    await guest.onScreen(/^Password:/m, MINUTE);
    await type('wrong');
    // It asks again after a while, and forgets what was typed in between.
    await guest.onScreen(/^Login incorrect\s+guestbox login:$/m, 2 * MINUTE);
    await type('root');
    await guest.onScreen(/Login incorrect(.*\n)*Password:/, 2 * MINUTE);
    await type(ROOT_PASSWORD);
    await guest.onScreen(/^root@guestbox:~# *$/m, 2 * MINUTE);

    await answer('systemctl is-system-running --wait', /^running$/m, 5 * MINUTE);
    await answer('uname -m; id -un; pwd', arch === 'amd64' ? /^x86_64\nroot\n\/root$/m : /^i686\nroot\n\/root$/m);
    await answer('ls -d /b* /e* | sort -r | xargs', /^\/etc \/boot \/bin$/m);
    await answer('ps ax | awk \'$5 ~ /systemd-journald/ {print "journal", $2}\'', /^journal \?$/m);
    await answer("dpkg -l | grep -c '^ii'", /^1\d\d$/m);
    await answer('tar c /usr/bin 2>/dev/null | gzip -1 | gzip -dc | tar t | grep -x usr/bin/gcc', /^usr\/bin\/gcc$/m);
    // The same sum both ways round, over a file large enough to leave every cache of the guest's file system.
    await answer(
      'seq 300000 > n; sha256sum n | cut -c1-16; sync; echo 3 > /proc/sys/vm/drop_caches; sha256sum n | cut -c1-16',
      /^a036031249164ec8\n(.*drop_caches.*\n)?a036031249164ec8$/m,
    );
    await answer('dmesg | grep -ciE "call trace|bug:|oops|nobody cared|lost interrupt|bad page|segfault"', /^0$/m);

    await type('clear; cat > prog.c');
    await guest.vm.typeText(PROGRAM, PACE);
    await guest.vm.sendKeys(['ctrl', 'd']);
    await answer(
      'gcc -O2 -Wall prog.c -o prog -lm && ./prog',
      new RegExp(`^fib 75025 pi 3.140638 ptr ${arch === 'amd64' ? 8 : 4}$`, 'm'),
      5 * MINUTE,
    );

    await type('clear; poweroff');
    await guest.until('power off', () => guest.vm.state === 'off', 3 * MINUTE);
  } finally {
    await guest.end();
  }
  try {
    const partition = path.join(folder, 'partition.img');
    run('dd', [`if=${disk}`, `of=${partition}`, 'bs=1M', 'skip=1', 'conv=sparse']);
    // The file system was left clean, with what was written in it.
    run('e2fsck', ['-f', '-n', partition]);
    const copy = path.join(folder, 'prog.c');
    run('debugfs', ['-R', `dump /root/prog.c ${copy}`, partition]);
    expect(readFileSync(copy, 'utf8')).toBe(PROGRAM);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
