import { parseArgs } from 'node:util';
import { type Accel, type Boot, emulators, native, watch } from './support/emulators.ts';
import { initrd, kernel, type Kind, systemRoot } from './support/benchsystem.ts';
import { Markers, type Measured } from './support/markers.ts';
import type { Width } from './support/programs.ts';
import { fixed, formatCells } from './support/report.ts';

/**
 * The processor beside QEMU's TCG and v86: the same kernel, initramfs and programs (tests/bench/programs), booted by each in turn. Times are the
 * host's, taken when a line arrives on COM1; checksums must agree. docs/benchmarks.md says how to read the table.
 */
export const CPU_USAGE =
  'cpu [--quick] [--accel interp|jit] [--bits 32|64] [--on ours,tcg,v86,native] [--percent N] [--only program,...]  (docs/benchmarks.md)';

const BOOT = 'boot';
const COMPILER = 'compiler';
const PROGRAMS = [
  'integer',
  'branches',
  'calls',
  'indirect',
  'hash',
  'sort',
  'rep-movs',
  'copy',
  'sieve',
  'chase',
  'x87',
  'sse',
  'syscalls',
  'faults',
  'processes',
  'gzip',
  COMPILER,
];
/** One of each kind: seconds instead of minutes. */
const QUICK_PROGRAMS = ['integer', 'branches', 'indirect', 'hash', 'sort', 'copy', 'sieve', 'x87', 'sse', 'syscalls', 'processes'];
const QUICK_PERCENT = 10;
const MEMORY_MIB = 256;
const LIMIT_MS = 1_800_000;
/** The kernel itself says little, its decompressor something: its first word starts the clock of the boot. */
const COMMAND_LINE = 'console=ttyS0,115200 earlyprintk=serial,ttyS0,115200 loglevel=0 mitigations=off cryptomgr.notests=1';

type Column = 'native' | 'ours' | 'tcg' | 'v86';
const COLUMNS: Column[] = ['native', 'tcg', 'v86', 'ours'];
type Results = Map<string, Measured>;

interface Request {
  accel: Accel;
  columns: Column[];
  programs: string[];
  percent: number;
}

async function runGuest(
  column: Exclude<Column, 'native'>,
  width: Width,
  kind: Kind,
  programs: string[],
  request: Request,
): Promise<Results> {
  const boot: Boot = {
    width,
    kernel: kernel(width),
    initrd: initrd(width, kind),
    cmdline: `${COMMAND_LINE} -- ${programs.join(',') || 'none'} ${request.percent}`,
    memoryMiB: MEMORY_MIB,
  };
  const child = emulators[column](boot, request.accel);
  let spoken = false;
  let done = false;
  const markers = new Markers(child.pid!, (line) => {
    if (line === 'init' && kind === 'small') markers.end(BOOT, '');
    done ||= line === 'done';
  });
  await watch(child, LIMIT_MS, (text) => {
    if (!spoken) markers.begin();
    spoken = true;
    markers.take(text);
    return done;
  });
  return markers.measured;
}

async function runNative(width: Width, programs: string[], percent: number): Promise<Results> {
  const child = native(width, systemRoot(width, programs.includes(COMPILER) ? 'compiler' : 'small'), programs.join(','), percent);
  const markers = new Markers(child.pid!);
  await watch(child, LIMIT_MS, (text) => {
    markers.take(text);
    return /^done$/m.test(text);
  });
  return markers.measured;
}

async function runColumn(column: Column, width: Width, request: Request): Promise<Results> {
  if (column === 'native') return runNative(width, request.programs, request.percent);
  const small = request.programs.filter((name) => name !== COMPILER);
  const results = await runGuest(column, width, 'small', small, request);
  // Apart, so that its files don't weigh on the boot.
  if (request.programs.includes(COMPILER))
    for (const [name, measured] of await runGuest(column, width, 'compiler', [COMPILER], request)) results.set(name, measured);
  return results;
}

const geometricMean = (values: number[]) => Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

