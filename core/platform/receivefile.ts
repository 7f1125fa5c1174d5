/** A file that comes in pieces, from over the network: as long as was said or not at all; stretches of zeros stay holes. */
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { stopIfAborted, type TaskOptions } from '../disk/task.ts';
import { isZero } from '../disk/zeros.ts';
import { HypervueError } from '../util/errors.ts';
import { type Saying, say } from '../util/say.ts';
import { fileError } from './nodefile.ts';

/** Makes `file` of exactly `sizeBytes` bytes of `source`, and durable. Rejects with 'cancelled', 'no-space' or 'io-error'; what was written stays then. */
export async function receiveFile(
  file: string,
  sizeBytes: number,
  source: Readable,
  options: TaskOptions & { signal: AbortSignal },
): Promise<void> {
  const { signal } = options;
  const stop = () => source.destroy();
  if (signal.aborted) stop();
  // A sender that says nothing any more must not keep the task from being cancelled.
  signal.addEventListener('abort', stop, { once: true });
  const target = await open(file, 'wx', 0o600).catch((error) => {
    throw fileError(error, file, 'create');
  });
  let at = 0;
  try {
    for await (const piece of source as AsyncIterable<Buffer>) {
      stopIfAborted(options, file);
      if (at + piece.length > sizeBytes) throw wrongSize(file, say('receivedMore', { most: sizeBytes }));
      if (!isZero(piece)) await writeWhole(target, piece, at);
      at += piece.length;
      options.progress?.(at, sizeBytes);
    }
    if (at !== sizeBytes) throw wrongSize(file, say('receivedLess', { count: at, most: sizeBytes }));
    await target.truncate(sizeBytes);
    await target.sync();
  } catch (error) {
    stopIfAborted(options, file);
    if (error instanceof HypervueError) throw error;
    // What a stream says of a line that broke is of no use to anybody.
    throw source.errored ? wrongSize(file, say('receivedLess', { count: at, most: sizeBytes })) : fileError(error, file, 'write');
  } finally {
    signal.removeEventListener('abort', stop);
    await target.close();
  }
}

async function writeWhole(target: Awaited<ReturnType<typeof open>>, piece: Buffer, at: number): Promise<void> {
  for (let done = 0; done < piece.length; ) done += (await target.write(piece, done, piece.length - done, at + done)).bytesWritten;
}

const wrongSize = (path: string, came: Saying) => new HypervueError('io-error', came, { path, operation: 'receive' }, say('fixSendAgain'));
