import type { HistoryRange } from '../../contract/history.ts';

const SECOND_MS = 1000;

/** Steps of each range: its length in seconds and how many are kept. */
export const tiers: Readonly<Record<HistoryRange, { step: number; count: number }>> = {
  minutes: { step: 1, count: 300 },
  hour: { step: 10, count: 360 },
  day: { step: 60, count: 1440 },
};

export interface Window<M extends string> {
  stepSeconds: number;
  endsAt: string;
  series: Record<M, (number | null)[]>;
}

/** Sums of one tier: a slot belongs to the step whose number stands in `stamps`. */
class Ring {
  readonly step: number;
  readonly stamps: Float64Array;
  readonly samples: Float64Array;
  readonly sums: Float64Array;
  readonly width: number;

  constructor(step: number, count: number, width: number) {
    this.step = step;
    this.width = width;
    this.stamps = new Float64Array(count).fill(-1);
    this.samples = new Float64Array(count);
    this.sums = new Float64Array(count * width);
  }

  add(seconds: number, values: readonly number[]): void {
    const stamp = Math.floor(seconds / this.step);
    const slot = stamp % this.stamps.length;
    if (this.stamps[slot] !== stamp) {
      this.stamps[slot] = stamp;
      this.samples[slot] = 0;
      this.sums.fill(0, slot * this.width, (slot + 1) * this.width);
    }
    this.samples[slot]!++;
    for (let i = 0; i < this.width; i++) this.sums[slot * this.width + i]! += values[i]!;
  }

  mean(stamp: number, metric: number): number | null {
    const slot = stamp % this.stamps.length;
    return stamp < 0 || this.stamps[slot] !== stamp ? null : this.sums[slot * this.width + metric]! / this.samples[slot]!;
  }
}

/** Measured values of the last minutes, hour and day; what is older is dropped. About 190 KB for nine metrics, whatever happens. */
export class MetricHistory<M extends string> {
  private readonly metrics: readonly M[];
  private readonly rings: Record<HistoryRange, Ring>;

  constructor(metrics: readonly M[]) {
    this.metrics = metrics;
    const ring = ({ step, count }: { step: number; count: number }) => new Ring(step, count, metrics.length);
    this.rings = { minutes: ring(tiers.minutes), hour: ring(tiers.hour), day: ring(tiers.day) };
  }

  /** `at`: milliseconds since 1970. Values that are no numbers are dropped with their sample. */
  add(at: number, values: Readonly<Record<M, number>>): void {
    const row = this.metrics.map((metric) => values[metric]);
    if (row.every(Number.isFinite)) for (const ring of Object.values(this.rings)) ring.add(at / 1000, row);
  }

  /** The same values for all of the time after `since`, up to `at`: every second of it gets them. */
  addSpan(since: number, at: number, values: Readonly<Record<M, number>>): void {
    for (let second = since + SECOND_MS; second < at; second += SECOND_MS) this.add(second, values);
    this.add(at, values);
  }

  /** The steps of a range up to `at`, the one under way left out. */
  window(range: HistoryRange, at: number): Window<M> {
    const { step, count } = tiers[range];
    const end = Math.floor(at / 1000 / step);
    const series = {} as Record<M, (number | null)[]>;
    for (const [index, metric] of this.metrics.entries())
      series[metric] = Array.from({ length: count }, (_, i) => this.rings[range].mean(end - count + i, index));
    return { stepSeconds: step, endsAt: new Date(end * step * 1000).toISOString(), series };
  }

  /** Puts back what `window('day')` gave in an earlier run: the day's minutes only. */
  restore(day: Window<M>): void {
    const end = Math.round(Date.parse(day.endsAt) / 1000 / tiers.day.step);
    const length = day.series[this.metrics[0]!].length;
    for (let i = 0; i < length; i++) {
      const row = this.metrics.map((metric) => day.series[metric][i] ?? Number.NaN);
      if (row.every(Number.isFinite)) this.rings.day.add((end - length + i) * tiers.day.step, row);
    }
  }
}
