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
}

interface Mapping {
  start: number;
  size: number;
  rss: number;
  pss: number;
}

function mappings(pid: number): Mapping[] {
  const found: Mapping[] = [];
  for (const line of readFileSync(`/proc/${pid}/smaps`, 'utf8').split('\n')) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line);
    if (head) found.push({ start: parseInt(head[1]!, 16), size: parseInt(head[2]!, 16) - parseInt(head[1]!, 16), rss: 0, pss: 0 });
    const field = /^(Rss|Pss):\s+(\d+) kB/.exec(line);
    if (field) found.at(-1)![field[1] === 'Rss' ? 'rss' : 'pss'] = Number(field[2]) * 1024;
  }
  return found;
}

function presentBytes(pagemap: number, start: number, size: number): number {
  const count = Math.ceil(size / PAGE);
  const entries = Buffer.alloc(count * ENTRY);
  const read = readSync(pagemap, entries, 0, entries.length, (start / PAGE) * ENTRY);
  let present = 0;
  for (let at = 7; at < read; at += ENTRY) if (entries[at]! & 0x80) present++;
  return present * PAGE;
}

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
    return { rss, pss, guestRam, beyond: rss - guestRam, parts };
  } finally {
    closeSync(pagemap);
  }
}
