import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { CONTENT_SECURITY_POLICY } from './security.ts';

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
};

/** Answers app:// requests from the built renderer; anything outside its folder is 404. */
export function appProtocolHandler(rendererFolder: string): (request: { url: string }) => Promise<Response> {
  const root = path.resolve(rendererFolder);
  return async ({ url }) => {
    const name = decodeURIComponent(new URL(url).pathname);
    const file = path.resolve(root, `.${name === '/' ? '/index.html' : name}`);
    const type = TYPES[path.extname(file)];
    if (!file.startsWith(root + path.sep) || !type) return new Response('not found', { status: 404 });
    try {
      return new Response(await readFile(file), { headers: { 'content-type': type, 'content-security-policy': CONTENT_SECURITY_POLICY } });
    } catch {
      return new Response('not found', { status: 404 });
    }
  };
}
