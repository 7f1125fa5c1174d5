import { appendFile, open, rename, stat } from 'node:fs/promises';
import path from 'node:path';
import type { LogEntry } from '../contract/vm.ts';

/** Entries kept in memory. */
const RING = 2000;
/** The file is set aside as `log.1` at this size, so a machine's log takes little more than twice this. */
const MAX_FILE_BYTES = 1024 * 1024;
/** Characters that wait for the disk. */
const MAX_UNWRITTEN = 256 * 1024;
const MAX_MESSAGE = 4000;
const LINE = /^(\S+) (debug|info|warn|error|guest) +(\S+): (.*)$/;

/** A machine's log: the last entries in memory, all of them in the file `log` of the VM folder, one line each. */
export class VmLog {
  private readonly folder: string;
  private entries: LogEntry[] = [];
  private unwritten = '';
  private writing: Promise<void> | undefined;
  private loading: Promise<void> | undefined;
  /** The log file can't be written: told once, and the machine goes on. */
  onFailure: ((error: unknown) => void) | undefined;

  constructor(folder: string) {
    this.folder = folder;
  }

  add(entry: LogEntry): LogEntry {
    const clean = {
      ...entry,
      // One line, and nothing that a terminal would obey: some of it is a guest's or a program's own text.
      message: entry.message.replace(/\p{Cc}+/gu, ' ').slice(0, MAX_MESSAGE),
      scope: entry.scope.replace(/[\s\p{Cc}]+/gu, '-').slice(0, 64) || 'vm',
    };
    this.entries.push(clean);
    // In blocks, as cutting at every entry would move the whole ring each time.
    if (this.entries.length > RING + 256) this.entries.splice(0, this.entries.length - RING);
    this.unwritten += `${clean.time} ${clean.level.padEnd(5)} ${clean.scope}: ${clean.message}\n`;
    // A flood that outruns the disk keeps its latest part, from a whole line on.
    if (this.unwritten.length > MAX_UNWRITTEN) {
      const cut = this.unwritten.slice(-MAX_UNWRITTEN / 2);
      this.unwritten = cut.slice(cut.indexOf('\n') + 1);
    }
    this.writing ??= this.write();
    return clean;
  }

  async last(lines: number): Promise<LogEntry[]> {
    await this.load();
    return this.entries.slice(-Math.min(lines, RING));
  }

  /** Resolves when everything is in the file. */
  async flush(): Promise<void> {
    while (this.writing) await this.writing;
  }

  private async write(): Promise<void> {
    // Gathers what arrives in the same turn.
    await Promise.resolve();
    const file = path.join(this.folder, 'log');
    try {
      await this.load();
      while (this.unwritten) {
        const text = this.unwritten;
        this.unwritten = '';
        const size = await stat(file).then(
          (info) => info.size,
          () => 0,
        );
        if (size > 0 && size + Buffer.byteLength(text) > MAX_FILE_BYTES) await rename(file, `${file}.1`);
        await appendFile(file, text, { mode: 0o600 });
      }
    } catch (error) {
      this.unwritten = '';
      this.onFailure?.(error);
      this.onFailure = undefined;
    } finally {
      this.writing = undefined;
    }
  }

  /** Entries of earlier runs come before those of this one. */
  private load(): Promise<void> {
    this.loading ??= this.readEarlier();
    return this.loading;
  }

  private async readEarlier(): Promise<void> {
    const earlier = (await readTail(path.join(this.folder, 'log'), 256 * 1024)).split('\n').flatMap((line): LogEntry[] => {
      const match = LINE.exec(line);
      return match ? [{ time: match[1]!, level: match[2] as LogEntry['level'], scope: match[3]!, message: match[4]! }] : [];
    });
    this.entries = [...earlier, ...this.entries].slice(-RING);
  }
}

async function readTail(file: string, bytes: number): Promise<string> {
  try {
    const handle = await open(file, 'r');
    try {
      const { size } = await handle.stat();
      const buffer = Buffer.alloc(Math.min(size, bytes));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, size - buffer.length);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch {
    return '';
  }
}
