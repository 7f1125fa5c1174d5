/** Ports of the host that lead to guests. */
import type { Disposable } from '../util/disposable.ts';
import type { HostDatagrams, HostNetwork, HostStream } from './host.ts';

/** What is asked for: whom it leads to is looked up at every connection. */
export interface ForwardRule {
  id: string;
  protocol: 'tcp' | 'udp';
  hostAddress: string;
  hostPort: number;
  vm: string;
  card: string;
  guestPort: number;
}

/** `code`: of the system, why the port can't be listened on. */
export interface ForwardProblem {
  id: string;
  code: string;
}

export interface Target {
  mac: number;
  address: number;
}

export interface ForwardParts {
  host: HostNetwork;
  /** Undefined while the machine is not there, or its address is not known. */
  target(vm: string, card: string): Target | undefined;
  tcp(stream: HostStream, target: Target, port: number): void;
  udp(bytes: Uint8Array, sourcePort: number, target: Target, port: number): void;
  changed(): void;
}

const MAX_PEERS = 1024;
const IDLE_MS = 300_000;
const FIRST_PORT = 32_768;
const PORTS = 16_384;

/** Somebody outside who sent datagrams to a forwarded port. */
interface Peer {
  /** Port of the gateway that the guest takes for them. */
  port: number;
  guest: number;
  guestPort: number;
  usedAt: number;
  reply(bytes: Uint8Array): void;
}

interface Open {
  rule: ForwardRule;
  listening: Disposable;
}

const same = (a: ForwardRule, b: ForwardRule): boolean =>
  a.protocol === b.protocol &&
  a.hostAddress === b.hostAddress &&
  a.hostPort === b.hostPort &&
  a.vm === b.vm &&
  a.card === b.card &&
  a.guestPort === b.guestPort;

export class Forwards {
  private readonly parts: ForwardParts;
  private readonly open = new Map<string, Open>();
  private readonly failed = new Map<string, string>();
  private readonly peers = new Map<string, Peer>();
  private readonly byPort = new Map<number, Peer>();
  private nextPort = 0;

  constructor(parts: ForwardParts) {
    this.parts = parts;
  }

  /** From now on these; what is the same stays as it is, with its connections. */
  set(rules: readonly ForwardRule[]): void {
    const wanted = new Map(rules.map((rule) => [rule.id, rule]));
    for (const [id, { rule, listening }] of this.open) {
      const next = wanted.get(id);
      if (next && same(next, rule) && !this.failed.has(id)) {
        wanted.delete(id);
        continue;
      }
      listening.dispose();
      this.open.delete(id);
    }
    for (const id of this.failed.keys()) this.failed.delete(id);
    for (const rule of wanted.values()) this.open.set(rule.id, { rule, listening: this.listen(rule) });
    this.parts.changed();
  }

  problems(): ForwardProblem[] {
    return [...this.failed].map(([id, code]) => ({ id, code }));
  }

  close(): void {
    for (const { listening } of this.open.values()) listening.dispose();
    this.open.clear();
    this.peers.clear();
    this.byPort.clear();
  }

  /** A guest sent to `port` of the gateway; false where nobody is behind it. */
  answer(port: number, guest: number, guestPort: number, payload: Uint8Array): boolean {
    const peer = this.byPort.get(port);
    if (!peer || peer.guest !== guest || peer.guestPort !== guestPort) return false;
    peer.usedAt = this.parts.host.now();
    peer.reply(payload);
    return true;
  }

  private listen(rule: ForwardRule): Disposable {
    const { host } = this.parts;
    const { hostAddress, hostPort, id } = rule;
    const failed = (code: string) => {
      this.failed.set(id, code);
      this.parts.changed();
    };
    if (rule.protocol === 'tcp') return host.listenTcp(hostAddress, hostPort, (stream) => this.accept(rule, stream), failed);
    const socket: HostDatagrams = host.listenUdp(
      hostAddress,
      hostPort,
      (bytes, address, port) => this.receive(rule, socket, bytes, address, port),
      failed,
    );
    return { dispose: () => socket.close() };
  }

  private accept({ vm, card, guestPort }: ForwardRule, stream: HostStream): void {
    const target = this.parts.target(vm, card);
    if (target) this.parts.tcp(stream, target, guestPort);
    else stream.reset();
  }

  private receive(rule: ForwardRule, socket: HostDatagrams, bytes: Uint8Array, address: string, port: number): void {
    const target = this.parts.target(rule.vm, rule.card);
    if (!target) return;
    const key = `${rule.id} ${address} ${port} ${target.address}`;
    const peer = this.peers.get(key) ?? this.meet(key, rule, target, (answer) => socket.send(answer, address, port));
    if (!peer) return;
    peer.usedAt = this.parts.host.now();
    // What was used last comes last.
    this.peers.delete(key);
    this.peers.set(key, peer);
    this.parts.udp(bytes, peer.port, target, rule.guestPort);
  }

  private meet(key: string, { guestPort }: ForwardRule, { address }: Target, reply: Peer['reply']): Peer | undefined {
    const now = this.parts.host.now();
    for (const [oldest, { port, usedAt }] of this.peers) {
      if (now - usedAt < IDLE_MS && this.peers.size < MAX_PEERS) break;
      this.peers.delete(oldest);
      this.byPort.delete(port);
    }
    // There are more ports than peers.
    do this.nextPort = (this.nextPort + 1) % PORTS;
    while (this.byPort.has(FIRST_PORT + this.nextPort));
    const peer = { port: FIRST_PORT + this.nextPort, guest: address, guestPort, usedAt: now, reply };
    this.peers.set(key, peer);
    this.byPort.set(peer.port, peer);
    return peer;
  }
}
