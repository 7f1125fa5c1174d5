import { spent, type ThreadTimes, threadTimes } from './threadtimes.ts';

export interface Measured {
  /** From the start line to the end line, less the time that the emulating thread waited for a host processor that others had. */
  ms: number;
  wallMs: number;
  /** Processor time of all threads. */
  cpuMs: number;
  checksum: string;
}

/**
 * Watches what a guest writes on COM1, and takes the host's time when the lines `start NAME` and `end NAME CHECKSUM` arrive: no guest clock is
 * trusted.
 */
export class Markers {
  readonly measured = new Map<string, Measured>();
  readonly onLine: (line: string) => void;
  private readonly pid: number;
  private begun: { wall: number; threads: ThreadTimes } = { wall: 0, threads: new Map() };
  private line = '';

  /** `pid` is the emulator's process. */
  constructor(pid: number, onLine: (line: string) => void = () => {}) {
    this.pid = pid;
    this.onLine = onLine;
  }

  take(text: string): void {
    for (const c of text) {
      if (c !== '\n') {
        this.line += c;
        continue;
      }
      const line = this.line.trim();
      this.line = '';
      const [verb, name, checksum] = line.split(' ');
      if (verb === 'start') this.begin();
      else if (verb === 'end') this.end(name!, checksum!);
      this.onLine(line);
    }
  }

  begin(): void {
    this.begun = { threads: threadTimes(this.pid), wall: performance.now() };
  }

  end(name: string, checksum: string): void {
    const wallMs = performance.now() - this.begun.wall;
    const { ranMs, waitedMs, allMs } = spent(this.begun.threads, threadTimes(this.pid));
    this.measured.set(name, { ms: Math.max(wallMs - waitedMs, ranMs), wallMs, cpuMs: allMs, checksum });
  }
}
