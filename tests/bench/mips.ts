import { Guest } from '../guests/support/guest.ts';
import { benchGuest } from './support/guestimage.ts';
import { Qemu } from './support/qemu.ts';
import { type Bench, fixed, type Row } from './support/report.ts';

/**
 * Guest instructions per second of processor time on integer code (tests/bench/guest/kernels.c). Instructions are counted by our own machine;
 * QEMU runs the same image, so the same instructions, more rounds of them because it is quicker.
 */
const OUR_ROUNDS = 240;
const QEMU_ROUNDS = 1200;

interface Piece {
  cpuSeconds: number;
  wallSeconds: number;
  instructions: number;
  checksum: string;
}

/** Watches `start NAME` and `end NAME CHECKSUM` lines go by. */
class Stopwatch {
  readonly pieces = new Map<string, Piece>();
  done = false;
  private begun = { cpu: 0, wall: 0, instructions: 0 };
  private line = '';
  private readonly read: () => { cpu: number; instructions: number };

  constructor(read: () => { cpu: number; instructions: number }) {
    this.read = read;
  }

  take(text: string): void {
    for (const c of text) {
      if (c !== '\n') {
        this.line += c;
        continue;
      }
      const [verb, name, checksum] = this.line.trim().split(' ');
      this.line = '';
      const now = { ...this.read(), wall: performance.now() / 1000 };
      if (verb === 'start') this.begun = now;
      else if (verb === 'end')
        this.pieces.set(name!, {
          cpuSeconds: now.cpu - this.begun.cpu,
          wallSeconds: now.wall - this.begun.wall,
          instructions: now.instructions - this.begun.instructions,
          checksum: checksum!,
        });
      else if (verb === 'done') this.done = true;
    }
  }
}

async function ours(rounds: number): Promise<Map<string, Piece>> {
  const guest = await new Guest({ kernel: { path: benchGuest(), cmdline: `mips ${rounds}` } }).start();
  try {
    const watch = new Stopwatch(() => {
      const { user, system } = process.cpuUsage();
      return { cpu: (user + system) / 1e6, instructions: guest.vm.instructions() };
    });
    guest.vm.serial[0]!.onOutput = (bytes) => watch.take(Buffer.from(bytes).toString('latin1'));
    await guest.until('end of the kernels', () => watch.done, 300_000);
    return watch.pieces;
  } finally {
    await guest.end();
  }
}

async function peers(rounds: number): Promise<Map<string, Piece>> {
  const qemu = new Qemu(['-kernel', benchGuest(), '-append', `mips ${rounds}`, '-m', '64']);
  try {
    const watch = new Stopwatch(() => ({ cpu: qemu.cpuSeconds(), instructions: 0 }));
    qemu.child.stdout!.on('data', (data: Buffer) => watch.take(data.toString('latin1')));
    await qemu.onSerial(/done/, 300_000);
    return watch.pieces;
  } finally {
    await qemu.end();
  }
}

export const mips: Bench = async () => {
  const own = await ours(OUR_ROUNDS);
  const wrong = await peers(OUR_ROUNDS);
  const peer = await peers(QEMU_ROUNDS);
  const rows: Row[] = [];
  let instructions = 0;
  let cpu = 0;
  let peerCpu = 0;
  for (const [name, piece] of own) {
    const theirs = peer.get(name)!;
    // Seconds of QEMU for as many rounds as ours.
    const scaled = (theirs.cpuSeconds * OUR_ROUNDS) / QEMU_ROUNDS;
    instructions += piece.instructions;
    cpu += piece.cpuSeconds;
    peerCpu += scaled;
    rows.push({
      what: `mips: ${name}`,
      ours: `${fixed(piece.instructions / piece.cpuSeconds / 1e6)} M/s`,
      peer: `${fixed(piece.instructions / scaled / 1e6, 0)} M/s`,
      ratio: `1/${fixed(piece.cpuSeconds / scaled)}`,
      ...(piece.checksum === wrong.get(name)?.checksum ? {} : { note: 'WRONG RESULT' }),
    });
  }
  rows.push({
    what: 'mips: all kernels',
    ours: `${fixed(instructions / cpu / 1e6)} M/s`,
    peer: `${fixed(instructions / peerCpu / 1e6, 0)} M/s`,
    ratio: `1/${fixed(cpu / peerCpu)}`,
    note: 'instructions per CPU second; peer: QEMU TCG',
  });
  return rows;
};
