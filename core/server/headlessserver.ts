import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { type ChannelKind, channelKinds } from '../contract/methods.ts';
import type { Manager } from '../manager/manager.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import type { Logger } from '../util/logger.ts';
import { AttemptLimiter, hostAllowed, isLoopback, originAllowed, tokenMatches } from './access.ts';
import { FileTransfers } from './filetransfers.ts';
import { securityHeaders, serveStatic } from './staticfiles.ts';
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
const CHANNEL_PROTOCOL = 'hypervue.channel';
const TOKEN_PROTOCOL = 'token.';

export interface HeadlessServerOptions {
  manager: Manager;
  token: string;
  /** Address to listen on. */
  host: string;
  /** 0 takes a free one. */
  port: number;
  /** Folder of the built renderer. */
  rendererFolder: string;
  log: Logger;
}

/** Headless mode: the renderer over HTTP, the contract and the machines' byte channels over WebSockets. */
export class HeadlessServer {
  private readonly options: HeadlessServerOptions;
  private readonly http: Server;
  private readonly contracts: WebSocketServer;
  private readonly channels: WebSocketServer;
  private readonly limiter = new AttemptLimiter(Date.now);
  private readonly transfers: FileTransfers;
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
    this.http = createServer({ maxHeaderSize: 16 * 1024, headersTimeout: 30_000, requestTimeout: 0 }, (request, response) => {
      this.answer(request, response).catch((error) => {
        options.log.error(`${request.method}: ${asHypervueError(error).message}`);
        if (!response.headersSent) response.writeHead(500, { 'Content-Type': 'text/plain' });
        response.end('internal error\n');
      });
    });
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
    this.pings = setInterval(() => this.ping(), PING_MS);
    this.pings.unref();
  }

  /** For the address bar, without the token. */
  get url(): string {
    const { host } = this.options;
    const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host;
    return `http://${name}:${(this.http.address() as AddressInfo).port}/`;
  }

  /** Lets go of every client; the manager stays. */
  async close(): Promise<void> {
    clearInterval(this.pings);
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
    if (!hostAllowed(request, this.options.host)) {
      response.writeHead(403, { ...securityHeaders('localhost'), 'Content-Type': 'text/plain; charset=utf-8' });
      response.end('This server answers only to the address it was started for. Use the link that `hypervue serve` printed.\n');
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
    const refuse = (status: string, text: string) => {
      const body = `${text}\n`;
      socket.end(
        `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
    };
    if (!hostAllowed(request, this.options.host) || !originAllowed(request)) {
      this.options.log.warn(`refused a connection from the page of another site (${cleanHeader(request.headers.origin)})`);
      refuse('403 Forbidden', 'this page does not belong to this server');
      return;
    }
    const address = clientAddress(request);
    if (this.limiter.blocked(address)) {
      refuse('429 Too Many Requests', 'too many wrong tokens; wait a minute');
      return;
    }
    const urlPath = (request.url ?? '').split('?', 1)[0]!;
    if (urlPath === '/contract') {
      if (this.unauthorised >= MAX_UNAUTHORISED) refuse('503 Service Unavailable', 'too many clients are signing in');
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
    if (encoded === undefined || !this.checkToken(Buffer.from(encoded, 'base64url').toString(), address)) {
      // A browser sees only the close code of an opened socket, never the status of a refused one.
      this.channels.handleUpgrade(request, socket, head, (client) => {
        client.on('error', () => client.terminate());
        client.close(CLOSE_UNAUTHORIZED, 'the token is wrong');
      });
      return;
    }
    this.channels.handleUpgrade(request, socket, head, (client) => void this.openChannel(client, channel[1] as ChannelKind, channel[2]!));
  }

  private checkToken(guess: unknown, address: string): boolean {
    if (tokenMatches(guess, this.options.token)) return true;
    this.limiter.failed(address);
    this.options.log.warn(`a client at ${address} gave a wrong token`);
    return false;
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
      if (this.limiter.blocked(address)) {
        client.close(CLOSE_TOO_MANY, 'too many wrong tokens; wait a minute');
        return;
      }
      if (message?.type !== 'auth' || !this.checkToken(message.token, address)) {
        client.close(CLOSE_UNAUTHORIZED, 'the token is wrong');
        return;
      }
      client.send(JSON.stringify({ type: 'ready' }));
      this.options.manager.connect(new WebSocketTransport(client));
    });
  }

  private async openChannel(client: WebSocket, kind: ChannelKind, vmId: string): Promise<void> {
    this.watch(client);
    // What the client sends before the machine answers waits in the socket.
    client.pause();
    try {
      const channel = await this.options.manager.openChannel(vmId, kind);
      if (client.readyState !== client.OPEN) {
        channel.close();
        return;
      }
      joinChannel(client, channel);
      client.resume();
    } catch (error) {
      client.resume();
      client.close(CLOSE_FAILED, closeReason(asHypervueError(error).message));
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
    for (const server of [this.contracts, this.channels])
      for (const client of server.clients) {
        if (client.isPaused) continue;
        if (!this.alive.delete(client)) client.terminate();
        else client.ping();
      }
  }
}

/** Warns once when a server can be reached from other computers, where its plain HTTP can be read along the way. */
export function exposureWarning(host: string): string | undefined {
  return isLoopback(host)
    ? undefined
    : `listening on ${host}: other computers can reach this server, and the connection is not encrypted. Put a TLS proxy or an SSH tunnel before it.`;
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): HypervueError {
  const context = { object: `${host}:${port}`, operation: 'listen', code: error.code };
  if (error.code === 'EADDRINUSE')
    return new HypervueError(
      'in-use',
      `port ${port} of ${host} is in use by another program`,
      context,
      'Choose another with --port.',
      error,
    );
  if (error.code === 'EACCES')
    return new HypervueError(
      'permission-denied',
      `port ${port} may not be used by this user`,
      context,
      'Choose one above 1023 with --port.',
      error,
    );
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND')
    return new HypervueError('invalid-argument', `${host} is no address of this computer`, context, 'Choose another with --host.', error);
  return new HypervueError('io-error', `can't listen on ${host}:${port}: ${error.message}`, context, undefined, error);
}

function clientAddress(request: IncomingMessage): string {
  return request.socket.remoteAddress ?? 'unknown';
}

/** A header for a log line: short and without control characters. */
function cleanHeader(value: string | undefined): string {
  return (value ?? 'none').replace(/[^\x20-\x7e]/g, '?').slice(0, 200);
}