function table(width: Width, columns: Map<Column, Results>, request: Request): string {
  const shown = COLUMNS.filter((column) => columns.has(column));
  const peers = (['tcg', 'v86'] as const).filter((column) => columns.has(column) && columns.has('ours'));
  const times = (column: Column) => columns.get(column)!;
  const ratios = { tcg: new Map<string, number>(), v86: new Map<string, number>() };
  const titles = { native: 'native', ours: `ours (${request.accel})`, tcg: 'QEMU TCG', v86: 'v86' };
  const cells = [[`${width} bits, ms`, ...shown.map((column) => titles[column]), ...peers.map((peer) => `${titles[peer]} / ours`), '']];
  for (const name of [...request.programs, BOOT]) {
    const sums = new Set(shown.map((column) => times(column).get(name)?.checksum).filter((sum) => sum !== undefined));
    const row = [name, ...shown.map((column) => (times(column).has(name) ? fixed(times(column).get(name)!.ms, 0) : '-'))];
    for (const peer of peers) {
      const own = times('ours').get(name);
      const other = times(peer).get(name);
      if (own && other && sums.size === 1) ratios[peer].set(name, other.ms / own.ms);
      row.push(ratios[peer].has(name) ? fixed(ratios[peer].get(name)!, 2) : '-');
    }
    cells.push([...row, sums.size > 1 ? `WRONG RESULT: ${shown.map((column) => times(column).get(name)?.checksum ?? '-').join(' ')}` : '']);
  }
  const blanks = shown.map(() => '');
  // The boot is a program of its own kind, with an aim of its own.
  const programRatios = (peer: 'tcg' | 'v86') => [...ratios[peer]].filter(([name]) => name !== BOOT);
  const summary = (what: string, pick: (list: [string, number][]) => string) =>
    cells.push([what, ...blanks, ...peers.map((peer) => (programRatios(peer).length ? pick(programRatios(peer)) : '-')), '']);
  if (peers.length) {
    summary('geometric mean', (list) => fixed(geometricMean(list.map(([, ratio]) => ratio)), 2));
    summary('lowest', (list) => {
      const [name, ratio] = list.reduce((least, entry) => (entry[1] < least[1] ? entry : least));
      return `${fixed(ratio, 2)} ${name}`;
    });
  }
  return formatCells(cells);
}

export async function cpu(args: readonly string[]): Promise<string> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      accel: { type: 'string', default: 'jit' },
      bits: { type: 'string' },
      on: { type: 'string' },
      percent: { type: 'string' },
      only: { type: 'string' },
    },
  });
  const widths: Width[] = values.bits ? [Number(values.bits) as Width] : values.quick ? [32] : [32, 64];
  const request: Request = {
    accel: values.accel as Accel,
    columns: (values.on?.split(',') ?? (values.quick ? ['tcg', 'ours'] : COLUMNS)) as Column[],
    programs: values.only?.split(',') ?? (values.quick ? QUICK_PROGRAMS : PROGRAMS),
    percent: Number(values.percent ?? (values.quick ? QUICK_PERCENT : 100)),
  };
  if (
    !widths.every((width) => width === 32 || width === 64) ||
    !request.columns.every((column) => COLUMNS.includes(column)) ||
    !(request.percent > 0)
  )
    throw new Error(`usage: ${CPU_USAGE}`);
  const tables: string[] = [];
  for (const width of widths) {
    const columns = new Map<Column, Results>();
    const failures: string[] = [];
    for (const column of COLUMNS) {
      // v86 has no long mode.
      if (!request.columns.includes(column) || (column === 'v86' && width === 64)) continue;
      console.error(`[bench] cpu: ${width} bits, ${column}`);
      try {
        columns.set(column, await runColumn(column, width, request));
      } catch (error) {
        failures.push(`${width} bits, ${column}: ${error instanceof Error ? error.message : error}`);
      }
    }
    if (columns.size) tables.push(table(width, columns, request));
    tables.push(...failures);
  }
  return tables.join('\n\n');
}
