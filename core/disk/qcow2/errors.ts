import { HypervueError } from '../../util/errors.ts';
import { say, type Saying } from '../../util/say.ts';

/** The image contradicts the specification or itself. */
export function corrupt(path: string, what: Saying): HypervueError {
  return new HypervueError('corrupt', say('imageDamaged', { path, what }), { path, operation: 'read qcow2' }, say('fixCheckImage'));
}

/** The image uses something that is not supported. */
export function unsupported(path: string, what: string, fix?: Saying): HypervueError {
  return new HypervueError(
    'unsupported',
    say('imageUses', { path, what }),
    { path, operation: 'open qcow2' },
    fix ?? say('fixRawWithMaker'),
  );
}
