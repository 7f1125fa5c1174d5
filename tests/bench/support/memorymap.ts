import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import * as layout from '../../../core/memory/layout.ts';

/**
 * What of a VM process is resident (proc(5): smaps, pagemap): everything, and apart from that the parts of the machine's shared memory
 * (core/memory/layout.ts), which V8 maps in one piece, so that smaps alone can't tell the guest's RAM from caches. Linux, same user or root.
 */
const PAGE = 4096;
/** pagemap: 64 bits a page, bit 63 present. */
const ENTRY = 8;

const PARTS: [name: string, start: number, size: number][] = [
  ['interpreter data', layout.AS_STATIC_BASE, layout.CPU_STATE_BASE - layout.AS_STATIC_BASE],
  ['TLB', layout.TLB_BASE, layout.TLB_SIZE],
  ['physical map', layout.PHYS_MAP_BASE, layout.PHYS_MAP_SIZE],
  ['dirty and code maps', layout.DIRTY_MAP_BASE, layout.ROM_BASE - layout.DIRTY_MAP_BASE],
  ['firmware', layout.ROM_BASE, layout.BIOS_ROM_BASE + layout.BIOS_ROM_MAX - layout.ROM_BASE],
  ['decoded instructions', layout.DECODE_CACHE_BASE, layout.DECODE_CACHE_SIZE],
  ['video memory', layout.VRAM_BASE, layout.VRAM_MAX],
];

export interface MemoryUse {
  /** Bytes resident of the process. */
  rss: number;
  /** Its proportional share, where pages of files are used by several processes. */
  pss: number;
  /** Resident pages of the guest's RAM. */
  guestRam: number;
  /** rss without guestRam. */
  beyond: number;
  /** Resident pages of the rest of the shared memory, by part. */
  parts: Map<string, number>;
  /** Everything else that is resident, by what it is for: together with `parts` it makes `beyond`. */
  kinds: Map<Kind, number>;
}

/** Told by how a mapping looks: its name, permissions, size and place. */
export type Kind =
  | 'program file'
  | 'libraries'
  | 'C heap'
  | 'C heap, mapped blocks'
  | 'JavaScript heaps'
  | 'machine code'
  | 'stacks and the rest';

interface Mapping {
  start: number;
  size: number;
  /** As smaps has them, such as "rw-p". */
  permissions: string;
  /** File, or "[heap]" and its like; empty for memory of the process's own. */
  name: string;
  rss: number;
  pss: number;
}

function mappings(pid: number): Mapping[] {
  const found: Mapping[] = [];
  for (const line of readFileSync(`/proc/${pid}/smaps`, 'utf8').split('\n')) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+ *(.*)$/.exec(line);
    if (head) {
      const start = parseInt(head[1]!, 16);
      found.push({ start, size: parseInt(head[2]!, 16) - start, permissions: head[3]!, name: head[4]!, rss: 0, pss: 0 });
    }
    const field = /^(Rss|Pss):\s+(\d+) kB/.exec(line);
    if (field) found.at(-1)![field[1] === 'Rss' ? 'rss' : 'pss'] = Number(field[2]) * 1024;
  }
  return found;
}

/** Arenas of the GNU C library lie at multiples of this, and what they don't use yet is mapped without permissions up to the next. */
const ARENA = 64 << 20;
/** V8's pages of JavaScript objects lie at multiples of this, */
const HEAP_PAGE = 256 << 10;
/** and at random places, while mmap(2) by itself goes down from the top of the address space. */
const MMAP_TOP = 0x7e00_0000_0000;
/** MALLOC_MMAP_THRESHOLD_ of a VM process (core/platform/vmenvironment.ts). */
const MAPPED_BLOCK = 128 << 10;

const isArena = ({ start, size }: Mapping, next: Mapping | undefined) =>
  start % ARENA === 0 &&
  (size === ARENA || (next?.start === start + size && next.permissions === '---p' && next.start + next.size === start + ARENA));

function kindOf(mapping: Mapping, next: Mapping | undefined): Kind {
  const { start, size, permissions, name } = mapping;
  if (name === '[heap]') return 'C heap';
  if (/\/(node|electron|hypervue)$/.test(name)) return 'program file';
  if (name.startsWith('/')) return 'libraries';
  if (name) return 'stacks and the rest';
  if (permissions.includes('x')) return 'machine code';
  if (!permissions.startsWith('rw')) return 'stacks and the rest';
  if (isArena(mapping, next)) return 'C heap';
  if (start % HEAP_PAGE === 0 && start < MMAP_TOP) return 'JavaScript heaps';
  // A stack has a page beyond permissions below it and takes 4 or 8 MiB; little of that is resident.
  return size >= MAPPED_BLOCK && size < 4 << 20 ? 'C heap, mapped blocks' : 'stacks and the rest';
}

/** Resident bytes of mappings by kind, without the machine's shared memory. */
function byKind(all: readonly Mapping[], shared: Mapping): Map<Kind, number> {
  const kinds = new Map<Kind, number>();
  all.forEach((mapping, i) => {
    if (mapping === shared || !mapping.rss) return;
    const kind = kindOf(mapping, all[i + 1]);
    kinds.set(kind, (kinds.get(kind) ?? 0) + mapping.rss);
  });
  return kinds;
}

function presentBytes(pagemap: number, start: number, size: number): number {
  const count = Math.ceil(size / PAGE);
  const entries = Buffer.alloc(count * ENTRY);
  const read = readSync(pagemap, entries, 0, entries.length, (start / PAGE) * ENTRY);
  let present = 0;
  for (let at = 7; at < read; at += ENTRY) if (entries[at]! & 0x80) present++;
  return present * PAGE;
}

/** What lies beyond the guest's RAM, largest first, in MiB; nothing below one. */
export const describeParts = ({ parts, kinds }: MemoryUse): string =>
  [...kinds, ...parts]
    .filter(([, bytes]) => bytes >= 1 << 20)
    .sort(([, a], [, b]) => b - a)
    .map(([name, bytes]) => `${name} ${Math.round(bytes / (1 << 20))}`)
    .join(', ');

/** Of a process with one machine of `ramBytes` guest RAM. */
export function memoryUse(pid: number, ramBytes: number): MemoryUse {
  const all = mappings(pid);
  const rss = all.reduce((sum, mapping) => sum + mapping.rss, 0);
  const pss = all.reduce((sum, mapping) => sum + mapping.pss, 0);
  const shared = all.find((mapping) => mapping.size === layout.GUEST_RAM_BASE + ramBytes);
  if (!shared)
    throw new Error(`process ${pid} has no mapping of ${layout.GUEST_RAM_BASE + ramBytes} bytes, which a machine's memory would be`);
  const pagemap = openSync(`/proc/${pid}/pagemap`, 'r');
  try {
    const guestRam = presentBytes(pagemap, shared.start + layout.GUEST_RAM_BASE, ramBytes);
    const parts = new Map(PARTS.map(([name, start, size]) => [name, presentBytes(pagemap, shared.start + start, size)]));
    return { rss, pss, guestRam, beyond: rss - guestRam, parts, kinds: byKind(all, shared) };
  } finally {
    closeSync(pagemap);
  }
}
