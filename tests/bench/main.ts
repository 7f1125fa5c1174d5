import { cpus } from 'node:os';
import { boot } from './boot.ts';
import { CPU_USAGE, cpu } from './cpu.ts';
import { disk } from './disk.ts';
import { guestdisk } from './guestdisk.ts';
import { idle } from './idle.ts';
import { library } from './library.ts';
import { memory } from './memory.ts';
import { mips } from './mips.ts';
import { network } from './network.ts';
import { overhead } from './overhead.ts';
import { pointer } from './pointer.ts';
import { screen } from './screen.ts';
import { snapshots } from './snapshots.ts';
import { start } from './start.ts';
import { type Bench, formatTable, type Row } from './support/report.ts';

/**
 * `npm run bench` runs all, `npm run bench -- mips idle` only those. `npm run bench -- cpu` has options and a table of its own. Nothing here
 * passes or fails on a time.
 */
const benches: Record<string, Bench> = {
  mips,
  boot,
  screen,
  idle,
  memory,
  overhead,
  start,
  disk,
  guestdisk,
  network,
  snapshots,
  library,
  pointer,
};

const CPU = 'cpu';
if (process.argv[2] === CPU) {
  console.log(`${cpus().length} x ${cpus()[0]?.model}\n`);
  console.log(await cpu(process.argv.slice(3)));
  process.exit(0);
}
const wanted = process.argv.slice(2).filter((arg) => !arg.startsWith('-'));
const unknown = wanted.filter((name) => !(name in benches));
if (unknown.length) {
  console.error(`no bench is called ${unknown.join(', ')}; there are ${Object.keys(benches).join(', ')}, and alone: ${CPU_USAGE}`);
  process.exit(2);
}
const rows: Row[] = [];
for (const [name, bench] of Object.entries(benches)) {
  if (wanted.length && !wanted.includes(name)) continue;
  console.error(`[bench] ${name}`);
  try {
    rows.push(...(await bench()));
  } catch (error) {
    // One that can't run (a missing program, a guest that does not boot) leaves the others alone.
    rows.push({ what: name, ours: 'unavailable', note: error instanceof Error ? error.message.split('\n')[0]! : String(error) });
  }
}
console.log(`${cpus().length} x ${cpus()[0]?.model}; the peer is QEMU with TCG, in the same run\n`);
console.log(formatTable(rows));
process.exit(0);
