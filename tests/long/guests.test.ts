import { afterEach, expect, test } from 'vitest';
import { debianSession } from '../guests/support/debiansession.ts';
import { drive, Guest } from '../guests/support/guest.ts';
import { initramfs, linux686, memtestIso } from '../guests/support/images.ts';
import { graphicalInstaller } from '../guests/support/installersession.ts';

/** The guests of tests/guests for longer than a change should have to wait. */
const MINUTE = 60_000;
const guests: Guest[] = [];

async function started(guest: Guest): Promise<Guest> {
  guests.push(guest);
  return guest.start();
}

const linux = () =>
  started(
    new Guest({
      memoryMiB: 128,
      kernel: { path: linux686(), initrd: initramfs('i386'), cmdline: 'console=ttyS0,115200 quiet' },
    }),
  );

afterEach(async () => {
  await Promise.all(guests.splice(0).map((guest) => guest.end()));
});

test(
  'memtest86+ completes a pass of every test without an error',
  async () => {
    const guest = await started(new Guest({ memoryMiB: 8, drives: [drive('ide2', 'cdrom', memtestIso())] }));
    await guest.onScreen(/Memtest86\+/, 2 * MINUTE);
    // The count of completed passes beside the count of errors.
    await guest.onScreen(/Pass: +[1-9]/, 50 * MINUTE);
    expect(guest.screen()).toMatch(/Pass: +[1-9]\d* +Errors: *0\b/);
  },
  60 * MINUTE,
);

test(
  'Linux works hard for minutes and always gets the same results',
  async () => {
    const guest = await linux();
    await guest.onSerial(/GUEST READY/, 5 * MINUTE);
    await guest.ask('dd if=/dev/urandom of=/tmp/data bs=64k count=64 2>/dev/null; echo made', /^made/m, 5 * MINUTE);
    const sums = new Set<string>();
    for (let round = 0; round < 20; round++) {
      // Packing, unpacking, processes, pipes and floating point, with the sum of what comes out.
      const [, sum] = await guest.ask(
        `gzip -c /tmp/data | gzip -dc | md5sum | head -c 32 > /tmp/sum; i=0; while [ $i -lt 200 ]; do ( : ); i=$((i+1)); done; echo "R-$(cat /tmp/sum)-$(awk 'BEGIN{for(i=1;i<20000;i++)s+=1/(i*i);printf "%.12f",s}')-R"`,
        /R-([0-9a-f]{32}-\d\.\d+)-R/,
        5 * MINUTE,
      );
      sums.add(sum!);
    }
    expect([...sums]).toHaveLength(1);
    expect([...sums][0]).toMatch(/-1\.644884065\d*$/);
    await guest.ask('dmesg | grep -ciE "call trace|bug:|oops|nobody cared|lost interrupt|bad page|segfault|stall"', /^0\r?$/m);
  },
  60 * MINUTE,
);

test(
  'Linux reboots five times',
  async () => {
    const guest = await linux();
    await guest.onSerial(/GUEST READY/, 5 * MINUTE);
    for (let round = 0; round < 5; round++) {
      const from = guest.serial.length;
      guest.vm.serial[0]!.receive(Buffer.from('\nreboot -f\n'));
      await guest.until('the next boot', () => /GUEST READY/.test(guest.serial.slice(from)), 5 * MINUTE);
    }
  },
  60 * MINUTE,
);

test(
  'eight machines at once boot Linux and answer',
  async () => {
    const eight = await Promise.all(Array.from({ length: 8 }, linux));
    await Promise.all(eight.map((guest) => guest.onSerial(/GUEST READY/, 30 * MINUTE)));
    for (const guest of eight) await guest.ask('echo answer-$((6*7))', /answer-42/, 5 * MINUTE);
  },
  60 * MINUTE,
);

test(
  'Debian i386 boots from its disk, logs in, compiles and runs a program, and turns off cleanly',
  () => debianSession('i386'),
  60 * MINUTE,
);

test('Debian’s i386 installer shows its list of languages in graphics; keys and mouse work', () => graphicalInstaller('i386'), 1_500_000);
