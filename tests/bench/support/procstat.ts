import { readdirSync, readFileSync } from 'node:fs';

/** proc(5): /proc/PID/stat and smaps. Linux only. */

/** USER_HZ, which Linux fixes at 100 for every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

function statFields(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in parentheses may hold anything; field 3 comes after the last one.
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** User and system seconds of a process with all its threads. */
export function cpuSeconds(pid: number): number {
  const fields = statFields(pid);
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Processes whose parent is `pid`, and theirs. */
export function descendants(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc'))
    if (/^\d+$/.test(name))
      try {
        parents.set(Number(name), Number(statFields(Number(name))[1]));
      } catch {
        // It ended meanwhile.
      }
  const found = [pid];
  for (let i = 0; i < found.length; i++) for (const [child, parent] of parents) if (parent === found[i]) found.push(child);
  return found.slice(1);
}

export function commandLine(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
}

/** Resident bytes: of the whole process, and of its largest mapping that has at least `ramBytes`, which holds the guest's RAM. */
export function residentBytes(pid: number, ramBytes: number): { total: number; ram: number } {
  let total = 0;
  let ram = 0;
  let size = 0;
  for (const line of readFileSync(`/proc/${pid}/smaps`, 'utf8').split('\n')) {
    const field = /^(Size|Rss):\s+(\d+) kB/.exec(line);
    if (!field) continue;
    const bytes = Number(field[2]) * 1024;
    if (field[1] === 'Size') size = bytes;
    else {
      total += bytes;
      if (size >= ramBytes) ram = Math.max(ram, bytes);
    }
  }
  return { total, ram };
}
