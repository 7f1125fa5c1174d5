import type { ImageFormat } from '../contract/vm.ts';
import { formatUnderRaw } from '../platform/openimage.ts';

/** Says on standard error that an image that is taken as raw, because somebody said so, begins as one of another format does. */
export async function noteRaw(image: string, said: ImageFormat | undefined): Promise<void> {
  if (said !== 'raw') return;
  const found = await formatUnderRaw(image);
  if (found)
    process.stderr.write(
      `Warning: ${image} is taken as raw, as you say, but begins as a ${found} image does: the disk is its header and tables.\n`,
    );
}
