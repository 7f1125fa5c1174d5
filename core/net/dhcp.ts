/** DHCP, RFC 2131 and RFC 2132: messages, and the server of a network. */
import { bootFileFor, type BootSource } from '../contract/networks.ts';
import { BROADCAST, macText, parseMac, readMac, writeMac } from './ethernet.ts';
import { ipv4Text, parseIpv4, type Subnet } from '../contract/ipv4.ts';
import { viewOf } from './ipv4.ts';

export const DHCP_SERVER_PORT = 67;
export const DHCP_CLIENT_PORT = 68;

const FIXED_BYTES = 240;
const COOKIE = 0x6382_5363;
const BOOT_REQUEST = 1;
const BOOT_REPLY = 2;
const BROADCAST_FLAG = 0x8000;
/** Bootstrap of old wants its 300 bytes. */
const MIN_BYTES = 300;
/** With a boot file there is more: what every client takes (RFC 2131 section 2). */
const BOOT_BYTES = 576 - 28;

const DISCOVER = 1;
const OFFER = 2;
const REQUEST = 3;
const DECLINE = 4;
const ACK = 5;
const NAK = 6;
const INFORM = 8;

const OPTION_MASK = 1;
const OPTION_ROUTER = 3;
const OPTION_DNS = 6;
const OPTION_BROADCAST = 28;
const OPTION_REQUESTED = 50;
const OPTION_LEASE = 51;
const OPTION_TYPE = 53;
const OPTION_SERVER = 54;
const OPTION_BOOT_SERVER = 66;
const OPTION_BOOT_FILE = 67;
/** Client system architecture type, RFC 4578 section 2.1: a list of 16-bit numbers. 0 is a PC with a BIOS; others that ask are UEFI. */
const OPTION_ARCHITECTURE = 93;
const ARCHITECTURE_BIOS = 0;
/** Of the header's field for the boot file, with the zero behind the name. */
const NEXT_SERVER_AT = 20;
const FILE_AT = 108;
const FILE_BYTES = 128;
/** More name servers than systems ask. */
const MAX_DNS = 3;

const LEASE_SECONDS = 24 * 3600;
/** An address that somebody else was found to have is not given for a while. */
const DECLINED_MS = 600_000;
/** Leases that are remembered of cards that are gone. */
const MAX_LEASES = 1024;

/** What a card was given; for good, as far as there are addresses. */
export interface Lease {
  mac: string;
  address: string;
}

interface Message {
  type: number;
  mac: number;
  clientAddress: number;
  requested: number | undefined;
  server: number | undefined;
  broadcast: boolean;
  /** It starts under UEFI. */
  uefi: boolean;
  bytes: Uint8Array;
}

export function parseDhcp(bytes: Uint8Array): Message | undefined {
  if (bytes.length < FIXED_BYTES) return undefined;
  const view = viewOf(bytes);
  // Ethernet, addresses of 6 bytes.
  if (bytes[0] !== BOOT_REQUEST || bytes[1] !== 1 || bytes[2] !== 6 || view.getUint32(236) !== COOKIE) return undefined;
  const message: Message = {
    type: 0,
    mac: readMac(bytes, 28),
    clientAddress: view.getUint32(12),
    requested: undefined,
    server: undefined,
    broadcast: (view.getUint16(10) & BROADCAST_FLAG) !== 0,
    uefi: false,
    bytes,
  };
  for (let at = FIXED_BYTES; at < bytes.length; ) {
    const option = bytes[at]!;
    if (option === 255) break;
    if (option === 0) {
      at++;
      continue;
    }
    const length = bytes[at + 1] ?? 0;
    const value = at + 2;
    if (value + length > bytes.length) break;
    if (option === OPTION_TYPE && length === 1) message.type = bytes[value]!;
    if (option === OPTION_ARCHITECTURE && length >= 2) message.uefi = view.getUint16(value) !== ARCHITECTURE_BIOS;
    if (option === OPTION_REQUESTED && length === 4) message.requested = view.getUint32(value);
    if (option === OPTION_SERVER && length === 4) message.server = view.getUint32(value);
    at = value + length;
  }
  return message.type ? message : undefined;
}

