import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import path from 'node:path';
import { RECOGNIZER, RECOGNIZER_POLICY } from './recognizerpolicy.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.woff': 'font/woff',
  '.ttf': 'font/ttf',
  '.wasm': 'application/wasm',
  '.txt': 'text/plain; charset=utf-8',
};

/** Scripts only from here; inline styles because Naive UI makes them; WebSockets only to this host. */
function contentSecurityPolicy(host: string): string {
  return [
    "default-src 'self'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    `connect-src 'self' ws://${host} wss://${host}`,
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

export function securityHeaders(host: string): Record<string, string> {
  return {
    'Content-Security-Policy': contentSecurityPolicy(host),
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), microphone=(), geolocation=()',
  };
}

/** The file below `root` that a URL path names; undefined when it leads outside, through links too, or is no file. */
async function resolveFile(root: string, urlPath: string): Promise<string | undefined> {
  let decoded: string;
  try {
    decoded = decodeURIComponent(urlPath);
  } catch {
    return undefined;
  }
  if (decoded.includes('\0') || decoded.includes('\\')) return undefined;
  const file = path.join(root, decoded === '/' ? 'index.html' : decoded);
  try {
    const base = await realpath(root);
    const real = await realpath(file);
    if (!real.startsWith(base + path.sep)) return undefined;
    return (await stat(real)).isFile() ? real : undefined;
  } catch {
    return undefined;
  }
}

/** Answers GET and HEAD of the built renderer. `host` is the checked Host header. */
export async function serveStatic(root: string, request: IncomingMessage, response: ServerResponse, host: string): Promise<void> {
  // Not `new URL`, which would resolve `..` before it can be refused.
  const urlPath = (request.url ?? '/').split(/[?#]/, 1)[0]!;
  const headers = {
    ...securityHeaders(host),
    ...(urlPath === `/${RECOGNIZER}` ? { 'Content-Security-Policy': RECOGNIZER_POLICY } : {}),
  };
  const plain = (status: number, text: string, more: Record<string, string> = {}) => {
    response.writeHead(status, { ...headers, ...more, 'Content-Type': 'text/plain; charset=utf-8' });
    response.end(request.method === 'HEAD' ? undefined : `${text}\n`);
  };
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    plain(405, 'only GET and HEAD', { Allow: 'GET, HEAD' });
    return;
  }
  const file = await resolveFile(root, urlPath);
  if (!file) {
    if (urlPath === '/') plain(503, 'The user interface was not built. Run `npm start`, which builds it.');
    else plain(404, 'not found');
    return;
  }
  const { size, mtimeMs } = await stat(file);
  const tag = `"${size.toString(16)}-${Math.floor(mtimeMs).toString(16)}"`;
  // Vite puts a hash of the content into the names of assets; the page itself must always be asked for.
  const hashed = /^\/assets\/.+-[\w-]{8,}\.\w+$/.test(urlPath);
  const fileHeaders = {
    ...headers,
    'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream',
    'Cache-Control': hashed ? 'public, max-age=31536000, immutable' : 'no-cache',
    ETag: tag,
  };
  if (request.headers['if-none-match'] === tag) {
    response.writeHead(304, fileHeaders).end();
    return;
  }
  response.writeHead(200, { ...fileHeaders, 'Content-Length': size });
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const stream = createReadStream(file);
  stream.on('error', () => response.destroy());
  response.on('close', () => stream.destroy());
  stream.pipe(response);
}
