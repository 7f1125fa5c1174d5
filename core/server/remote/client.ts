import type { WebSocket } from 'ws';
import type { ViewerHello } from '../../contract/console.ts';
import type { ChannelKind } from '../../contract/methods.ts';
import type { ByteChannel, Transport, WireMessage } from '../../contract/transport.ts';
import { TOKEN_GONE } from '../../manager/access/service.ts';
import { HypervueError } from '../../util/errors.ts';
import { say, type Saying } from '../../util/say.ts';
import { isLoopback } from '../access.ts';
import { holdFirstWords, openPinned } from '../pinned.ts';
import { unreachable } from '../unreachable.ts';
import { CLOSE_UNAUTHORIZED } from '../wsmessages.ts';

const SIGN_IN_MS = 10_000;
const NO_ANSWER = 'it does not answer';
/** Bytes in flight before a sender is asked to wait. */
const HIGH_WATER = 1024 * 1024;
const DRAIN_POLL_MS = 20;

/** How a server is reached. */
export interface Endpoint {
  /** Ends with a slash. */
  url: string;
  token: string;
  /** SHA-256 of the certificate that it must have; null when an authority vouches for it, or without TLS. */
  fingerprint: string | null;
}

/**
 * The address of a server, and the token when the printed link was given. Rejects what is none with 'invalid-argument', and plain HTTP to another computer, where
 * the token could be read along the way.
 */
export function parseServer(text: string): { url: string; token: string | null } {
  const wanted = text.trim();
  const bad = (why: 'noServerAddress' | 'serverPlain', fix: Saying) =>
    new HypervueError('invalid-argument', say(why, { address: wanted.slice(0, 200) }), { operation: 'attach' }, fix);
  const parsed = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(wanted) ? wanted : `https://${wanted}`);
  if (!parsed || (parsed.protocol !== 'https:' && parsed.protocol !== 'http:') || parsed.username || parsed.password)
    throw bad('noServerAddress', say('fixServerAddress'));
  if (parsed.protocol === 'http:' && !isLoopback(parsed.hostname)) throw bad('serverPlain', say('fixServerPlain'));
  const token = /^#\/?token=([A-Za-z0-9_-]{16,256})$/.exec(parsed.hash)?.[1] ?? null;
  parsed.hash = '';
  parsed.search = '';
  if (!parsed.pathname.endsWith('/')) parsed.pathname += '/';
  return { url: parsed.href, token };
}

const socketUrl = (endpoint: Endpoint, path: string) => new URL(path, endpoint.url.replace(/^http/, 'ws'));

/** What servers say in English when they close (headlessserver.ts); newer ones may say more. */
const closeReasons: Readonly<Record<string, Saying>> = {
  'the token is wrong': say('closedTokenWrong'),
  'no token came': say('closedTokenLate'),
  [TOKEN_GONE]: say('closedTokenGone'),
  [NO_ANSWER]: say('netSilent'),
};

/** The server's own words for a refusal, as an error of the contract. */
function refused(endpoint: Endpoint, code: number, reason: string): HypervueError {
  const unauthorized = code === CLOSE_UNAUTHORIZED;
  return new HypervueError(
    unauthorized ? 'unauthorized' : 'io-error',
    reason
      ? say('serverRefused', { host: new URL(endpoint.url).host, problem: closeReasons[reason] ?? reason })
      : say('serverClosed', { host: new URL(endpoint.url).host }),
    { object: endpoint.url, operation: 'connect' },
    unauthorized ? say('fixServerRefused') : undefined,
  );
}

function opened(endpoint: Endpoint, socket: WebSocket): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const host = new URL(endpoint.url).host;
    socket.once('open', () => resolve(socket));
    socket.once('unexpected-response', (_request, response) => {
      reject(
        response.statusCode === 429
          ? new HypervueError(
              'resource-limit',
              say('serverShut', { host }),
              { object: endpoint.url },
              say('fixServerShut', { seconds: response.headers['retry-after'] ?? 60 }),
            )
          : new HypervueError(
              'io-error',
              say('serverForeign', { host, status: response.statusCode }),
              { object: endpoint.url },
              say('fixServerForeign'),
            ),
      );
      socket.terminate();
    });
    socket.on('error', (error) => reject(error instanceof HypervueError ? error : unreachable(host, endpoint.url, error)));
  });
}

/** Signs in. Rejects with 'unauthorized', 'permission-denied' (another certificate) or 'io-error'. */
export async function signIn(endpoint: Endpoint): Promise<Transport> {
  const socket = await opened(endpoint, openPinned(socketUrl(endpoint, 'contract'), [], endpoint.fingerprint));
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.terminate();
      reject(refused(endpoint, 0, NO_ANSWER));
    }, SIGN_IN_MS);
    socket.once('message', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.once('close', (code, reason) => {
      clearTimeout(timer);
      reject(refused(endpoint, code, reason.toString()));
    });
    socket.send(JSON.stringify({ type: 'auth', token: endpoint.token }));
  });
  return {
    send: (message: WireMessage) => {
      if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(message));
    },
    onMessage: (listener) =>
      socket.on('message', (data, isBinary) => {
        if (isBinary) return;
        try {
          listener(JSON.parse(data.toString()));
        } catch {
          // A server that talks nonsense is heard no further than this.
        }
      }),
    onClose: (listener) => void socket.once('close', () => listener()),
    close: () => socket.close(),
  };
}

/** A byte channel of a machine over there. */
export async function openRemoteChannel(endpoint: Endpoint, kind: ChannelKind, vmId: string, viewer?: ViewerHello): Promise<ByteChannel> {
  const hello = viewer ? [`viewer.${Buffer.from(JSON.stringify(viewer)).toString('base64url')}`] : [];
  const token = `token.${Buffer.from(endpoint.token).toString('base64url')}`;
  const url = socketUrl(endpoint, `channel/${kind}/${encodeURIComponent(vmId)}`);
  // RFB servers speak first: what comes before somebody listens waits in the socket.
  const socket = await opened(endpoint, holdFirstWords(openPinned(url, ['hypervue.channel', token, ...hello], endpoint.fingerprint)));
  let timer: NodeJS.Timeout | undefined;
  const drained: (() => void)[] = [];
  const poll = () => {
    timer = undefined;
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount > HIGH_WATER / 2) timer = setTimeout(poll, DRAIN_POLL_MS);
    else for (const listener of drained) listener();
  };
  socket.once('close', () => clearTimeout(timer));
  return {
    send: (bytes) => {
      if (socket.readyState !== socket.OPEN) return true;
      socket.send(bytes, { binary: true });
      if (socket.bufferedAmount <= HIGH_WATER) return true;
      timer ??= setTimeout(poll, DRAIN_POLL_MS);
      return false;
    },
    onData: (listener) => {
      socket.on('message', (data, isBinary) => {
        if (isBinary) listener(Buffer.isBuffer(data) ? data : Buffer.concat(Array.isArray(data) ? data : [Buffer.from(data)]));
      });
      socket.resume();
    },
    onDrain: (listener) => void drained.push(listener),
    onClose: (listener) => void socket.once('close', () => listener()),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => {
      socket.resume();
      socket.close();
    },
  };
}
