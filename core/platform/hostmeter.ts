import { cpus } from 'node:os';
import { hostFacts } from './hostinfo.ts';

/** Measures the host from one call to the next. */
export class HostMeter {
  private last = times();

  /** Share of all processors that was busy since the last call (0..1), and memory in use now. */
  sample(): { cpu: number; usedMemoryBytes: number } {
    const now = times();
    const [busy, all] = [now.busy - this.last.busy, now.all - this.last.all];
    this.last = now;
    const { memoryBytes, freeMemoryBytes } = hostFacts();
    return { cpu: all > 0 ? Math.min(1, Math.max(0, busy / all)) : 0, usedMemoryBytes: Math.max(0, memoryBytes - freeMemoryBytes) };
  }
}

function times(): { busy: number; all: number } {
  let [busy, all] = [0, 0];
  for (const { times: of } of cpus()) {
    busy += of.user + of.nice + of.sys + of.irq;
    all += of.user + of.nice + of.sys + of.irq + of.idle;
  }
  return { busy, all };
}
