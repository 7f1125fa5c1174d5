import { HypervueError } from '../../util/errors.ts';

/** The image contradicts the specification or itself. */
export function corrupt(path: string, what: string): HypervueError {
  return new HypervueError(
    'corrupt',
    `${path} is damaged: ${what}`,
    { path, operation: 'read qcow2' },
    'Check the image (hypervue disk check), or restore it from a copy.',
  );
}

/** The image uses something that is not supported. */
export function unsupported(path: string, what: string, fix?: string): HypervueError {
  return new HypervueError(
    'unsupported',
    `${path} uses ${what}`,
    { path, operation: 'open qcow2' },
    fix ?? 'Convert the image to raw with the program that made it.',
  );
}
