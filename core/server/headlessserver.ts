import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { type Caller, roleCovers } from '../contract/access.ts';
import { type ChannelViewer, viewerHelloSchema } from '../contract/console.ts';
import { type ChannelKind, channelKinds } from '../contract/methods.ts';
import { channelInputRoles } from '../contract/roles.ts';
import { TOKEN_GONE } from '../manager/access/service.ts';
import type { Manager } from '../manager/manager.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { Logger } from '../util/logger.ts';
import type { Disposable } from '../util/disposable.ts';
import { AttemptLimiter, hostAllowed, isLoopback, originAllowed, ownNames, tokenMatches } from './access.ts';
import { FileTransfers } from './filetransfers.ts';
import { securityHeaders, serveStatic } from './staticfiles.ts';
import { type LoadedTls, loadTls, type TlsFiles, watchTls } from './tls.ts';
import { viewOnly } from './viewonly.ts';
import {
  CLOSE_FAILED,
  CLOSE_TOO_MANY,
  CLOSE_UNAUTHORIZED,
  closeReason,
  joinChannel,
  parseFrame,
  WebSocketTransport,
} from './wsmessages.ts';

/** Largest contract message: the longest text to type, with room. */
const MAX_MESSAGE = 1024 * 1024;
/** The first message, with the token, has to come within this. */
const AUTH_MS = 10_000;
const PING_MS = 20_000;
/** A connection on which nothing moves for so long is closed. Of sockets, pings take care. */
const IDLE_MS = 120_000;
/** Sockets that have not proved to have the token. */
const MAX_UNAUTHORISED = 64;
/** Clients of the contract at once; a person has one or two. */
const MAX_CLIENTS = 512;
const CHANNEL_PROTOCOL = 'hypervue.channel';
const TOKEN_PROTOCOL = 'token.';
/** Behind it, as base64url of JSON, who opens a picture. */
const VIEWER_PROTOCOL = 'viewer.';

export interface HeadlessServerOptions {
  manager: Manager;
  /** The owner's, which may do everything. Others come from the manager's list. */
  token: string;
  /** Address to listen on. */
  host: string;
  /** 0 takes a free one. */
  port: number;
  /** Folder of the built renderer. */
  rendererFolder: string;
  /** Speaks TLS with these; the files are read again when they change. */
  tls?: TlsFiles | undefined;
  /** The certificate was replaced by one with this fingerprint. */
  onCertificate?: ((fingerprint: string) => void) | undefined;
  /** Further names that people reach this server by, such as a proxy's. */
  names?: readonly string[] | undefined;
  log: Logger;
}

/** Headless mode: the renderer over HTTP, the contract and the machines' byte channels over WebSockets. */
export class HeadlessServer {
  private readonly options: HeadlessServerOptions;
  private readonly http: Server;
  private readonly tls: LoadedTls | undefined;
  private readonly names: ReadonlySet<string>;
  private readonly disposables: Disposable[] = [];
  private readonly contracts: WebSocketServer;
  private readonly channels: WebSocketServer;
  private readonly limiter = new AttemptLimiter(Date.now);
  private readonly transfers: FileTransfers;
  /** Channels by the token that opened them. */
  private readonly channelTokens = new Map<WebSocket, string>();
  private readonly alive = new WeakSet<WebSocket>();
  private unauthorised = 0;
  private pings: NodeJS.Timeout | undefined;

