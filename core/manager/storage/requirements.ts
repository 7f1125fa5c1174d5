/** What has to hold before a volume is made or read. */
import path from 'node:path';
import type { Volume } from '../../contract/storage.ts';
import { type ImageFormat, imageFormats } from '../../contract/vm.ts';
import { freeBytes } from '../../platform/hostinfo.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';

/** Rejects with 'no-space' when the folder of `file` has not that much room. */
export async function needRoom(file: string, bytes: number): Promise<void> {
  const free = await freeBytes(path.dirname(file));
  if (free < bytes)
    throw new HypervueError(
      'no-space',
      say('poolNoRoom', { folder: path.dirname(file), freeBytes: free, name: path.basename(file), neededBytes: bytes }),
      { path: file, operation: 'create' },
      say('fixPoolNoRoom'),
    );
}

/** As what a volume is opened for reading. */
export function readAs({ name, path: file, format }: Volume): ImageFormat {
  const known = format === 'iso' ? 'raw' : imageFormats.find((each) => each === format);
  if (known) return known;
  throw new HypervueError('unsupported', say('formatUnread', { name, format }), { path: file }, say('fixConvertMaker'));
}
