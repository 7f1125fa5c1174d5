import { expect, test } from 'vitest';
import { readableBytes } from './bytes.ts';

test('sizes read well', () => {
  expect([0, 512, 1024, 1536, 20 * 1024 ** 3, 82_755_522_560, 1023 * 1024 ** 2].map(readableBytes)).toEqual([
    '0 bytes',
    '512 bytes',
    '1 KiB',
    '1.5 KiB',
    '20 GiB',
    '77.1 GiB',
    '1023 MiB',
  ]);
});
