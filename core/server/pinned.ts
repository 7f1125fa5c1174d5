import { connect as connectTls, type PeerCertificate, type TLSSocket } from 'node:tls';
import { type ClientOptions, WebSocket } from 'ws';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { SILENT, unreachable } from './unreachable.ts';

const PROBE_MS = 10_000;
const MAX_PAYLOAD = 64 * 1024 * 1024;

/** What a server showed of itself. */
export interface ServerCertificate {
  /** SHA-256, as browsers show it. */
  fingerprint: string;
  /** An authority that this computer knows vouches for it, and it is for this name. */
  trusted: boolean;
}

const changed = (url: string, found: string, pinned: string) =>
  new HypervueError(
    'permission-denied',
    say('otherCertificate', { url }),
    { object: url, reason: 'certificate-changed', found, pinned },
    say('fixOtherCertificate'),
  );

/**
 * A WebSocket to a server. With a `fingerprint` the certificate has to be that very one, whoever made it; without, an authority has to vouch for it. Nothing of the
 * request, which may carry a token, is sent before.
 */
export function openPinned(url: URL, protocols: string[], fingerprint: string | null, options: ClientOptions = {}): WebSocket {
  const base: ClientOptions = { perMessageDeflate: false, maxPayload: MAX_PAYLOAD, handshakeTimeout: PROBE_MS, ...options };
  if (url.protocol !== 'wss:' || fingerprint === null) return new WebSocket(url, protocols, base);
  return new WebSocket(url, protocols, {
    ...base,
    // What is checked instead is the fingerprint, below.
    rejectUnauthorized: false,
    finishRequest: (request) => {
      request.once('socket', (socket) => {
        (socket as TLSSocket).once('secureConnect', () => {
          const found = (socket as TLSSocket).getPeerCertificate().fingerprint256;
          if (found === fingerprint) request.end();
          else request.destroy(changed(url.origin, found, fingerprint));
        });
      });
    },
  });
}

/**
 * Holds back what a server says first, which may come with the very packet of its handshake, until `socket.resume()`: somebody who waits for the socket to open
 * listens later than that.
 */
export function holdFirstWords(socket: WebSocket): WebSocket {
  socket.once('open', () => socket.pause());
  return socket;
}

/** Looks at a server's certificate without saying anything to it. Rejects with 'io-error'. */
export function probeCertificate(url: URL): Promise<ServerCertificate> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      host,
      port: Number(url.port || 443),
      rejectUnauthorized: false,
      ...(/[a-z]/i.test(host) && !host.includes(':') ? { servername: host } : {}),
    });
    socket.setTimeout(PROBE_MS, () => socket.destroy(Object.assign(new Error('it does not answer'), { code: SILENT })));
    socket.on('error', (error) => reject(unreachable(url.host, url.origin, error)));
    socket.once('secureConnect', () => {
      const peer: PeerCertificate = socket.getPeerCertificate();
      resolve({
        fingerprint: peer.fingerprint256,
        trusted: socket.authorized,
      });
      socket.destroy();
    });
  });
}
