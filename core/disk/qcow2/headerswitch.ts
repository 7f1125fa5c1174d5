import type { RandomAccessFile } from '../../backend/file.ts';

/**
 * Switches the header to other tables: fields of it within one sector, in one write, durable when it returns. Where that fails, it says again what it said before, as whoever has the image open goes on
 * with the tables of before: else what is written from then on would be gone for the next one who opens it. Rejects as the file does.
 */
export async function switchHeader(file: RandomAccessFile, offset: number, fields: Uint8Array): Promise<void> {
  const before = new Uint8Array(fields.length);
  await file.read(offset, before);
  try {
    await file.write(offset, fields);
    await file.sync();
  } catch (error) {
    // What went wrong first is the message.
    await file.write(offset, before).catch(() => {});
    throw error;
  }
}
