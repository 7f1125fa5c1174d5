import { spawn } from 'node:child_process';
import { Guest } from '../../guests/support/guest.ts';
import { type Accel, OUR_MODEL } from './emulators.ts';
import { Markers, type Measured } from './markers.ts';
import { bareImage, type Level, linuxProgram, type Width } from './programs.ts';
import { Qemu } from './qemu.ts';

/** The benchmark's programs that need no system, by their names separated by commas, at a percentage of their work. */
export const BARE_PROGRAMS = 'integer,branches,calls,indirect,hash,sort,rep-movs,copy,sieve,chase,x87,sse';
/** The same of programs compiled for x86-64-v3. */
export const V3_PROGRAMS = `${BARE_PROGRAMS.replace('x87,', '')},strings`;

const MEMORY_MIB = 64;
const LIMIT_MS = 600_000;

export type Results = Map<string, Measured>;

/** On the real machine in this process. */
export async function ours(accel: Accel, width: Width, names: string, percent: number, level: Level = 'base'): Promise<Results> {
  const options: ConstructorParameters<typeof Guest>[0] = {
    memoryMiB: MEMORY_MIB,
    cpu: level === 'v3' ? 'x86-64-v3' : OUR_MODEL,
    kernel: { path: bareImage(width, level), cmdline: `${names} ${percent}` },
    accel,
  };
  const guest = new Guest(options);
  let done = false;
  const markers = new Markers(process.pid, (line) => {
    done ||= line === 'done';
  });
  try {
    await guest.start();
    // Replaces the collecting of Guest, whose report of a failure shows it.
    guest.vm.serial[0]!.onOutput = (bytes) => {
      const text = Buffer.from(bytes).toString('latin1');
      guest.serial += text;
      markers.take(text);
    };
    await guest.until('the end of the programs', () => done || guest.vm.state !== 'running', LIMIT_MS);
    return markers.measured;
  } finally {
    await guest.end();
  }
}

/** On QEMU. */
export async function tcg(width: Width, names: string, percent: number, level: Level = 'base'): Promise<Results> {
  const processor = level === 'v3' ? ['-cpu', 'max'] : [];
  const qemu = new Qemu(
    [...processor, '-kernel', bareImage(width, level), '-append', `${names} ${percent}`, '-m', String(MEMORY_MIB)],
    width,
  );
  const markers = new Markers(qemu.pid);
  qemu.child.stdout!.on('data', (data: Buffer) => markers.take(data.toString('latin1')));
  try {
    await qemu.onSerial(/^done/m, LIMIT_MS);
    return markers.measured;
  } finally {
    await qemu.end();
  }
}

/** On the host, as a Linux program. */
export async function native(width: Width, names: string, percent: number, level: Level = 'base'): Promise<Results> {
  const child = spawn(linuxProgram(width, level), ['native', names, String(percent)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const markers = new Markers(child.pid!);
  child.stdout.on('data', (data: Buffer) => markers.take(data.toString('latin1')));
  await new Promise((resolve) => child.on('close', resolve));
  return markers.measured;
}
