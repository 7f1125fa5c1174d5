import { expect, test } from 'vitest';
import { historyCsv } from '../../contract/historycsv.ts';
import { MetricHistory } from './metrichistory.ts';

const START = Date.parse('2026-11-21T12:00:00Z');
const history = () => new MetricHistory(['a', 'b'] as const);

test('steps are means of their samples; what was not measured is a gap', () => {
  const h = history();
  h.add(START, { a: 1, b: 10 });
  h.add(START + 500, { a: 3, b: 10 });
  h.add(START + 2000, { a: 5, b: 20 });
  const { series, stepSeconds, endsAt } = h.window('minutes', START + 3000);
  expect(stepSeconds).toBe(1);
  expect(endsAt).toBe('2026-11-21T12:00:03.000Z');
  expect(series.a).toHaveLength(300);
  expect(series.a.slice(-3)).toEqual([2, null, 5]);
  expect(series.b.slice(-3)).toEqual([10, null, 20]);
  expect(series.a.slice(0, -3).every((value) => value === null)).toBe(true);
});

test('the step under way is not shown half', () => {
  const h = history();
  h.add(START, { a: 1, b: 1 });
  expect(h.window('minutes', START + 999).series.a.at(-1)).toBeNull();
  expect(h.window('minutes', START + 1000).series.a.at(-1)).toBe(1);
});

test('coarser ranges hold the same samples, and old ones drop out of each range at its end', () => {
  const h = history();
  for (let s = 0; s < 400; s++) h.add(START + s * 1000, { a: s, b: 0 });
  const now = START + 400_000;
  const minutes = h.window('minutes', now).series.a;
  expect([minutes[0], minutes.at(-1)]).toEqual([100, 399]);
  expect(h.window('hour', now).series.a.slice(-2)).toEqual([384.5, 394.5]);
  expect(h.window('day', now).series.a.at(-1)).toBe((300 + 359) / 2);
  // A ring that came round shows nothing of the day before.
  expect(h.window('minutes', now + 86_400_000).series.a.every((value) => value === null)).toBe(true);
});

test('the day comes back from what was kept', () => {
  const h = history();
  for (let minute = 0; minute < 5; minute++) h.add(START + minute * 60_000, { a: minute, b: -minute });
  const kept = h.window('day', START + 300_000);
  const again = history();
  again.restore(JSON.parse(JSON.stringify(kept)));
  expect(again.window('day', START + 300_000)).toEqual(kept);
});

test('samples that are no numbers are dropped', () => {
  const h = history();
  h.add(START, { a: Number.NaN, b: 1 });
  expect(h.window('minutes', START + 1000).series.b.at(-1)).toBeNull();
});

test('CSV: one row a step that was measured, at the time it began', () => {
  const csv = historyCsv({
    stepSeconds: 10,
    endsAt: '2026-11-21T12:00:30.000Z',
    series: { cpu: [null, 0.123456, 1], memory: [null, null, 2] },
  });
  expect(csv).toBe('time,cpu,memory\r\n2026-11-21T12:00:10.000Z,0.1235,\r\n2026-11-21T12:00:20.000Z,1,2\r\n');
});
