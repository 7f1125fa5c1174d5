import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { RECOGNIZER, RECOGNIZER_POLICY } from '../../core/server/recognizerpolicy.ts';
import { CONTENT_SECURITY_POLICY, isOwnPage } from './security.ts';
import { APP_ORIGIN } from './windows.ts';

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
  '.gz': 'application/gzip',
};

/** Answers requests for the app's pages from the built renderer; anything outside its folder, or of another host, is 404. */
export function appProtocolHandler(rendererFolder: string): (request: { url: string }) => Promise<Response> {
  const root = path.resolve(rendererFolder);
  return async ({ url }) => {
    const file = fileOf(root, url);
    const type = file && TYPES[path.extname(file)];
    if (!type) return notFound();
    try {
      return new Response(await readFile(file), {
        headers: {
          'content-type': type,
          'content-security-policy': policyOf(path.relative(root, file)),
          'x-content-type-options': 'nosniff',
        },
      });
    } catch {
      return notFound();
    }
  };
}

const policyOf = (file: string) => (file === path.normalize(RECOGNIZER) ? RECOGNIZER_POLICY : CONTENT_SECURITY_POLICY);

const notFound = () => new Response('not found', { status: 404 });

function fileOf(root: string, url: string): string | undefined {
  if (!isOwnPage(url, APP_ORIGIN)) return undefined;
  try {
    const name = decodeURIComponent(new URL(url).pathname);
    const file = path.resolve(root, `.${name === '/' ? '/index.html' : name}`);
    return file.startsWith(root + path.sep) ? file : undefined;
  } catch {
    // Percent signs that encode nothing.
    return undefined;
  }
}
