import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import path from 'node:path';
import { writeFileAtomic } from '../platform/atomicfile.ts';
import { chmod, mkdir } from 'node:fs/promises';

const TOKEN_FILE = 'token';
const TOKEN = /^[A-Za-z0-9_-]{32,128}$/;

/** The access token of this installation: made at the first start, kept in a file that only this user may read. */
export async function accessToken(configFolder: string): Promise<string> {
  const file = path.join(configFolder, TOKEN_FILE);
  try {
    const token = readFileSync(file, 'utf8').trim();
    if (TOKEN.test(token)) {
      await chmod(file, 0o600);
      return token;
    }
  } catch {
    // The first start.
  }
  const token = randomBytes(32).toString('base64url');
  await mkdir(configFolder, { recursive: true });
  await writeFileAtomic(file, `${token}\n`, 0o600);
  return token;
}

/** Compares in a time that does not tell how much of the guess is right. */
export function tokenMatches(guess: unknown, token: string): boolean {
  if (typeof guess !== 'string') return false;
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(guess), digest(token));
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

/** The host name of a Host header, with brackets for IPv6; undefined when it is none. */
function hostName(header: string | undefined): string | undefined {
  if (!header) return undefined;
  const url = URL.parse(`http://${header}`);
  return url && url.host !== '' && url.pathname === '/' && !url.username ? url.hostname : undefined;
}

export function isLoopback(host: string): boolean {
  return LOOPBACK.has(host) || LOOPBACK.has(`[${host}]`);
}

/** Names that this computer is known by, beside its addresses. */
export function ownNames(): string[] {
  const full = hostname().toLowerCase();
  const short = full.split('.', 1)[0]!;
  return [...new Set([full, short, `${short}.local`])];
}

/**
 * Whether a request was meant for this server, so that no web site can reach it through a name of its own (DNS rebinding): an address can't be rebound, and of names
 * only those count that this server is known by. On loopback it answers to loopback only, and to `names` that it was told.
 */
export function hostAllowed(request: IncomingMessage, listenHost: string, names: ReadonlySet<string> = new Set()): boolean {
  const name = hostName(request.headers.host);
  if (name === undefined) return false;
  if (isLoopback(name) || names.has(name)) return true;
  // A certificate may be for every name below one.
  if (names.has(`*.${name.slice(name.indexOf('.') + 1)}`)) return true;
  return !isLoopback(listenHost) && isIP(name.replace(/^\[|\]$/g, '')) !== 0;
}

/** Browsers name the page's origin with every WebSocket: it must be the server itself. Other clients send none. */
export function originAllowed(request: IncomingMessage): boolean {
  const { origin, host } = request.headers;
  if (origin === undefined) return true;
  const url = URL.parse(origin);
  // A proxy in front may speak TLS to the browser: the host decides, not the scheme.
  return url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && url.host === host;
}

/** Wrong tokens from one address: after a few, everything from there waits. */
export class AttemptLimiter {
  private readonly failures = new Map<string, { count: number; until: number }>();
  private readonly now: () => number;
  private readonly limit: number;
  private readonly windowMs: number;

  constructor(now: () => number, limit = 10, windowMs = 60_000) {
    this.now = now;
    this.limit = limit;
    this.windowMs = windowMs;
  }

  blocked(address: string): boolean {
    const entry = this.failures.get(address);
    if (!entry) return false;
    if (this.now() >= entry.until) {
      this.failures.delete(address);
      return false;
    }
    return entry.count >= this.limit;
  }

  /** Whole seconds until the address may try again. */
  waitSeconds(address: string): number {
    return this.blocked(address) ? Math.ceil((this.failures.get(address)!.until - this.now()) / 1000) : 0;
  }

  failed(address: string): void {
    const now = this.now();
    for (const [key, entry] of this.failures) if (now >= entry.until) this.failures.delete(key);
    // Many addresses at once must not grow memory: the oldest is forgotten.
    if (this.failures.size > 10_000) this.failures.delete(this.failures.keys().next().value!);
    const entry = this.failures.get(address) ?? { count: 0, until: now + this.windowMs };
    entry.count++;
    this.failures.set(address, entry);
  }
}
