import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { initrd, kernel, systemRoot } from '../../bench/support/benchsystem.ts';
import type { Width } from '../../bench/support/programs.ts';

/**
 * One round of mixed work after the other, each step ending in a line `end STEP SUM`: the benchmark's programs, GCC at every level, busybox's text
 * tools and many short processes. Runs as the first process of a guest, and with a count of rounds on the host in the same files.
 */
const SCRIPT = `#!/bin/busybox sh
rounds=\${1:-0}
if [ $$ = 1 ]; then
  rounds=0
  exec </dev/console >/dev/console 2>&1
fi
B=/bin/busybox
step() { name=$1; shift; echo "end $name $("$@" | $B md5sum | $B head -c 16)"; }
compile() { /gcc/cc1 -quiet $1 -ffreestanding -fno-ident -o /tmp/mixed.s /gcc/input.i && $B cat /tmp/mixed.s; }
text() { $B awk 'BEGIN { srand(7); x = 1; for (i = 0; i < 6000; i++) { x = (x * 16807) % 2147483647; printf "%d line %x %d\\n", x % 1000, x, i } }'; }
sorted() { $B sort -n /tmp/mixed.text | $B uniq -c | $B tail -n 2000; }
packed() { $B gzip -c /gcc/input.i | $B gunzip -c; $B bzip2 -c /tmp/mixed.text | $B bunzip2 -c; }
floating() { $B awk 'BEGIN { for (i = 1; i < 30000; i++) s += 1 / (i * i); printf "%.12f", s }'; }
processes() { i=0; while [ $i -lt 60 ]; do i=$((i + 1)); $B expr $i '*' $i; done; }
sums() { for f in /bin/busybox /gcc/cc1; do $B sha256sum $f; $B sha1sum $f; done; }
edited() { $B sed -e 's/line/LINE/g' -e 's/[0-4]/x/g' /tmp/mixed.text | $B grep -c 'x.*x.*LINE'; }
round=0
while :; do
  text >/tmp/mixed.text
  for level in -O0 -O1 -O2 -Os -O3; do step compile$level compile $level; done
  step sorted sorted
  step packed packed
  step floating floating
  step processes processes
  step sums sums
  step edited edited
  for name in integer branches calls indirect hash sort copy sieve chase x87 sse syscalls faults gzip; do
    /init native $name 4
  done
  $B rm -f /tmp/mixed.text /tmp/mixed.s
  round=$((round + 1))
  echo "end round $round"
  [ $round = $rounds ] && exit 0
done
`;

/** Sums by step, from the host's own processor; needs root for the chroot. */
export function wantedSums(width: Width): Map<string, string> {
  const text = execFileSync('chroot', [systemRoot(width, 'compiler'), '/bin/busybox', 'sh', '-c', SCRIPT, 'load', '1'], {
    encoding: 'latin1',
    cwd: '/',
  });
  const sums = new Map([...text.matchAll(/^end (\S+) (\S+)$/gm)].map(([, step, sum]) => [step!, sum!]));
  // The count of rounds done, which is no sum.
  sums.delete('round');
  return sums;
}

/** Kernel and initramfs of a guest that works until it is turned off. */
export function mixedSystem(width: Width): { kernel: string; initrd: string; cmdline: string; remove: () => void } {
  const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-mixed-'));
  writeFileSync(path.join(folder, 'load'), SCRIPT, { mode: 0o755 });
  const extra = execFileSync('cpio', ['--quiet', '-o', '-H', 'newc'], { cwd: folder, input: 'load\n' });
  // The kernel unpacks archives one after the other.
  const base = readFileSync(initrd(width, 'compiler'));
  const file = path.join(folder, 'initrd');
  writeFileSync(file, Buffer.concat([base, Buffer.alloc(-base.length & 511), extra]));
  return {
    kernel: kernel(width),
    initrd: file,
    cmdline: 'console=ttyS0,115200 rdinit=/load quiet cryptomgr.notests=1',
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
