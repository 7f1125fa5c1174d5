import { HypervueError } from '../util/errors.ts';
import { say, type Saying } from '../util/say.ts';

/** The image is damaged, or made to mislead: `what` says where. */
export const corruptImage = (path: string, what: Saying): HypervueError =>
  new HypervueError('corrupt', say('imageDamaged', { path, what }), { path, operation: 'open' }, say('fixOtherCopy'));

/** The image is of a kind that can't be read; `fix` says what can be done. */
export const unsupportedImage = (path: string, what: string, fix: string | Saying = say('fixConvertWithMaker')): HypervueError =>
  new HypervueError('unsupported', say('imageUnsupported', { path, what }), { path, operation: 'open' }, fix);
