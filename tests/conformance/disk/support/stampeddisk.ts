/** qcow2 images in memory whose sectors say which write they are of. */
import { Qcow2Image, readHeader } from '../../../../core/disk/qcow2/image.ts';
import { nodeCodec } from '../../../../core/platform/diskcodec.ts';
import type { PowerCutFile } from './powercutfile.ts';

export const SECTOR = 512;

export const openStamped = async (file: PowerCutFile, forRepair = false): Promise<Qcow2Image> =>
  Qcow2Image.open(file, await readHeader(file), { codec: nodeCodec, readOnly: false, forRepair });

/** Every sector holds the number of the write that wrote it last, over and over. */
export function stamp(number: number, sectors: number): Uint8Array {
  const bytes = new Uint8Array(sectors * SECTOR);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 4) view.setUint32(at, number);
  return bytes;
}
