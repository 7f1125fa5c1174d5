/** Small looks at this computer, for the diagnostics: each answers quickly, and none throws. */
import { execFile } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { access, chmod, lstat, mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { randomUUID } from 'node:crypto';

const PROGRAM_MS = 3000;

/** First line of `program --version`; null when it can't be run. */
export function programVersion(program: string): Promise<string | null> {
  return new Promise((resolve) => {
    execFile(program, ['--version'], { timeout: PROGRAM_MS, maxBuffer: 64 * 1024 }, (error, out) =>
      resolve(error ? null : (out.split('\n')[0]?.trim().slice(0, 200) ?? '')),
    );
  });
}

/** Whether a TCP port of the loopback address can be listened on. */
export function portFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** `missing`: it can be made; `no-parent`: not even that. */
export type FolderState = 'ok' | 'missing' | 'no-parent' | 'not-a-folder' | 'not-writable' | 'foreign';

/** Whether files can be written there: tried, for rights are not all that can be in the way. */
export async function folderState(folder: string): Promise<{ state: FolderState; why: string }> {
  try {
    const info = await lstat(folder);
    if (!info.isDirectory() && !info.isSymbolicLink()) return { state: 'not-a-folder', why: '' };
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    const probe = path.join(folder, `.hypervue-probe-${randomUUID()}`);
    await writeFile(probe, 'x', { flag: 'wx' });
    await rm(probe, { force: true });
    return { state: 'ok', why: '' };
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return { state: (await parentTakes(folder)) ? 'missing' : 'no-parent', why: code };
    const mine = await lstat(folder).then(
      ({ uid }) => typeof process.getuid !== 'function' || uid === process.getuid(),
      () => false,
    );
    return { state: mine || code === 'EROFS' || code === 'ENOSPC' ? 'not-writable' : 'foreign', why: code || message };
  }
}

/** Whether the nearest folder above that exists can be written to. */
async function parentTakes(folder: string): Promise<boolean> {
  for (let at = path.dirname(folder); ; at = path.dirname(at)) {
    try {
      await access(at, constants.W_OK | constants.X_OK);
      return (await lstat(at)).isDirectory();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || at === path.dirname(at)) return false;
    }
  }
}

/** Makes the folder, or gives this user the rights on a folder of theirs. Throws what the system says. */
export async function mendFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { mode } = await lstat(folder);
  if ((mode & 0o700) !== 0o700) await chmod(folder, (mode & 0o777) | 0o700);
}

/** '/dev/kvm': usable, there without rights, or not there. */
export function kvmState(): 'usable' | 'no-rights' | 'none' {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return 'usable';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'none' : 'no-rights';
  }
}

/** Where Linux takes its time from; null elsewhere. */
export function clockSource(): string | null {
  try {
    return readFileSync('/sys/devices/system/clocksource/clocksource0/current_clocksource', 'utf8').trim().slice(0, 64);
  } catch {
    return null;
  }
}