  constructor(options: HeadlessServerOptions) {
    this.options = options;
    this.transfers = new FileTransfers(options.manager.files);
    // Compression of a picture stream that is compressed already costs time and gains nothing.
    this.contracts = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE, perMessageDeflate: false });
    this.channels = new WebSocketServer({
      noServer: true,
      maxPayload: MAX_MESSAGE,
      perMessageDeflate: false,
      // The token must not come back in the answer.
      handleProtocols: (protocols) => (protocols.has(CHANNEL_PROTOCOL) ? CHANNEL_PROTOCOL : false),
    });
    // Headers have to come soon; a body may be a disk. Only uploads read one, and they end when nothing comes any more.
    const limits = { maxHeaderSize: 16 * 1024, headersTimeout: 30_000, requestTimeout: 0 };
    const answer = (request: IncomingMessage, response: ServerResponse) => {
      this.answer(request, response).catch((error) => {
        options.log.error(`${request.method}: ${asHypervueError(error).message}`);
        if (!response.headersSent) response.writeHead(500, { 'Content-Type': 'text/plain' });
        response.end('internal error\n');
      });
    };
    this.tls = options.tls && loadTls(options.tls);
    this.names = new Set([...(isLoopback(options.host) ? [] : ownNames()), ...(this.tls?.names ?? []), ...(options.names ?? [])]);
    this.http = this.tls
      ? createTlsServer({ ...limits, cert: this.tls.cert, key: this.tls.key, minVersion: 'TLSv1.2' }, answer)
      : createServer(limits, answer);
    // A client that can't speak TLS, or does not trust the certificate.
    this.http.on('tlsClientError', (_error, socket) => socket.destroy());
    this.disposables.push({ dispose: options.manager.access.onGone((tokenId) => this.cutChannels(tokenId)) });
    this.http.timeout = IDLE_MS;
    this.http.on('upgrade', (request, socket, head) => this.upgrade(request, socket, head));
  }

  /** Rejects with 'in-use' or 'permission-denied' when the address can't be had. */
  async listen(): Promise<void> {
    const { host, port } = this.options;
    await new Promise<void>((resolve, reject) => {
      this.http.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)));
      this.http.listen(port, host, resolve);
    });
    const { tls, log } = this.options;
    if (tls && this.tls) {
      const use = ({ cert, key, fingerprint }: LoadedTls) => {
        (this.http as TlsServer).setSecureContext({ cert, key });
        this.options.onCertificate?.(fingerprint);
      };
      this.disposables.push(watchTls(tls, this.tls.fingerprint, use, log));
    }
    this.pings = setInterval(() => this.ping(), PING_MS);
    this.pings.unref();
  }

  /** For the address bar, without the token. */
  get url(): string {
    const { host } = this.options;
    const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host;
    return `${this.tls ? 'https' : 'http'}://${name}:${(this.http.address() as AddressInfo).port}/`;
  }

  /** SHA-256 of the certificate it started with; undefined without TLS. */
  get fingerprint(): string | undefined {
    return this.tls?.fingerprint;
  }

  /** Lets go of every client; the manager stays. */
  async close(): Promise<void> {
    clearInterval(this.pings);
    for (const disposable of this.disposables) disposable.dispose();
    for (const server of [this.contracts, this.channels]) for (const client of server.clients) client.close(1001, 'Hypervue is quitting');
    const closed = new Promise<void>((resolve) => this.http.close(() => resolve()));
    // A client that does not answer the close is cut off.
    const cut = setTimeout(() => {
      for (const server of [this.contracts, this.channels]) for (const client of server.clients) client.terminate();
      this.http.closeAllConnections();
    }, 500);
    this.http.closeIdleConnections();
    await closed;
    clearTimeout(cut);
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const host = request.headers.host ?? '';
    if (!hostAllowed(request, this.options.host, this.names)) {
      response.writeHead(403, { ...securityHeaders('localhost'), 'Content-Type': 'text/plain; charset=utf-8' });
      response.end(
        'This server answers only to the addresses and names it knows. Use the link that `hypervue serve` printed, or start it with --name for this one.\n',
      );
      return;
    }
    if (request.url === '/healthz' && (request.method === 'GET' || request.method === 'HEAD')) {
      response.writeHead(200, { ...securityHeaders(host), 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
      response.end(request.method === 'HEAD' ? undefined : '{"status":"ok"}\n');
      return;
    }
    if (await this.transfers.answer(request, response, securityHeaders(host))) return;
    await serveStatic(this.options.rendererFolder, request, response, host);
  }

  private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const refuse = (status: string, text: string, more = '') => {
      const body = `${text}\n`;
      socket.end(
        `HTTP/1.1 ${status}\r\nConnection: close\r\n${more}Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
    };
    if (!hostAllowed(request, this.options.host, this.names) || !originAllowed(request)) {
      this.options.log.warn(`refused a connection from the page of another site (${cleanHeader(request.headers.origin)})`);
      refuse('403 Forbidden', 'this page does not belong to this server');
      return;
    }
    const address = clientAddress(request);
    const wait = this.limiter.waitSeconds(address);
    if (wait > 0) {
      // A browser's page sees only the close code of an opened socket, never the status of a refused one.
      if (request.headers.origin !== undefined)
        this.contracts.handleUpgrade(request, socket, head, (client) => end(client, CLOSE_TOO_MANY, tooMany(wait)));
      else refuse('429 Too Many Requests', tooMany(wait), `Retry-After: ${wait}\r\n`);
      return;
    }
    const urlPath = (request.url ?? '').split('?', 1)[0]!;
    if (urlPath === '/contract') {
      if (this.unauthorised >= MAX_UNAUTHORISED)
        refuse('503 Service Unavailable', 'too many clients are signing in', 'Retry-After: 10\r\n');
      else if (this.contracts.clients.size >= MAX_CLIENTS)
        refuse('503 Service Unavailable', 'too many clients are connected', 'Retry-After: 60\r\n');
      else this.contracts.handleUpgrade(request, socket, head, (client) => this.welcome(client, address));
      return;
    }
    const channel = /^\/channel\/([a-z0-9]+)\/([0-9A-Za-z-]{1,64})$/.exec(urlPath);
    if (!channel || !(channelKinds as readonly string[]).includes(channel[1]!)) {
      refuse('404 Not Found', 'there is no such channel');
      return;
    }
    const protocols = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    const encoded = protocols.find((name) => name.startsWith(TOKEN_PROTOCOL))?.slice(TOKEN_PROTOCOL.length);
    const caller = encoded === undefined ? undefined : this.identify(Buffer.from(encoded, 'base64url').toString(), address);
    if (!caller) {
      this.channels.handleUpgrade(request, socket, head, (client) => end(client, CLOSE_UNAUTHORIZED, 'the token is wrong'));
      return;
    }
    this.channels.handleUpgrade(
      request,
      socket,
      head,
      (client) => void this.openChannel(client, caller, channel[1] as ChannelKind, channel[2]!, viewerOf(protocols)),
    );
  }

  /** Who has this token; undefined when nobody does (any more). */
  private identify(guess: unknown, address: string): Caller | undefined {
    const came = { id: randomUUID(), address, since: new Date().toISOString() };
    if (tokenMatches(guess, this.options.token)) return { ...came, name: '', role: 'manage', tokenId: null };
    const token = typeof guess === 'string' ? this.options.manager.access.tokens.find(guess) : undefined;
    if (token) return { ...came, name: token.name, role: token.role, tokenId: token.id };
    this.limiter.failed(address);
    this.options.log.warn(`a client at ${address} gave a wrong token`);
    return undefined;
  }

  /** The first message has to be `{ type: 'auth', token }`; the answer is `{ type: 'ready' }`, and the contract begins. */
  private welcome(client: WebSocket, address: string): void {
    this.watch(client);
    this.unauthorised++;
    let waiting = true;
    const settle = () => {
      if (waiting) this.unauthorised--;
      waiting = false;
      clearTimeout(timer);
    };
    const timer = setTimeout(() => client.close(CLOSE_UNAUTHORIZED, 'no token came'), AUTH_MS);
    client.once('close', settle);
    client.once('message', (data, isBinary) => {
      settle();
      const message = parseFrame(data, isBinary) as { type?: unknown; token?: unknown } | null | undefined;
      // Several sockets opened before the first failure all count.
      const wait = this.limiter.waitSeconds(address);
      if (wait > 0) {
        client.close(CLOSE_TOO_MANY, tooMany(wait));
        return;
      }
      const caller = this.identify(message?.type === 'auth' ? message.token : undefined, address);
      if (!caller) {
        client.close(CLOSE_UNAUTHORIZED, 'the token is wrong');
        return;
      }
      client.send(JSON.stringify({ type: 'ready' }));
      this.options.manager.connect(new WebSocketTransport(client), caller);
    });
  }

  private async openChannel(
    client: WebSocket,
    caller: Caller,
    kind: ChannelKind,
    vmId: string,
    viewer: ChannelViewer | undefined,
  ): Promise<void> {
    this.watch(client);
    if (caller.tokenId !== null) {
      this.channelTokens.set(client, caller.tokenId);
      client.once('close', () => this.channelTokens.delete(client));
    }
    // What the client sends before the machine answers waits in the socket.
    client.pause();
    try {
      const channel = await this.options.manager.openChannel(vmId, kind, viewer && asCaller(viewer, caller, kind));
      if (client.readyState !== client.OPEN) {
        channel.close();
        return;
      }
      joinChannel(client, roleCovers(caller.role, channelInputRoles[kind]) ? channel : viewOnly(channel, kind));
      client.resume();
    } catch (error) {
      client.resume();
      client.close(CLOSE_FAILED, closeReason(asHypervueError(error).message));
    }
  }

  private cutChannels(tokenId: string): void {
    for (const [client, id] of this.channelTokens)
      if (id === tokenId) {
        client.resume();
        client.close(CLOSE_UNAUTHORIZED, closeReason(TOKEN_GONE));
      }
  }

  private watch(client: WebSocket): void {
    this.alive.add(client);
    client.on('pong', () => this.alive.add(client));
    client.on('message', () => this.alive.add(client));
    // Oversized or malformed frames: ws closes the socket with the proper code.
    client.on('error', () => {});
  }

  /** A client that answered neither the last ping nor sent anything since is gone. One that is paused for back pressure can't answer. */
  private ping(): void {
    this.options.manager.access.sweep();
    for (const server of [this.contracts, this.channels])
      for (const client of server.clients) {
        if (client.isPaused) continue;
        if (!this.alive.delete(client)) client.terminate();
        else client.ping();
      }
  }
}

/** A token's name is what others see, whatever its holder says; its role decides what the viewer may do. */
function asCaller(viewer: ChannelViewer, caller: Caller, kind: ChannelKind): ChannelViewer {
  return {
    ...viewer,
    ...(caller.tokenId === null ? {} : { name: caller.name }),
    limited: !roleCovers(caller.role, channelInputRoles[kind]),
  };
}

/** Who a client says it is; undefined when it says nothing, or nonsense. */
function viewerOf(protocols: readonly string[]): ChannelViewer | undefined {
  const encoded = protocols.find((name) => name.startsWith(VIEWER_PROTOCOL))?.slice(VIEWER_PROTOCOL.length);
  if (encoded === undefined) return undefined;
  try {
    return viewerHelloSchema.safeParse(JSON.parse(Buffer.from(encoded, 'base64url').toString())).data;
  } catch {
    return undefined;
  }
}

function end(client: WebSocket, code: number, reason: string): void {
  client.on('error', () => client.terminate());
  client.close(code, reason);
}

const tooMany = (seconds: number) => `too many wrong tokens; wait ${seconds} s`;

/** Warns once when a server can be reached from other computers, where its plain HTTP can be read along the way. */
export function exposureWarning(host: string): string | undefined {
  return isLoopback(host)
    ? undefined
    : `listening on ${host}: other computers can reach this server, and the connection is not encrypted. Start it with --tls, or put a TLS proxy or an SSH tunnel before it.`;
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): HypervueError {
  const context = { object: `${host}:${port}`, operation: 'listen', code: error.code };
  if (error.code === 'EADDRINUSE')
    return new HypervueError('in-use', say('portInUse', { port, host }), context, say('fixOtherPort'), error);
  if (error.code === 'EACCES')
    return new HypervueError('permission-denied', say('portForbidden', { port }), context, say('fixPortForbidden'), error);
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND')
    return new HypervueError('invalid-argument', say('noOwnAddress', { host }), context, say('fixNoOwnAddress'), error);
  return new HypervueError('io-error', say('cantListen', { host, port, problem: error.message }), context, undefined, error);
}

function clientAddress(request: IncomingMessage): string {
  return request.socket.remoteAddress ?? 'unknown';
}

/** A header for a log line: short and without control characters. */
function cleanHeader(value: string | undefined): string {
  return (value ?? 'none').replace(/[^\x20-\x7e]/g, '?').slice(0, 200);
}
