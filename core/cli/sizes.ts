import { InvalidArgumentError } from 'commander';
import { parseSize } from './output.ts';

/** A size of a disk from the command line, in whole sectors. */
export const size = (text: string): number => {
  const bytes = parseSize(text);
  if (bytes === undefined || bytes <= 0) throw new InvalidArgumentError('must be a size like 20G or 512M');
  return Math.ceil(bytes / 512) * 512;
};

/** Bytes exactly as they are given: which clusters there are is for the format to say. */
export const clusterSize = (text: string): number => {
  const bytes = parseSize(text);
  if (bytes === undefined || bytes <= 0) throw new InvalidArgumentError('must be a size from 512 to 2M');
  return bytes;
};

export const refcountBits = (text: string): number => {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('must be a number from 1 to 64');
  return Number(text);
};
