import type { RandomAccessFile } from '../../backend/file.ts';

/** Files one behind the other, read as one. Closing it closes them. */
export class JoinedFile implements RandomAccessFile {
  readonly path: string;
  readonly readOnly = true;
  private readonly parts: readonly { file: RandomAccessFile; offset: number; bytes: number }[];
  private readonly bytes: number;

  private constructor(path: string, parts: readonly { file: RandomAccessFile; offset: number; bytes: number }[], bytes: number) {
    this.path = path;
    this.parts = parts;
    this.bytes = bytes;
  }

  static async of(files: readonly RandomAccessFile[], path: string): Promise<JoinedFile> {
    let offset = 0;
    const parts = [];
    for (const file of files) {
      const bytes = await file.size();
      parts.push({ file, offset, bytes });
      offset += bytes;
    }
    return new JoinedFile(path, parts, offset);
  }

  async size(): Promise<number> {
    return this.bytes;
  }

  async read(offset: number, target: Uint8Array): Promise<number> {
    let done = 0;
    for (const { file, offset: start, bytes } of this.parts) {
      const from = offset + done - start;
      if (from < 0 || from >= bytes || done === target.length) continue;
      const wanted = target.subarray(done, done + Math.min(target.length - done, bytes - from));
      const got = await file.read(from, wanted);
      done += got;
      if (got < wanted.length) break;
    }
    return done;
  }

  write(): Promise<void> {
    return Promise.reject(new Error(`${this.path} is read-only`));
  }

  async sync(): Promise<void> {}

  truncate(): Promise<void> {
    return this.write();
  }

  async close(): Promise<void> {
    for (const { file } of this.parts) await file.close();
  }
}
