import { performance } from 'node:perf_hooks';
import type { VmStats } from '../contract/vm.ts';

/** Milliseconds between two looks, and the least between two statistics. */
const LOOK_MS = 250;
const STATS_MS = 950;

export interface StatsSources {
  /** Guest instructions so far. */
  instructions(): number;
  readBytes(): number;
  writtenBytes(): number;
  receivedBytes(): number;
  sentBytes(): number;
  viewers(): number;
  /** Calls of devices so far, modulo 2^32. */
  deviceCalls(): number;
  /** Changes of the picture so far. */
  frames(): number;
  /** At every look. */
  look(): void;
  stats(stats: VmStats): void;
}

/** Tells about once a second what a machine's process does, from `start` to `stop`. */
export class StatsMeter {
  private timer: NodeJS.Timeout | undefined;
  private readonly sources: StatsSources;

  constructor(sources: StatsSources) {
    this.sources = sources;
  }

  start(): void {
    const { sources } = this;
    const startedAt = performance.now();
    let lastInstructions = 0;
    let lastCpu = process.cpuUsage();
    let lastTime = startedAt;
    let deviceCalls = 0;
    let lastDeviceCalls = sources.deviceCalls();
    this.timer = setInterval(() => {
      sources.look();
      const now = performance.now();
      if (now - lastTime < STATS_MS) return;
      const cpu = process.cpuUsage();
      const instructions = sources.instructions();
      const calls = sources.deviceCalls();
      deviceCalls += (calls - lastDeviceCalls) >>> 0;
      lastDeviceCalls = calls;
      sources.stats({
        cpu: (cpu.user + cpu.system - lastCpu.user - lastCpu.system) / 1000 / (now - lastTime),
        instructionsPerSecond: Math.max(0, ((instructions - lastInstructions) * 1000) / (now - lastTime)),
        diskReadBytes: sources.readBytes(),
        diskWriteBytes: sources.writtenBytes(),
        netReceiveBytes: sources.receivedBytes(),
        netSendBytes: sources.sentBytes(),
        residentBytes: process.memoryUsage.rss(),
        uptimeSeconds: Math.floor((now - startedAt) / 1000),
        viewers: sources.viewers(),
        deviceCalls,
        frames: sources.frames(),
      });
      lastCpu = cpu;
      lastTime = now;
      lastInstructions = instructions;
    }, LOOK_MS);
  }

  stop(): void {
    clearInterval(this.timer);
  }
}
