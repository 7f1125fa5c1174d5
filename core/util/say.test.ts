import { expect, test } from 'vitest';
import { saidSchema } from '../contract/said.ts';
import { say } from './say.ts';

test('what is no number, or no end of one, is said and still fits the contract', () => {
  for (const size of [Number.NaN, Number.POSITIVE_INFINITY, 2 ** 62, -1]) {
    const { text, said } = say('noDiskSize', { size });
    expect(text).toBe(`${size} bytes are no disk size`);
    expect(saidSchema.safeParse(JSON.parse(JSON.stringify(said))).success).toBe(true);
  }
});

test('a saying in a saying in a saying keeps its keys; a deeper one is told in English', () => {
  const cause = say('cantDo', { operation: say('doStart'), name: 'one', what: say('nowRunning') });
  const outer = say('someFailed', { count: 1, most: 2, name: 'one', problem: cause });
  expect(outer.text).toBe("1 of 2: one: can't start: one is running");
  expect(outer.said.params.problem).toEqual({
    key: 'cantDo',
    params: { operation: { key: 'doStart', params: {} }, name: 'one', what: { key: 'nowRunning', params: {} } },
  });
  expect(saidSchema.safeParse(outer.said).success).toBe(true);
  const deeper = say('cantGoOn', { name: 'two', problem: outer });
  expect(deeper.said.params.problem).toBe(outer.text);
});
