/** Downloads and uploads of a browser over HTTP, each with a ticket that the contract gave out (manager/storage/webfiles.ts). */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Volume } from '../contract/storage.ts';
import type { OpenedFile, WebFiles } from '../manager/storage/webfiles.ts';
import { asHypervueError, type ErrorKind, type HypervueError } from '../util/errors.ts';

/** A sender or reader that does nothing for so long is gone, ms. */
const IDLE_MS = 60_000;

const STATUS: Partial<Record<ErrorKind, number>> = {
  'invalid-argument': 400,
  unauthorized: 401,
  'permission-denied': 403,
  'not-found': 404,
  'already-exists': 409,
  'in-use': 409,
  cancelled: 409,
  'resource-limit': 413,
  'no-space': 507,
};

/** RFC 6266: an ASCII name for old clients, the real one as UTF-8; nothing in it can end the header. */
function disposition(name: string): string {
  const plain = name.replace(/[^\x20-\x7e]|["\\%;]/g, '_');
  const encoded = encodeURIComponent(name).replace(/['()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`;
}

/** One range of RFC 9110 14.2; undefined for none, or for several, which may be answered with everything. 'none' when it lies outside. */
export function parseRange(header: string | undefined, size: number): { start: number; end: number } | 'none' | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  if (match[1] === '') {
    const last = Math.min(size, Number(match[2]));
    return last === 0 ? 'none' : { start: size - last, end: size - 1 };
  }
  const start = Number(match[1]);
  const end = match[2] === '' ? size - 1 : Math.min(size - 1, Number(match[2]));
  if (match[2] !== '' && Number(match[2]) < start) return undefined;
  return start >= size ? 'none' : { start, end };
}

export class FileTransfers {
  private readonly files: WebFiles;

  constructor(files: WebFiles) {
    this.files = files;
  }

  /** Answers when the request is one of ours. `headers` go with every answer. */
  async answer(request: IncomingMessage, response: ServerResponse, headers: Record<string, string>): Promise<boolean> {
    const found = /^\/(download|upload)\/([A-Za-z0-9_-]{43})(?:\/[^/?#]*)?$/.exec((request.url ?? '').split(/[?#]/, 1)[0]!);
    if (!found) return false;
    const all = { ...headers, 'Cache-Control': 'no-store' };
    const methods = found[1] === 'download' ? ['GET', 'HEAD'] : ['PUT', 'GET'];
    if (!methods.includes(request.method ?? '')) {
      response.writeHead(405, { ...all, Allow: methods.join(', '), Connection: 'close' }).end();
      return true;
    }
    try {
      if (found[1] === 'download') await this.send(found[2]!, request, response, all);
      else created(response, await this.receive(found[2]!, request), all);
    } catch (thrown) {
      const error = asHypervueError(thrown);
      if (response.headersSent) response.destroy();
      else this.fail(response, error, all);
    }
    return true;
  }

  private fail(response: ServerResponse, error: HypervueError, headers: Record<string, string>): void {
    // Whatever of a body is still on its way is nobody's.
    response.writeHead(STATUS[error.kind] ?? 500, { ...headers, 'Content-Type': 'application/json; charset=utf-8', Connection: 'close' });
    response.end(JSON.stringify(error));
  }

  private async send(ticket: string, request: IncomingMessage, response: ServerResponse, headers: Record<string, string>): Promise<void> {
    const file = await this.files.open(ticket);
    try {
      await stream(file, request, response, headers);
    } finally {
      await file.close();
    }
  }

  /** GET asks how the PUT of the same ticket ended. */
  private receive(ticket: string, request: IncomingMessage): Promise<Volume> {
    if (request.method === 'GET') return this.files.received(ticket);
    request.setTimeout(IDLE_MS, () => request.destroy());
    return this.files.receive(ticket, request);
  }
}

function created(response: ServerResponse, volume: Volume, headers: Record<string, string>): void {
  response.writeHead(201, { ...headers, 'Content-Type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(volume));
}

async function stream(
  file: OpenedFile,
  request: IncomingMessage,
  response: ServerResponse,
  headers: Record<string, string>,
): Promise<void> {
  // A part of another version would be garbage with the rest.
  const same = request.headers['if-range'] === undefined || request.headers['if-range'] === file.tag;
  const range = same ? parseRange(request.headers.range, file.sizeBytes) : undefined;
  const common = { ...headers, 'Accept-Ranges': 'bytes', ETag: file.tag };
  if (range === 'none') {
    response.writeHead(416, { ...common, 'Content-Range': `bytes */${file.sizeBytes}` }).end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: file.sizeBytes - 1 };
  response.writeHead(range ? 206 : 200, {
    ...common,
    'Content-Type': 'application/octet-stream',
    'Content-Disposition': disposition(file.name),
    'Content-Length': end - start + 1,
    ...(range ? { 'Content-Range': `bytes ${start}-${end}/${file.sizeBytes}` } : {}),
  });
  if (request.method === 'HEAD' || end < start) {
    response.end();
    return;
  }
  response.setTimeout(IDLE_MS, () => response.destroy());
  const source = file.read(start, end);
  await new Promise<void>((resolve, reject) => {
    source.on('error', reject);
    response.on('close', () => {
      source.destroy();
      resolve();
    });
    source.pipe(response);
  });
}
