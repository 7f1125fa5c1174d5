/** What a file's name says it is, beside what its bytes say. */
import path from 'node:path';
import type { ImageFormat } from '../contract/vm.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

const ENDINGS: readonly [RegExp, ImageFormat][] = [
  [/\.(qcow|qcow2|qc2)$/i, 'qcow2'],
  // Pieces that hold the disk's bytes alone have this ending too (VMware Virtual Disk Format 5.0, "flat").
  [/(?<!-flat|-f\d{3,4}|-rdmp?)\.vmdk$/i, 'vmdk'],
  [/\.vdi$/i, 'vdi'],
  [/\.(vhd|vpc)$/i, 'vhd'],
  [/\.vhdx$/i, 'vhdx'],
];

/** The format with a structure of its own that the ending stands for; undefined for all others. */
export const namedFormat = (file: string): ImageFormat | undefined => ENDINGS.find(([ending]) => ending.test(file))?.[1];

/** What is wrong with a file without a known beginning that is named as an image which has one: damaged from its first bytes on, or something else. Undefined when the name says nothing. */
export function misnamed(file: string): HypervueError | undefined {
  const format = namedFormat(file);
  return (
    format &&
    new HypervueError(
      'corrupt',
      say('notAsNamed', { name: path.basename(file), format }),
      { path: file, operation: 'open', reason: 'not-as-named' },
      say('fixNotAsNamed'),
    )
  );
}

/** `found` in `file`, unless it is raw for want of anything else and the name says another format. Throws 'corrupt' then. */
export function asNamed<F extends ImageFormat>(file: string, found: F): F {
  const error = found === 'raw' ? misnamed(file) : undefined;
  if (error) throw error;
  return found;
}