export interface DhcpOptions {
  subnet: Subnet;
  from: number;
  to: number;
  /** Its own address. */
  server: number;
  /** What guests are told that their way out is, and their name servers. */
  router: number | null;
  dns: readonly number[];
}

export interface DhcpReply {
  bytes: Uint8Array;
  /** Where it goes: 255.255.255.255, or an address that the guest has or gets. */
  destination: number;
  mac: number;
}

const EVERYBODY = 0xffff_ffff;

export class DhcpServer {
  private readonly options: DhcpOptions;
  private readonly now: () => number;
  private readonly changed: () => void;
  /** The longest unused come first. */
  private readonly byMac = new Map<number, number>();
  private readonly taken = new Map<number, number>();
  private readonly declined = new Map<number, number>();
  /** What cards start a system from: a file by TFTP from the server, or a URL. At most MAX_BOOT_FILE bytes. */
  boot: Pick<BootSource, 'file' | 'uefiFile'> | undefined;

  constructor(options: DhcpOptions, leases: readonly Lease[], now: () => number, changed: () => void) {
    this.options = options;
    this.now = now;
    this.changed = changed;
    for (const { mac, address } of leases) {
      const wanted = parseIpv4(address);
      if (this.givable(wanted) && !this.taken.has(wanted)) this.assign(parseMac(mac), wanted);
    }
  }

  leases(): Lease[] {
    return [...this.byMac].map(([mac, address]) => ({ mac: macText(mac), address: ipv4Text(address) }));
  }

  addressOf(mac: number): number | undefined {
    return this.byMac.get(mac);
  }

  answer(bytes: Uint8Array): DhcpReply | undefined {
    const message = parseDhcp(bytes);
    if (!message) return undefined;
    switch (message.type) {
      case DISCOVER: {
        const address = this.addressFor(message.mac, message.requested);
        return address === undefined ? undefined : this.reply(message, OFFER, address);
      }
      case REQUEST:
        return this.request(message);
      case DECLINE:
        if (message.server === this.options.server && this.byMac.get(message.mac) === message.requested) this.decline(message.mac);
        return undefined;
      case INFORM:
        return message.clientAddress ? this.reply(message, ACK, 0) : undefined;
      default:
        // A released address stays that card's: it is to have the same the next time.
        return undefined;
    }
  }

  private request(message: Message): DhcpReply | undefined {
    const { mac, server, requested, clientAddress } = message;
    // It has chosen another server.
    if (server !== undefined && server !== this.options.server) return undefined;
    const wanted = requested ?? clientAddress;
    const own = this.addressFor(mac, wanted);
    if (own !== undefined && own === wanted) return this.reply(message, ACK, own);
    return this.reply(message, NAK, 0);
  }

  /** The address that a card has, or gets: the one it asks for where nobody has it. */
  private addressFor(mac: number, wanted: number | undefined): number | undefined {
    const own = this.byMac.get(mac);
    if (own !== undefined) {
      this.assign(mac, own);
      return own;
    }
    const free = wanted !== undefined && this.isFree(wanted) ? wanted : this.firstFree();
    if (free === undefined) return undefined;
    this.assign(mac, free);
    if (this.byMac.size > MAX_LEASES) this.forgetOldest();
    this.changed();
    return free;
  }

  private firstFree(): number | undefined {
    const { from, to } = this.options;
    for (let address = from; address <= to && address - from <= this.taken.size + this.declined.size; address++)
      if (this.isFree(address)) return address;
    return this.forgetOldest();
  }

  private forgetOldest(): number | undefined {
    for (const [mac, address] of this.byMac) {
      this.byMac.delete(mac);
      this.taken.delete(address);
      if (this.isFree(address)) return address;
    }
    return undefined;
  }

