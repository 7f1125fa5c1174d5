import { chmodSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { Forwards, type ForwardRule } from '../net/forwards.ts';
import { Gateway } from '../net/gateway.ts';
import type { HostNetwork } from '../net/host.ts';
import { DNS_PORT } from '../net/dnsproxy.ts';
import { type BootSource, ipv4Schema } from '../contract/networks.ts';
import { parseIpv4, parseSubnet } from '../contract/ipv4.ts';
import { parseMac } from '../net/ethernet.ts';
import type { FromNetworkProcess, NetworkMemberId, NetworkStart } from '../net/processprotocol.ts';
import { Onlooker } from '../net/onlooker.ts';
import { type SwitchPort, VirtualSwitch } from '../net/switch.ts';
import { bootFolder } from '../platform/bootfolder.ts';
import { removeAbandonedSocket } from '../platform/abandonedsocket.ts';
import { Cable } from './cable.ts';
import { TapPort } from './tapport.ts';

/** Cards that may come are some tens; more connections than these are turned away. */
const MAX_CABLES = 256;
/** Least time between two reports. */
const REPORT_MS = 200;

const nameOf = ({ vm, card }: Pick<NetworkMemberId, 'vm' | 'card'>): string => `${vm} ${card}`;

/** Name servers of this computer that its neighbours reach as well: not those that it has for itself alone. */
const namesFor = (host: HostNetwork): number[] =>
  host
    .resolvers()
    .filter(({ address, port }) => port === DNS_PORT && ipv4Schema.safeParse(address).success && !address.startsWith('127.'))
    .map(({ address }) => parseIpv4(address));

/** One network: its switch, its gateway, and the socket that cables come to. */
export class NetworkHost {
  private readonly tell: (message: FromNetworkProcess) => void;
  private readonly lost: (device: string, code: string) => void;
  private readonly socket: string;
  private readonly ethernet: VirtualSwitch;
  /** Absent where others give addresses. */
  private readonly gateway: Gateway | undefined;
  private readonly onlooker: Onlooker | undefined;
  private readonly tap: TapPort | undefined;
  private readonly forwards: Forwards | undefined;
  private readonly server: Server;
  private readonly cables = new Set<Cable>();
  private members = new Map<string, NetworkMemberId>();
  private macs = new Set<number>();
  private reporting: NodeJS.Timeout | undefined;

  /** `lost`: the device that it has is gone. Throws as `Tap.open` does. */
  constructor(
    start: NetworkStart,
    host: HostNetwork,
    tell: (message: FromNetworkProcess) => void,
    lost: (device: string, code: string) => void = () => {},
  ) {
    this.tell = tell;
    this.lost = lost;
    this.socket = start.socket;
    this.setMembers(start.members);
    this.ethernet = new VirtualSwitch(() => host.now());
    const changed = () => this.reportSoon();
    const machine = (mac: number) => this.macs.has(mac);
    const { dhcp, kind, subnet, device = null, boot = null } = start;
    let gateway: Gateway | undefined;
    if (subnet === null) {
      this.onlooker = new Onlooker(() => host.now(), machine, changed);
      this.ethernet.plug(this.onlooker);
    } else {
      gateway = new Gateway(
        {
          subnet: parseSubnet(subnet),
          dhcp: dhcp && { from: parseIpv4(dhcp.from), to: parseIpv4(dhcp.to) },
          router: kind === 'nat',
          longSegments: true,
          ...(device === null ? {} : { host: kind === 'routed' ? { router: true, dns: namesFor(host) } : { router: false, dns: [] } }),
        },
        {
          host,
          ethernet: this.ethernet,
          leases: start.leases,
          machine,
          changed,
        },
      );
      this.gateway = gateway;
      this.setBoot(boot);
    }
    if (device !== null) this.tap = this.plugHost(device);
    if (kind === 'nat' && gateway) {
      const nat = gateway;
      const forwards = new Forwards({
        host,
        target: (vm, card) => this.target(vm, card),
        tcp: (stream, { mac, address }, port) => nat.forwardTcp(stream, mac, address, port),
        udp: (bytes, source, { mac, address }, port) => nat.forwardUdp(bytes, source, mac, address, port),
        changed,
      });
      nat.onForwarded = (port, guest, guestPort, payload) => forwards.answer(port, guest, guestPort, payload);
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
    this.macs = new Set(members.map(({ mac }) => parseMac(mac)));
    for (const cable of this.cables) if (cable.hello && this.members.get(nameOf(cable.hello))?.mac !== cable.hello.mac) cable.close();
  }

  setForwards(rules: readonly ForwardRule[]): void {
    this.forwards?.set(rules);
  }

  setBoot(boot: BootSource | null): void {
    this.gateway?.setBoot(boot ?? undefined, boot?.folder ? bootFolder(boot.folder) : undefined);
  }

  close(): void {
    clearTimeout(this.reporting);
    this.server.close();
    this.forwards?.close();
    this.gateway?.dispose();
    this.tap?.close();
    for (const cable of this.cables) cable.close();
  }

  /** This computer's port. Throws as `Tap.open` does. */
  private plugHost(device: string): TapPort {
    const port: SwitchPort = {
      send: (frame) => {
        if (!this.gateway?.answersForHost(frame)) tap.send(frame);
      },
    };
    const tap = new TapPort(device, {
      frame: (frame) => this.ethernet.receive(port, frame),
      gone: (code) => this.lost(device, code),
    });
    this.ethernet.plug(port);
    return tap;
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
    const address = this.gateway?.addressOf(mac);
    return address === undefined ? undefined : { mac, address };
  }

  private reportSoon(): void {
    this.reporting ??= setTimeout(() => {
      this.reporting = undefined;
      this.tell({
        type: 'status',
        leases: this.gateway?.leases() ?? [],
        addresses: (this.gateway ?? this.onlooker)?.addresses() ?? [],
        connected: [...this.cables].flatMap(({ hello }) => (hello ? [{ vm: hello.vm, card: hello.card, mac: hello.mac }] : [])),
        problems: this.forwards?.problems() ?? [],
      });
    }, REPORT_MS);
  }
}
