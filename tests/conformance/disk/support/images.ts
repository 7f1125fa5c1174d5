import { writeFileSync } from 'node:fs';
import { createQcow2, type Qcow2Options } from '../../../../core/disk/qcow2/create.ts';
import type { Qcow2Image } from '../../../../core/disk/qcow2/image.ts';
import { NodeFile } from '../../../../core/platform/nodefile.ts';
import { openImage } from '../../../../core/platform/openimage.ts';

/** A new qcow2 image. */
export async function createImage(file: string, options: Qcow2Options): Promise<void> {
  writeFileSync(file, '', { flag: 'wx' });
  const target = await NodeFile.open(file, false);
  await createQcow2(target, options);
  await target.close();
}

export const openQcow2 = async (file: string, forRepair = false): Promise<Qcow2Image> =>
  (await openImage(file, { readOnly: false, format: 'qcow2', forRepair })) as Qcow2Image;