  private assign(mac: number, address: number): void {
    this.byMac.delete(mac);
    this.byMac.set(mac, address);
    this.taken.set(address, mac);
  }

  private decline(mac: number): void {
    const address = this.byMac.get(mac)!;
    this.byMac.delete(mac);
    this.taken.delete(address);
    this.declined.set(address, this.now() + DECLINED_MS);
    this.changed();
  }

  private givable(address: number): boolean {
    return address >= this.options.from && address <= this.options.to;
  }

  private isFree(address: number): boolean {
    if (!this.givable(address) || this.taken.has(address)) return false;
    const until = this.declined.get(address);
    if (until !== undefined && until > this.now()) return false;
    this.declined.delete(address);
    return true;
  }

  /** Where a system is started from: in the header, and again as options for who looks only there. Returns where the next option goes. */
  private tellBoot(bytes: Uint8Array, start: number, file: string): number {
    const { server } = this.options;
    const name = new TextEncoder().encode(file);
    viewOf(bytes).setUint32(NEXT_SERVER_AT, server);
    if (name.length < FILE_BYTES) bytes.set(name, FILE_AT);
    let at = start;
    for (const [code, value] of [
      [OPTION_BOOT_SERVER, new TextEncoder().encode(ipv4Text(server))],
      [OPTION_BOOT_FILE, name],
    ] as const) {
      bytes.set([code, value.length], at);
      bytes.set(value, at + 2);
      at += 2 + value.length;
    }
    return at;
  }

  private reply(message: Message, type: number, address: number): DhcpReply {
    const boot = this.boot && bootFileFor(this.boot, message.uefi ? 'uefi' : 'bios');
    const { subnet, server, router, dns } = this.options;
    const bytes = new Uint8Array(boot && type !== NAK ? BOOT_BYTES : MIN_BYTES);
    const view = viewOf(bytes);
    bytes[0] = BOOT_REPLY;
    bytes[1] = 1;
    bytes[2] = 6;
    // Transaction, flags, relay and hardware address are the guest's.
    bytes.set(message.bytes.subarray(4, 8), 4);
    bytes.set(message.bytes.subarray(10, 12), 10);
    if (type !== NAK) view.setUint32(12, message.clientAddress);
    view.setUint32(16, address);
    bytes.set(message.bytes.subarray(24, 28), 24);
    writeMac(bytes, 28, message.mac);
    view.setUint32(236, COOKIE);
    let at = FIXED_BYTES;
    const option = (code: number, value: number, length: 1 | 4 = 4) => {
      bytes[at] = code;
      bytes[at + 1] = length;
      if (length === 4) view.setUint32(at + 2, value);
      else bytes[at + 2] = value;
      at += 2 + length;
    };
    option(OPTION_TYPE, type, 1);
    option(OPTION_SERVER, server);
    if (type !== NAK) {
      if (address) option(OPTION_LEASE, LEASE_SECONDS);
      option(OPTION_MASK, subnet.mask);
      option(OPTION_BROADCAST, subnet.broadcast);
      if (router !== null) option(OPTION_ROUTER, router);
      const servers = dns.slice(0, MAX_DNS);
      if (servers.length) {
        bytes[at] = OPTION_DNS;
        bytes[at + 1] = servers.length * 4;
        for (const [index, address] of servers.entries()) view.setUint32(at + 2 + index * 4, address);
        at += 2 + servers.length * 4;
      }
      if (boot) at = this.tellBoot(bytes, at, boot);
    }
    bytes[at] = 255;
    // RFC 2131 section 4.1: to the address that the guest has; else to everybody, or straight to the card with the address that it gets.
    if (type === NAK) return { bytes, destination: EVERYBODY, mac: BROADCAST };
    if (message.clientAddress) return { bytes, destination: message.clientAddress, mac: message.mac };
    if (message.broadcast) return { bytes, destination: EVERYBODY, mac: BROADCAST };
    return { bytes, destination: address, mac: message.mac };
  }
}
