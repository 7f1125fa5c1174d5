/** What has to hold before a volume is made or read. */
import path from 'node:path';
import type { Volume } from '../../contract/storage.ts';
import { type ImageFormat, imageFormats } from '../../contract/vm.ts';
import { freeBytes } from '../../platform/hostinfo.ts';
import { readableBytes } from '../../util/bytes.ts';
import { HypervueError } from '../../util/errors.ts';

/** Rejects with 'no-space' when the folder of `file` has not that much room. */
export async function needRoom(file: string, bytes: number): Promise<void> {
  const free = await freeBytes(path.dirname(file));
  if (free < bytes)
    throw new HypervueError(
      'no-space',
      `${path.dirname(file)} has ${readableBytes(free)} free, and ${path.basename(file)} would take ${readableBytes(bytes)} at once`,
      { path: file, operation: 'create' },
      'Free some space, choose another pool, or let the disk take room as it fills.',
    );
}

/** As what a volume is opened for reading. */
export function readAs({ name, path: file, format }: Volume): ImageFormat {
  const known = format === 'iso' ? 'raw' : imageFormats.find((each) => each === format);
  if (known) return known;
  throw new HypervueError(
    'unsupported',
    `${name} is a ${format} image, which can't be read`,
    { path: file },
    'Convert it with the program that made it.',
  );
}
