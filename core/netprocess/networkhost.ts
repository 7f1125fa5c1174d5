import { chmodSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { Forwards, type ForwardRule } from '../net/forwards.ts';
import { Gateway } from '../net/gateway.ts';
import type { HostNetwork } from '../net/host.ts';
import { parseIpv4, parseSubnet } from '../contract/ipv4.ts';
import { parseMac } from '../net/ethernet.ts';
import type { FromNetworkProcess, NetworkMemberId, NetworkStart } from '../net/processprotocol.ts';
import { VirtualSwitch } from '../net/switch.ts';
import { removeAbandonedSocket } from '../platform/abandonedsocket.ts';
import { Cable } from './cable.ts';

/** Cards that may come are some tens; more connections than these are turned away. */
const MAX_CABLES = 256;
/** Least time between two reports. */
const REPORT_MS = 200;

const nameOf = ({ vm, card }: Pick<NetworkMemberId, 'vm' | 'card'>): string => `${vm} ${card}`;

/** One network: its switch, its gateway, and the socket that cables come to. */
export class NetworkHost {
  private readonly tell: (message: FromNetworkProcess) => void;
  private readonly socket: string;
  private readonly ethernet: VirtualSwitch;
  private readonly gateway: Gateway;
  private readonly forwards: Forwards | undefined;
  private readonly server: Server;
  private readonly cables = new Set<Cable>();
  private members = new Map<string, NetworkMemberId>();
  private reporting: NodeJS.Timeout | undefined;

  constructor(start: NetworkStart, host: HostNetwork, tell: (message: FromNetworkProcess) => void) {
    this.tell = tell;
    this.socket = start.socket;
    this.setMembers(start.members);
    this.ethernet = new VirtualSwitch(() => host.now());
    const { dhcp } = start;
    const changed = () => this.reportSoon();
    this.gateway = new Gateway(
      {
        subnet: parseSubnet(start.subnet),
        dhcp: dhcp && { from: parseIpv4(dhcp.from), to: parseIpv4(dhcp.to) },
        router: start.kind === 'nat',
        longSegments: true,
      },
      { host, ethernet: this.ethernet, leases: start.leases, changed },
    );
    if (start.kind === 'nat') {
      const forwards = new Forwards({
        host,
        target: (vm, card) => this.target(vm, card),
        tcp: (stream, { mac, address }, port) => this.gateway.forwardTcp(stream, mac, address, port),
        udp: (bytes, source, { mac, address }, port) => this.gateway.forwardUdp(bytes, source, mac, address, port),
        changed,
      });
      this.gateway.onForwarded = (port, guest, guestPort, payload) => forwards.answer(port, guest, guestPort, payload);
      this.forwards = forwards;
      forwards.set(start.forwards);
    }
    this.server = createServer((socket) => {
      if (this.cables.size >= MAX_CABLES) {
        socket.destroy();
        return;
      }
      const cable: Cable = new Cable(socket, {
        refusal: ({ vm, card, mac }) => {
          const member = this.members.get(nameOf({ vm, card }));
          return member?.mac === mac ? undefined : 'this card is not on this network';
        },
        plugged: (one) => this.plugged(one),
        frame: (one, frame) => this.ethernet.receive(one, frame),
        unplugged: (one) => {
          this.ethernet.unplug(one);
          this.reportSoon();
        },
      });
      this.cables.add(cable);
      socket.on('close', () => this.cables.delete(cable));
    });
  }

  /** Resolves once cables can come. Rejects with the system's error. */
  async listen(): Promise<void> {
    await removeAbandonedSocket(this.socket);
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(this.socket, () => {
        this.server.off('error', reject);
        resolve();
      });
    });
    if (process.platform !== 'win32') chmodSync(this.socket, 0o600);
    this.reportSoon();
  }

  setMembers(members: readonly NetworkMemberId[]): void {
    this.members = new Map(members.map((member) => [nameOf(member), member]));
    for (const cable of this.cables) if (cable.hello && this.members.get(nameOf(cable.hello))?.mac !== cable.hello.mac) cable.close();
  }

  setForwards(rules: readonly ForwardRule[]): void {
    this.forwards?.set(rules);
  }

  close(): void {
    clearTimeout(this.reporting);
    this.server.close();
    this.forwards?.close();
    this.gateway.dispose();
    for (const cable of this.cables) cable.close();
  }

  private plugged(cable: Cable): void {
    // A machine that comes again before its old connection was seen to end.
    for (const other of this.cables) if (other !== cable && other.hello && nameOf(other.hello) === nameOf(cable.hello!)) other.close();
    this.ethernet.plug(cable);
    this.reportSoon();
  }

  private target(vm: string, card: string): { mac: number; address: number } | undefined {
    const member = this.members.get(nameOf({ vm, card }));
    if (!member || ![...this.cables].some(({ hello }) => hello && nameOf(hello) === nameOf(member))) return undefined;
    const mac = parseMac(member.mac);
    const address = this.gateway.addressOf(mac);
    return address === undefined ? undefined : { mac, address };
  }

  private reportSoon(): void {
    this.reporting ??= setTimeout(() => {
      this.reporting = undefined;
      this.tell({
        type: 'status',
        leases: this.gateway.leases(),
        addresses: this.gateway.addresses(),
        connected: [...this.cables].flatMap(({ hello }) => (hello ? [{ vm: hello.vm, card: hello.card, mac: hello.mac }] : [])),
        problems: this.forwards?.problems() ?? [],
      });
    }, REPORT_MS);
  }
}
