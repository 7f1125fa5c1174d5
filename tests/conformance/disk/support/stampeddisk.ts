/** qcow2 images in memory whose sectors say which write they are of. */
import { Qcow2Image, readHeader } from '../../../../core/disk/qcow2/image.ts';
import { nodeCodec } from '../../../../core/platform/diskcodec.ts';
import { expect } from 'vitest';
import { checkImage } from '../../../../core/disk/qcow2/check.ts';
import { PowerCutFile } from './powercutfile.ts';

export const SECTOR = 512;

export const openStamped = async (file: PowerCutFile, forRepair = false): Promise<Qcow2Image> =>
  Qcow2Image.open(file, await readHeader(file), { codec: nodeCodec, readOnly: false, forRepair });

/** What a power cut left opens, without an error, and is read whole. `where` names it in a failure. */
export async function readAfterCut(
  after: Uint8Array<ArrayBuffer>,
  where: string,
): Promise<{ image: Qcow2Image; bytes: Uint8Array; view: DataView }> {
  const image = await openStamped(new PowerCutFile('cut.qcow2', after), true);
  const report = await checkImage(image, { repair: 'none' });
  expect(report.errors, `${where}: ${report.messages.join('\n')}`).toBe(0);
  const bytes = new Uint8Array(image.header.sizeBytes);
  await image.read(0, bytes);
  return { image, bytes, view: new DataView(bytes.buffer) };
}

/** Every sector holds the number of the write that wrote it last, over and over. */
export function stamp(number: number, sectors: number): Uint8Array {
  const bytes = new Uint8Array(sectors * SECTOR);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 4) view.setUint32(at, number);
  return bytes;
}
