import type { BigIntStats } from 'node:fs';
import { deviceNumber } from './blockdevice.ts';

/** The same for every path and link to a file, and for every node of a block device. */
export const identityOf = (info: BigIntStats): string =>
  info.isBlockDevice() ? `device ${deviceNumber(info.rdev)}` : `${info.dev}:${info.ino}`;
