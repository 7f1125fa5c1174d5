import { expect, it } from 'vitest';
import { sendableKeys } from '../contract/sendablekeys.ts';
import { scancodeOfKeyName } from '../util/keymap.ts';
import { FakeInput } from '../vnc/testing/fakesource.ts';
import { Typist } from './typing.ts';

it('every key that windows offer can be sent', () => {
  expect(sendableKeys.filter((key) => scancodeOfKeyName(key) === undefined)).toEqual([]);
});

it('tells how far it has come, and stops where it is told to', async () => {
  const input = new FakeInput();
  const told: number[] = [];
  const typist = new Typist(
    () => input,
    async () => {
      if (told.length === 4) typist.cancel();
    },
  );
  await expect(typist.type('abcdef', 0, (done, total) => told.push(done, total))).rejects.toMatchObject({ kind: 'cancelled' });
  expect(told.slice(0, 4)).toEqual([0, 6, 1, 6]);
  expect(input.log.length % 2).toBe(0);
  expect(input.log.length).toBeLessThan(12);
});
