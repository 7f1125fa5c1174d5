import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { VmStats } from '../../contract/vm.ts';
import { nullLogger } from '../../util/logger.ts';
import { HistoryKeeper } from './historykeeper.ts';

let folder: string;
const keepers: HistoryKeeper[] = [];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hypervue-history-'));
});
afterEach(async () => {
  for (const keeper of keepers.splice(0)) await keeper.close();
  rmSync(folder, { recursive: true, force: true });
});

function keeper(running: VmStats[] = []): HistoryKeeper {
  const made = new HistoryKeeper(folder, nullLogger, () => running);
  keepers.push(made);
  return made;
}

const stats = (uptimeSeconds: number, more: Partial<VmStats> = {}): VmStats => ({
  cpu: 0.5,
  instructionsPerSecond: 1000,
  diskReadBytes: uptimeSeconds * 100,
  diskWriteBytes: 0,
  netReceiveBytes: uptimeSeconds * 40,
  netSendBytes: uptimeSeconds * 4,
  residentBytes: 5_000_000,
  uptimeSeconds,
  viewers: 0,
  deviceCalls: uptimeSeconds * 10,
  frames: 0,
  ...more,
});
const known = (values: (number | null)[]) => values.filter((value) => value !== null);

test('counters become rates; a restart of the machine and a pause give none', async () => {
  const h = keeper();
  const at = Date.now() - 60_000;
  await h.record('m', stats(10), at);
  await h.record('m', stats(12), at + 2000);
  // Started again: counters from zero.
  await h.record('m', stats(1), at + 3000);
  await h.record('m', stats(2), at + 4000);
  // Paused for a while.
  await h.record('m', stats(3), at + 30_000);
  const { series } = await h.machine('m', 'minutes');
  // Two seconds and one.
  expect(known(series.diskRead)).toEqual([100, 100, 100]);
  expect(known(series.deviceCalls)).toEqual([10, 10, 10]);
  expect(known(series.netReceive)).toEqual([40, 40, 40]);
  expect(known(series.netSend)).toEqual([4, 4, 4]);
});

test('the day outlives the keeper', async () => {
  const h = keeper();
  const at = Date.now() - 120_000;
  await h.record('m', stats(1), at);
  await h.record('m', stats(2), at + 1000);
  await h.close();
  const again = await keeper().machine('m', 'day');
  expect(known(again.series.memory)).toEqual([5_000_000]);
});

test('a day from before there were network cards is kept', async () => {
  const h = keeper();
  const at = Date.now() - 120_000;
  await h.record('m', stats(1), at);
  await h.record('m', stats(2), at + 1000);
  await h.close();
  const file = path.join(folder, 'm.json');
  const day = JSON.parse(readFileSync(file, 'utf8'));
  delete day.series.netReceive;
  delete day.series.netSend;
  writeFileSync(file, JSON.stringify(day));
  const { series } = await keeper().machine('m', 'day');
  expect(known(series.memory)).toEqual([5_000_000]);
  expect(known(series.netReceive)).toEqual([0]);
});

test('a damaged file costs its history and nothing else; files of the day before yesterday go', async () => {
  writeFileSync(path.join(folder, 'm.json'), '{"stepSeconds":');
  const old = path.join(folder, 'gone.json');
  writeFileSync(old, '{}');
  utimesSync(old, new Date(0), new Date(0));
  expect(known((await keeper().machine('m', 'day')).series.cpu)).toEqual([]);
  await vi.waitFor(() => expect(existsSync(old)).toBe(false));
  expect(readdirSync(folder)).toEqual(['m.json']);
});

test('the host is measured with the share of its machines', async () => {
  const h = keeper([stats(1), stats(1)]);
  await vi.waitFor(() => expect(known(h.ofHost('minutes').series.machinesMemory)).toContain(10_000_000), { timeout: 5000 });
  const { series } = h.ofHost('minutes');
  expect(known(series.machinesCpu)[0]).toBe(1);
  expect(known(series.memory)[0]).toBeGreaterThan(1e6);
});
