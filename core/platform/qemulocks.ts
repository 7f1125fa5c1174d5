/**
 * Locks by which QEMU and its tools show that they have an image open (QEMU's block/file-posix.c: byte 100 + n is locked for a permission that is used, 200 + n for one
 * that is not shared; n: 0 consistent reads, 1 writes, 3 resizes). Node can take no such lock, but Linux lists them.
 */
import { readFileSync } from 'node:fs';

const READS = 100;
const WRITES = 101;
const RESIZES = 103;
const SHARES_NO_READS = 200;

/** Bytes of /proc/locks that are looked at. */
const MOST = 4 << 20;

/** Whether an image of that device and inode must not be read, or written to, for what `locks`, the text of /proc/locks, says of it. */
export function qemuRefuses(locks: string, { dev, ino }: { dev: bigint; ino: bigint }, readOnly: boolean): boolean {
  // As the kernel's MAJOR and MINOR of what stat gives (glibc's gnu_dev_major, gnu_dev_minor).
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  const hex = (value: bigint) => value.toString(16).padStart(2, '0');
  const file = `${hex(major)}:${hex(minor)}:${ino}`;
  const held: [first: number, last: number][] = [];
  for (const line of locks.slice(0, MOST).split('\n')) {
    // "5: OFDLCK ADVISORY  READ -1 fe:00:2215059 100 101"; what waits for a lock has "->" before its kind.
    const [, kind, , , , place, first, last] = line.trim().split(/\s+/);
    if (place !== file || (kind !== 'OFDLCK' && kind !== 'POSIX')) continue;
    const end = Number(last);
    // Programs that lock the whole file mean something else.
    if (Number.isInteger(end)) held.push([Number(first), end]);
  }
  const locked = (byte: number) => held.some(([first, last]) => first <= byte && byte <= last);
  if (locked(WRITES) || locked(RESIZES)) return true;
  return readOnly ? locked(SHARES_NO_READS) : locked(READS);
}

/** The same of this computer, now. False where locks are not listed. */
export function openInQemu(image: { dev: bigint; ino: bigint }, readOnly: boolean): boolean {
  if (process.platform !== 'linux') return false;
  try {
    return qemuRefuses(readFileSync('/proc/locks', 'latin1'), image, readOnly);
  } catch {
    return false;
  }
}
