import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect as connectSocket, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ClientOptions, WebSocket } from 'ws';
import { ContractClient } from '../../contract/client.ts';
import type { VmSummary } from '../../contract/vm.ts';
import type { Manager } from '../../manager/manager.ts';
import { multibootKernel } from '../../manager/testing/media.ts';
import { ChildProcessLauncher } from '../../platform/childlauncher.ts';
import { createLogger } from '../../util/logger.ts';
import { HeadlessServer, type HeadlessServerOptions } from '../headlessserver.ts';
import { openManager } from '../openmanager.ts';

const FAKE_VM = fileURLToPath(new URL('../../engine/builtin/testing/fakevmprocess.ts', import.meta.url));
const ENTRY = new URL('../../cli/main.ts', import.meta.url).href;
export const TOKEN = 'a-token-of-the-tests-that-is-long-enough';
/** Long enough for a computer that does much else; nobody waits for it while all is well. */
const PATIENCE_MS = 20_000;

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** A client of the contract and the socket that it speaks over. */
export interface Signed {
  client: ContractClient;
  socket: WebSocket;
}

/** How a socket ended: its close code, or the status of a refused upgrade. */
export interface Ending {
  code: number;
  reason: string;
}

/** A real headless server on a library of its own, over fake VM processes. */
export class TestServer {
  readonly root = mkdtempSync(path.join(tmpdir(), 'hv-srv-'));
  readonly renderer = path.join(this.root, 'renderer');
  readonly logged: string[] = [];
  manager!: Manager;
  server!: HeadlessServer;
  private readonly sockets: (WebSocket | Socket)[] = [];

  static async open(host = '127.0.0.1', more: Partial<HeadlessServerOptions> = {}): Promise<TestServer> {
    const made = new TestServer();
    mkdirSync(path.join(made.renderer, 'assets'), { recursive: true });
    writeFileSync(path.join(made.renderer, 'index.html'), '<!doctype html><title>page</title>');
    writeFileSync(path.join(made.renderer, 'assets', 'index-Ab12Cd34.js'), 'export {};');
    writeFileSync(path.join(made.root, 'secret.txt'), 'secret');
    const at = (name: string) => path.join(made.root, name);
    const log = createLogger((level, _scope, message) => made.logged.push(`${level}: ${message}`));
    made.manager = await openManager({
      folders: { library: at('machines'), libraryFrom: 'usual', config: at('config'), runtime: at('run'), locks: at('locks') },
      entry: ENTRY,
      version: '0.0.0',
      mode: 'headless',
      log,
      launcher: new ChildProcessLauncher(FAKE_VM),
    });
    made.server = new HeadlessServer({ manager: made.manager, token: TOKEN, host, port: 0, rendererFolder: made.renderer, log, ...more });
    await made.server.listen();
    return made;
  }

  get port(): number {
    return Number(new URL(this.server.url).port);
  }

  async close(): Promise<void> {
    for (const socket of this.sockets)
      if (socket instanceof WebSocket) socket.terminate();
      else socket.destroy();
    await this.manager.close();
    await this.server.close();
    rmSync(this.root, { recursive: true, force: true });
  }

  /** One HTTP request with the path exactly as given, which `fetch` would tidy up. */
  get(urlPath: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port: this.port, path: urlPath, method, headers, agent: false }, (response) => {
        let body = '';
        response.on('data', (chunk) => (body += chunk));
        response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }));
      });
      asked.on('error', reject);
      asked.end();
    });
  }

  socket(urlPath: string, protocols: string[] = [], options: ClientOptions = {}): WebSocket {
    const socket = new WebSocket(`ws://127.0.0.1:${this.port}${urlPath}`, protocols, options);
    socket.on('error', () => {});
    this.sockets.push(socket);
    return socket;
  }

  /** Bytes straight to the port. */
  raw(): Socket {
    const socket = connectSocket(this.port, '127.0.0.1');
    socket.on('error', () => {});
    this.sockets.push(socket);
    return socket;
  }

  /** A socket of the contract that has given `message` as its first, a token unless told otherwise. */
  async greet(message: string | Buffer = JSON.stringify({ type: 'auth', token: TOKEN }), options: ClientOptions = {}): Promise<WebSocket> {
    const socket = this.socket('/contract', [], options);
    await opened(socket);
    socket.send(message);
    return socket;
  }

  async signIn(token = TOKEN): Promise<Signed> {
    const socket = await this.greet(JSON.stringify({ type: 'auth', token }));
    const first = await nextMessage(socket);
    if (first !== '{"type":"ready"}') throw new Error(`the server answered ${first}`);
    const client = new ContractClient({
      send: (message) => socket.send(JSON.stringify(message)),
      onMessage: (listener) => socket.on('message', (data) => listener(JSON.parse(data.toString()))),
      onClose: (listener) => socket.on('close', listener),
      close: () => socket.close(),
    });
    return { client, socket };
  }

  channel(kind: string, vmId: string, token = TOKEN): WebSocket {
    return this.socket(`/channel/${kind}/${vmId}`, ['hypervue.channel', `token.${Buffer.from(token).toString('base64url')}`]);
  }

  /** A machine whose fake process does what `cmdline` says. */
  create(client: ContractClient, name: string, cmdline = ''): Promise<VmSummary> {
    const kernel = path.join(this.root, 'kernel');
    writeFileSync(kernel, multibootKernel());
    return client.call('vm.create', {
      name,
      memoryMiB: 16,
      source: { type: 'kernel', path: kernel, initrd: null, cmdline },
      newDisk: null,
    });
  }
}

export function opened(socket: WebSocket): Promise<void> {
  return within(
    'the socket opens',
    new Promise((resolve, reject) => {
      socket.once('open', () => resolve());
      socket.once('error', reject);
    }),
  );
}

export function nextMessage(socket: WebSocket): Promise<string> {
  return within('a message comes', new Promise((resolve) => socket.once('message', (data) => resolve(data.toString()))));
}

export function ending(socket: WebSocket): Promise<Ending> {
  return within(
    'the socket ends',
    new Promise((resolve) => {
      socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
      socket.once('unexpected-response', (_request, response) => {
        resolve({ code: response.statusCode!, reason: response.statusMessage! });
        socket.terminate();
      });
    }),
  );
}

/** Polls, so that a busy computer only makes it slower. */
export async function eventually(what: string, look: () => boolean): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  while (!look()) {
    if (Date.now() > end) throw new Error(`it never came to be that ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export async function within<T>(what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it took too long until ${what}`)), PATIENCE_MS);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
