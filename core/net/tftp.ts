/** TFTP, RFC 1350, that only gives files out, with the options of RFC 2347 (OACK), 2348 (blksize) and 2349 (timeout, tsize). */
import type { Disposable } from '../util/disposable.ts';
import type { HostNetwork } from './host.ts';
import { viewOf } from './ipv4.ts';

export const TFTP_PORT = 69;

const RRQ = 1;
const WRQ = 2;
const DATA = 3;
const ACK = 4;
const ERROR = 5;
const OACK = 6;
const NOT_DEFINED = 0;
const NOT_FOUND = 1;
const ACCESS_VIOLATION = 2;
const ILLEGAL = 4;

const HEADER_BYTES = 4;
const DEFAULT_BLOCK = 512;
const MIN_BLOCK = 8;
/** What fits into one frame: 1,500 bytes without the headers of IPv4, UDP and TFTP. */
const MAX_BLOCK = 1468;
/** RFC 2347 section 2. */
const MAX_REQUEST = 512;
const MAX_TRANSFERS = 64;
const TRIES = 6;
/** RFC 6335 section 6: dynamic ports. */
const FIRST_PORT = 49_152;
const PORTS = 65_536 - FIRST_PORT;

/** A file that is given out; it stays what it was when it was opened, as far as its system has that. */
export interface BootFile {
  /** Bytes. */
  size: number;
  /** As many bytes as are there, up to `length`. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): void;
}

/** Opens a file by the name that a guest asks for, which is hostile. Undefined: there is none, or it is not for guests. */
export type OpenBootFile = (name: string) => Promise<BootFile | undefined>;

export interface TftpClient {
  mac: number;
  address: number;
  port: number;
}

/** Sends a datagram from this port of the gateway. */
export type TftpSend = (client: TftpClient, port: number, bytes: Uint8Array) => void;

interface Request {
  name: string;
  mode: string;
  options: Map<string, string>;
}

/** File name, mode and options, each ended by a zero; undefined for what is no request. */
export function parseRequest(bytes: Uint8Array): Request | undefined {
  if (bytes.length > MAX_REQUEST || bytes.length < HEADER_BYTES || bytes.at(-1) !== 0) return undefined;
  const words = new TextDecoder().decode(bytes.subarray(2, -1)).split('\0');
  const [name, mode, ...rest] = words;
  if (!name || mode === undefined || rest.length % 2 !== 0) return undefined;
  const options = new Map<string, string>();
  for (let i = 0; i < rest.length; i += 2) options.set(rest[i]!.toLowerCase(), rest[i + 1]!);
  return { name, mode: mode.toLowerCase(), options };
}

const numberIn = (text: string | undefined, from: number, to: number): number | undefined => {
  if (text === undefined || !/^\d{1,9}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= from && value <= to ? value : undefined;
};

function errorPacket(code: number, text: string): Uint8Array {
  const words = new TextEncoder().encode(`${text}\0`);
  const bytes = new Uint8Array(HEADER_BYTES + words.length);
  const view = viewOf(bytes);
  view.setUint16(0, ERROR);
  view.setUint16(2, code);
  bytes.set(words, HEADER_BYTES);
  return bytes;
}

class Transfer {
  readonly client: TftpClient;
  readonly port: number;
  over = false;
  private readonly server: TftpServer;
  private file: BootFile | undefined;
  private block = DEFAULT_BLOCK;
  private timeoutMs = 1000;
  /** Blocks that came through; number 0 is the answer to options. */
  private done = -1;
  private last: Uint8Array | undefined;
  private final = false;
  private tries = 0;
  private timer: Disposable | undefined;
  private reading = false;

  constructor(server: TftpServer, client: TftpClient, port: number) {
    this.server = server;
    this.client = client;
    this.port = port;
  }

  async begin({ name, mode, options }: Request, open: OpenBootFile): Promise<void> {
    if (mode !== 'octet') return this.refuse(ILLEGAL, 'only mode octet');
    let file: BootFile | undefined;
    try {
      file = await open(name);
    } catch {
      return this.refuse(NOT_DEFINED, 'the file cannot be read');
    }
    if (this.over) return file?.close();
    if (!file) return this.refuse(NOT_FOUND, 'no such file');
    this.file = file;
    const agreed: string[] = [];
    const block = numberIn(options.get('blksize'), MIN_BLOCK, 65_464);
    if (block !== undefined) {
      this.block = Math.min(block, MAX_BLOCK);
      agreed.push('blksize', String(this.block));
    }
    const seconds = numberIn(options.get('timeout'), 1, 255);
    if (seconds !== undefined) {
      this.timeoutMs = seconds * 1000;
      agreed.push('timeout', String(seconds));
    }
    if (options.get('tsize') === '0') agreed.push('tsize', String(file.size));
    if (agreed.length) this.send(new Uint8Array([0, OACK, ...new TextEncoder().encode(`${agreed.join('\0')}\0`)]));
    else {
      this.done = 0;
      await this.sendBlock();
    }
  }

  receive(bytes: Uint8Array): void {
    const kind = bytes.length < HEADER_BYTES ? 0 : viewOf(bytes).getUint16(0);
    if (kind === ERROR) this.end();
    // An acknowledgement that came twice is not answered twice (RFC 1123 section 4.2.3.1).
    else if (kind === ACK && !this.reading && this.last && viewOf(bytes).getUint16(2) === ((this.done + 1) & 0xffff)) {
      this.done++;
      if (this.final) this.end();
      else void this.sendBlock();
    }
  }

  end(): void {
    if (this.over) return;
    this.over = true;
    this.timer?.dispose();
    this.file?.close();
    this.server.ended(this);
  }

  private refuse(code: number, text: string): void {
    if (this.over) return;
    this.server.send(this.client, this.port, errorPacket(code, text));
    this.end();
  }

  private async sendBlock(): Promise<void> {
    this.reading = true;
    let data: Uint8Array;
    try {
      data = await this.file!.read(this.done * this.block, this.block);
    } catch {
      return this.refuse(NOT_DEFINED, 'the file cannot be read');
    }
    this.reading = false;
    if (this.over) return;
    const bytes = new Uint8Array(HEADER_BYTES + data.length);
    const view = viewOf(bytes);
    view.setUint16(0, DATA);
    view.setUint16(2, (this.done + 1) & 0xffff);
    bytes.set(data, HEADER_BYTES);
    this.final = data.length < this.block;
    this.send(bytes);
  }

  private send(bytes: Uint8Array): void {
    this.last = bytes;
    this.tries = 0;
    this.sendAgain();
  }

  private sendAgain(): void {
    this.timer?.dispose();
    if (this.tries++ === TRIES) {
      this.end();
      return;
    }
    this.server.send(this.client, this.port, this.last!);
    this.timer = this.server.host.timer(this.timeoutMs, () => {
      if (!this.reading) this.sendAgain();
    });
  }
}

export class TftpServer {
  readonly host: HostNetwork;
  readonly send: TftpSend;
  private readonly open: OpenBootFile;
  private readonly transfers = new Map<number, Transfer>();
  private nextPort = 0;
  /** Files that are being looked for, also for requests that were given up. */
  private opening = 0;

  constructor(host: HostNetwork, open: OpenBootFile, send: TftpSend) {
    this.host = host;
    this.open = open;
    this.send = send;
  }

  /** A datagram for the gateway; false: it is not for this service. */
  receive(port: number, client: TftpClient, bytes: Uint8Array): boolean {
    if (port === TFTP_PORT) {
      this.request(client, bytes);
      return true;
    }
    const transfer = this.transfers.get(port);
    if (transfer?.client.address !== client.address || transfer.client.port !== client.port) return false;
    transfer.receive(bytes);
    return true;
  }

  close(): void {
    for (const transfer of this.transfers.values()) transfer.end();
  }

  ended(transfer: Transfer): void {
    this.transfers.delete(transfer.port);
  }

  private async lookFor(name: string): Promise<BootFile | undefined> {
    this.opening++;
    try {
      return await this.open(name);
    } finally {
      this.opening--;
    }
  }

  private request(client: TftpClient, bytes: Uint8Array): void {
    const kind = bytes.length < 2 ? 0 : viewOf(bytes).getUint16(0);
    if (kind === WRQ) this.send(client, TFTP_PORT, errorPacket(ACCESS_VIOLATION, 'files are only given out'));
    if (kind !== RRQ) return;
    const request = parseRequest(bytes);
    if (!request) {
      this.send(client, TFTP_PORT, errorPacket(ILLEGAL, 'no request'));
      return;
    }
    // The same request once more is one whose answer was lost, or a new beginning.
    for (const other of this.transfers.values())
      if (other.client.address === client.address && other.client.port === client.port) other.end();
    if (this.transfers.size >= MAX_TRANSFERS || this.opening >= MAX_TRANSFERS) return;
    while (this.transfers.has(FIRST_PORT + this.nextPort)) this.nextPort = (this.nextPort + 1) % PORTS;
    const transfer = new Transfer(this, client, FIRST_PORT + this.nextPort);
    this.nextPort = (this.nextPort + 1) % PORTS;
    this.transfers.set(transfer.port, transfer);
    void transfer.begin(request, (name) => this.lookFor(name));
  }
}
