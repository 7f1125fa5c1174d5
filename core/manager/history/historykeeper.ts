import { readdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import {
  type HistoryRange,
  type HostHistory,
  type HostMetric,
  hostMetrics,
  type MachineHistory,
  type MachineMetric,
  machineHistorySchema,
  machineMetrics,
} from '../../contract/history.ts';
import type { VmStats } from '../../contract/vm.ts';
import { writeFileAtomic } from '../../platform/atomicfile.ts';
import { ensurePrivateFolder } from '../../platform/folders.ts';
import { HostMeter } from '../../platform/hostmeter.ts';
import type { Logger } from '../../util/logger.ts';
import { MetricHistory, tiers } from './metrichistory.ts';

const SAMPLE_MS = 1000;
const SAVE_MS = 5 * 60_000;
/** Two statistics further apart than this have a pause between them that is no part of their rate. */
const MAX_GAP_MS = 5000;

interface Kept {
  history: MetricHistory<MachineMetric>;
  last?: { at: number; stats: VmStats };
  unsaved: boolean;
}

/** A file from before there were network cards: nothing was received or sent. */
function withNetwork(kept: { series?: Record<string, unknown> }): unknown {
  const { series } = kept ?? {};
  if (!series || !Array.isArray(series.cpu)) return kept;
  const none = series.cpu.map(() => 0);
  return { ...kept, series: { netReceive: none, netSend: none, ...series } };
}

/** What machines and the host did in the last day. A machine's minutes are kept in a file of the configuration folder, so that they outlive this process. */
export class HistoryKeeper {
  private readonly folder: string;
  private readonly log: Logger;
  private readonly kept = new Map<string, Promise<Kept>>();
  private readonly host = new MetricHistory<HostMetric>(hostMetrics);
  private readonly timers: NodeJS.Timeout[];

  /** `running`: the last statistics of the machines that run. */
  constructor(folder: string, log: Logger, running: () => readonly VmStats[]) {
    this.folder = folder;
    this.log = log;
    const meter = new HostMeter();
    let last = Date.now();
    const sample = () => {
      const { cpu, usedMemoryBytes } = meter.sample();
      const machines = running();
      const values = {
        cpu,
        memory: usedMemoryBytes,
        machinesCpu: machines.reduce((sum, stats) => sum + stats.cpu, 0),
        machinesMemory: machines.reduce((sum, stats) => sum + stats.residentBytes, 0),
      };
      const now = Date.now();
      // A late timer, but no sleep of the computer, has measured the time since the last one.
      this.host.addSpan(now - last <= MAX_GAP_MS ? last : now, now, values);
      last = now;
    };
    this.timers = [setInterval(sample, SAMPLE_MS), setInterval(() => void this.save(), SAVE_MS)];
    for (const timer of this.timers) timer.unref();
    void this.tidy();
  }

  /** New statistics of a running machine, at most about one a second. */
  async record(id: string, stats: VmStats, at = Date.now()): Promise<void> {
    const kept = await this.of(id);
    const { last } = kept;
    kept.last = { at, stats };
    // Counters start again with the machine.
    if (!last || at <= last.at || at - last.at > MAX_GAP_MS || stats.uptimeSeconds < last.stats.uptimeSeconds) return;
    const rate = (of: (stats: VmStats) => number) => (Math.max(0, of(stats) - of(last.stats)) * 1000) / (at - last.at);
    const values = {
      cpu: stats.cpu,
      instructions: stats.instructionsPerSecond,
      deviceCalls: rate((s) => s.deviceCalls),
      memory: stats.residentBytes,
      diskRead: rate((s) => s.diskReadBytes),
      diskWrite: rate((s) => s.diskWriteBytes),
      netReceive: rate((s) => s.netReceiveBytes),
      netSend: rate((s) => s.netSendBytes),
      frames: rate((s) => s.frames),
    };
    kept.history.addSpan(last.at, at, values);
    kept.unsaved = true;
  }

  async machine(id: string, range: HistoryRange): Promise<MachineHistory> {
    return (await this.of(id)).history.window(range, Date.now());
  }

  ofHost(range: HistoryRange): HostHistory {
    return this.host.window(range, Date.now());
  }

  async close(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    await this.save();
  }

  /** Removes files that are older than all they could tell: of machines that are gone, mostly. */
  private async tidy(): Promise<void> {
    for (const name of await readdir(this.folder).catch(() => [])) {
      const file = path.join(this.folder, name);
      const age = await stat(file).then(
        ({ mtimeMs }) => Date.now() - mtimeMs,
        () => 0,
      );
      if (name.endsWith('.json') && age > tiers.day.step * tiers.day.count * 1000) await rm(file, { force: true }).catch(() => {});
    }
  }

  private file(id: string): string {
    return path.join(this.folder, `${id}.json`);
  }

  private of(id: string): Promise<Kept> {
    let kept = this.kept.get(id);
    if (!kept) this.kept.set(id, (kept = this.load(id)));
    return kept;
  }

  private async load(id: string): Promise<Kept> {
    const history = new MetricHistory<MachineMetric>(machineMetrics);
    try {
      history.restore(machineHistorySchema.parse(withNetwork(JSON.parse(await readFile(this.file(id), 'utf8')))));
    } catch (error) {
      // Figures of the past are no reason to stop anybody.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.log.warn(`the history in ${this.file(id)} can't be read and starts anew`);
    }
    return { history, unsaved: false };
  }

  private async save(): Promise<void> {
    for (const [id, promise] of this.kept) {
      const kept = await promise;
      if (!kept.unsaved) continue;
      kept.unsaved = false;
      try {
        ensurePrivateFolder(this.folder);
        await writeFileAtomic(this.file(id), JSON.stringify(kept.history.window('day', Date.now())));
      } catch (error) {
        this.log.warn(`the history of a machine was not kept: ${String(error)}`);
      }
    }
  }
}
