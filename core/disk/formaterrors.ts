import { HypervueError } from '../util/errors.ts';

/** The image is damaged, or made to mislead: `what` says where. */
export const corruptImage = (path: string, what: string): HypervueError =>
  new HypervueError('corrupt', `${path} is damaged: ${what}`, { path, operation: 'open' }, 'Use another copy of the image.');

/** The image is of a kind that can't be read; `fix` says what can be done. */
export const unsupportedImage = (
  path: string,
  what: string,
  fix = 'Convert it to qcow2 or raw with the program that made it.',
): HypervueError => new HypervueError('unsupported', `${path} is ${what}, which is not supported`, { path, operation: 'open' }, fix);
