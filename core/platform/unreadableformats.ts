/** Formats of disk images that are known by their first bytes and not read here: taken for raw, they would give a disk of garbage. */
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

const ascii = (text: string) => [...text].map((letter) => letter.charCodeAt(0));

/** Name and first bytes, as the programs that write them have them. */
const KNOWN: readonly [name: string, magic: readonly number[]][] = [
  // Version 1; 2 and 3 are read.
  ['qcow (version 1)', [...ascii('QFI'), 0xfb, 0, 0, 0, 1]],
  ['QED', [...ascii('QED'), 0]],
  ['Parallels', ascii('WithoutFreeSpace')],
  ['Parallels', ascii('WithouFreSpacExt')],
  ['Bochs', ascii('Bochs Virtual HD Image')],
];

/** Bytes from the start that `refuseUnreadable` wants to see. */
export const UNREADABLE_BYTES = Math.max(...KNOWN.map(([, magic]) => magic.length));

/** Throws 'unsupported' when `start`, the first bytes of the file, are those of a format that can't be read. */
export function refuseUnreadable(start: Uint8Array, path: string): void {
  const found = KNOWN.find(([, magic]) => magic.every((byte, at) => start[at] === byte));
  if (!found) return;
  throw new HypervueError(
    'unsupported',
    say('imageUnknownFormat', { path, format: found[0] }),
    { path, operation: 'open' },
    say('fixConvertFirst'),
  );
}
