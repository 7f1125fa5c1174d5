/** `hypervue volume upload` and `download`: images go to and from the server over HTTP, each with a ticket that it gives out, as a browser's do. */
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { request as secureRequest } from 'node:https';
import path from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Command, Option } from 'commander';
import { type ErrorDto, errorSchema } from '../contract/errors.ts';
import { volumeSchema } from '../contract/storage.ts';
import { syncFile } from '../platform/atomicfile.ts';
import { makeFile } from '../platform/newfile.ts';
import { fileError } from '../platform/nodefile.ts';
import { readableBytes } from '../util/bytes.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import type { RunSession, Session } from './session.ts';
import { poolOf, volumeLine, volumeOf } from './volumes.ts';

/** Between two lines of progress on a terminal, ms; and in a log. */
const REPORT_MS = 200;
/** Most of an answer that is read when it is an error, bytes. */
const ERROR_MAX = 64 * 1024;
/** A server that says nothing for so long is gone, ms. */
const IDLE_MS = 60_000;

/** Counts what passes and says so on standard error, where that is a terminal. */
function counting(total: number): Transform {
  const started = performance.now();
  const tty = process.stderr.isTTY === true;
  let done = 0;
  let told = 0;
  const tell = (now: number) => {
    const seconds = (now - started) / 1000;
    const speed = seconds > 0 ? done / seconds : 0;
    const left = speed > 0 ? `, ${Math.ceil((total - done) / speed)} s left` : '';
    const percent = total ? Math.floor((done / total) * 100) : 100;
    process.stderr.write(
      `\r${percent} %  ${readableBytes(done)} of ${readableBytes(total)}, ${readableBytes(Math.round(speed))}/s${left}\x1b[K`,
    );
  };
  return new Transform({
    transform(chunk: Buffer, _encoding, next) {
      done += chunk.length;
      const now = performance.now();
      if (tty && now - told >= REPORT_MS) {
        told = now;
        tell(now);
      }
      next(null, chunk);
    },
    flush(next) {
      if (tty) process.stderr.write('\r\x1b[K');
      next();
    },
  });
}

/** Address of a transfer at the server that the session talks to. */
function address(session: Session, ...parts: string[]): URL {
  if (session.url === null)
    throw new HypervueError('not-found', 'no Hypervue server is running', { operation: 'transfer' }, 'Start one with `hypervue serve`.');
  return new URL(parts.map(encodeURIComponent).join('/'), session.url);
}

/** What a server that refuses says. */
async function refusal(answer: IncomingMessage): Promise<HypervueError> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > ERROR_MAX) break;
    chunks.push(chunk);
  }
  let dto: ErrorDto;
  try {
    dto = errorSchema.parse(JSON.parse(Buffer.concat(chunks).toString()));
  } catch {
    return new HypervueError('io-error', `the server answered with ${answer.statusCode}`, { operation: 'transfer' });
  }
  return new HypervueError(dto.kind, dto.message, dto.context, dto.fix);
}

/** Sends a request, with `body` of `length` bytes if there is one, and gives the answer when it is one of success. */
function send(url: URL, method: 'GET' | 'PUT', body?: { length: number; write(to: NodeJS.WritableStream): Promise<void> }) {
  return new Promise<IncomingMessage>((resolve, reject) => {
    const ask = url.protocol === 'https:' ? secureRequest : request;
    const headers = body ? { 'Content-Length': body.length, 'Content-Type': 'application/octet-stream' } : {};
    const sent = ask(url, { method, headers, timeout: IDLE_MS });
    const failed = (error: unknown) =>
      reject(
        error instanceof HypervueError
          ? error
          : new HypervueError(
              'io-error',
              `the transfer broke off: ${asHypervueError(error).message}`,
              { operation: 'transfer' },
              'Is the server still running? Begin again.',
              error,
            ),
      );
    sent.on('timeout', () => sent.destroy(new Error('the server does not answer')));
    sent.on('response', (answer) => {
      if ((answer.statusCode ?? 500) < 300) resolve(answer);
      // The reason counts, whatever became of the rest of the body.
      else refusal(answer).then(reject, failed);
    });
    if (body) {
      // A server that refuses closes the connection at once, and its reason may still be on its way.
      body.write(sent).catch((error) => setTimeout(() => failed(error), 1000));
      sent.on('error', (error) => setTimeout(() => failed(error), 1000));
    } else {
      sent.on('error', failed);
      sent.end();
    }
  });
}

async function upload(session: Session, file: string, name: string | undefined, poolName: string): Promise<void> {
  const from = path.resolve(file);
  const info = await stat(from).catch((error) => {
    throw fileError(error, from, 'open');
  });
  if (!info.isFile() || info.size === 0)
    throw new HypervueError('unsupported', `${from} is ${info.isFile() ? 'empty' : 'no file'}`, { path: from, operation: 'upload' });
  const { id: pool } = await poolOf(session, poolName);
  const what = { pool, name: name ?? path.basename(from), sizeBytes: info.size };
  const { ticket } = await session.client.call('storage.upload', what);
  const answer = await send(address(session, 'upload', ticket), 'PUT', {
    length: info.size,
    // What grew meanwhile is not sent: the server was told how long it is.
    write: (to) => pipeline(createReadStream(from, { end: info.size - 1, highWaterMark: 1 << 18 }), counting(info.size), to),
  });
  session.print(volumeSchema.parse(JSON.parse(Buffer.concat(await answer.toArray()).toString())), volumeLine);
}

async function download(session: Session, wanted: string, to: string): Promise<void> {
  const { path: file, name } = await volumeOf(session, wanted);
  const { ticket, sizeBytes } = await session.client.call('storage.download', { path: file });
  const target = path.resolve(to);
  const folder = await stat(target).then(
    (there) => there.isDirectory(),
    () => false,
  );
  const place = folder ? path.join(target, name) : target;
  const fetch = async (temporary: string, signal: AbortSignal) => {
    const answer = await send(address(session, 'download', ticket), 'GET');
    await pipeline(answer, counting(sizeBytes), createWriteStream(temporary, { flags: 'wx', mode: 0o600 }), { signal }).catch((error) => {
      throw signal.aborted ? signal.reason : asHypervueError(error, { path: place, operation: 'download' });
    });
    const { size } = await stat(temporary);
    if (size !== sizeBytes)
      throw new HypervueError(
        'io-error',
        `the download of ${name} broke off after ${readableBytes(size)} of ${readableBytes(sizeBytes)}`,
        { path: place, operation: 'download' },
        'Begin again.',
      );
    await syncFile(temporary);
  };
  await session.interruptible((signal) => makeFile(place, (temporary) => fetch(temporary, signal)));
  session.print({ path: place, sizeBytes }, () => `${place}: ${readableBytes(sizeBytes)}`);
}

/** Adds the verbs to `hypervue volume`. */
export function addVolumeTransfers(volume: Command, run: RunSession): void {
  volume
    .command('upload <file> [name]')
    .description('send an image to the server, which may be another computer, with progress; never overwrites')
    .addOption(new Option('--pool <pool>', 'where it goes').default('default'))
    .action((file: string, name: string | undefined, options: { pool: string }) =>
      run(false, async (session) => {
        await upload(session, file, name, options.pool);
        return undefined;
      }),
    );
  volume
    .command('download <volume> <to>')
    .description('fetch an image from the server, as it is, into a file or a folder; never overwrites')
    .action((wanted: string, to: string) =>
      run(false, async (session) => {
        await download(session, wanted, to);
        return undefined;
      }),
    );
}
