import { roundUp } from '../bigendian.ts';
import { encodeBackingName, encodeHeader, extensionsEnd, placeBackingName } from './header.ts';
import type { Qcow2Image } from './image.ts';

const SECTOR = 512;

/**
 * The header names another image below, or none. The new name goes to a place of the header's cluster that nothing uses and is synced; then the pointer to it
 * and the format change with the first sector. Names of the features, which would lie across sectors, come back afterwards. `link` undefined: the
 * image stands by itself.
 */
export function setBackingFile(image: Qcow2Image, link: { name: string; format: string } | undefined): Promise<void> {
  return image.exclusive(async () => {
    const { meta } = image;
    const { header, file } = meta;
    const next = { ...header, backingFile: link?.name, backingFormat: link?.format, backingFileAt: undefined as number | undefined };
    // Throws before anything has changed when the name does not fit.
    next.backingFileAt = placeBackingName(next, header, file.path);
    const bytes = encodeHeader(next, file.path, false);
    if (next.backingFileAt !== undefined) {
      await file.write(next.backingFileAt, encodeBackingName(link!.name, file.path));
      await file.sync();
    }
    if (link && next.backingFileAt === undefined) await file.write(0, bytes);
    // All but always that is the first sector.
    else await file.write(0, bytes.subarray(0, roundUp(extensionsEnd(next, file.path, false), SECTOR)));
    await file.sync();
    header.backingFile = next.backingFile;
    header.backingFormat = next.backingFormat;
    header.backingFileAt = next.backingFileAt;
    // The old name goes before anything can be taken for a part of it.
    await file.write(0, bytes);
    await file.sync();
    await meta.writeHeader();
  });
}
