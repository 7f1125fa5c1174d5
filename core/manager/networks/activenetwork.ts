import { createHash } from 'node:crypto';
import { hostKinds, type Network } from '../../contract/networks.ts';
import type { NetworkMemberId } from '../../net/processprotocol.ts';
import { socketPath } from '../../platform/folders.ts';
import type { HypervueError } from '../../util/errors.ts';
import { asHypervueError } from '../../util/errors.ts';
import type { Logger } from '../../util/logger.ts';
import type { HostNetworkDevices } from './host/hostnetworkdevices.ts';
import type { Leases } from './leases.ts';
import { type NetworkLauncher, NetworkProcess, type NetworkReport } from './networkprocess.ts';

/** Milliseconds. */
export interface NetworkLimits {
  /** A network ends this long after its last machine, so that one that is started again finds it. */
  linger: number;
  /** From a crash to the next start; twice as long after each that follows within `calm`, up to `longest`. */
  again: number;
  longest: number;
  calm: number;
  /** From one try to listen on ports that others have to the next. */
  listen: number;
}
const LIMITS: NetworkLimits = { linger: 5000, again: 500, longest: 30_000, calm: 60_000, listen: 10_000 };

export interface ActiveParts {
  launcher: NetworkLauncher;
  /** Private folder for sockets. */
  runtimeFolder: string;
  log: Logger;
  leases: Leases;
  /** This computer's interfaces of networks. */
  devices: Pick<HostNetworkDevices, 'prepare'>;
  /** The network with this id. Throws 'not-found'. */
  network(id: string): Network;
  /** Something about a network is not what it was. */
  changed(): void;
  limits?: Partial<NetworkLimits>;
}

/** What can be told of a network that may run. */
export interface NetworkNow {
  readonly state: 'idle' | 'active' | 'failed';
  readonly error: HypervueError | null;
  /** Forwards whose ports can't be listened on, with the system's code. */
  readonly problems: NetworkReport['problems'];
}
export const idle: NetworkNow = { state: 'idle', error: null, problems: [] };

/** A network that has machines which are on: its process, and who is plugged in. */
export class ActiveNetwork {
  readonly socket: string;
  now: NetworkNow = idle;
  private readonly id: string;
  private readonly parts: ActiveParts;
  private readonly limits: NetworkLimits;
  private readonly over: (end: Promise<void>) => void;
  private readonly members = new Map<string, NetworkMemberId>();
  private process: NetworkProcess | undefined;
  /** The start under way. */
  private starting: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** Until ports that could not be listened on are tried again. */
  private listening: NodeJS.Timeout | undefined;
  private crashes = 0;
  private startedAt = 0;
  private ended = false;

  /** `over` is called once, when nobody needs the network any more; its promise settles when the process is gone. */
  constructor(id: string, parts: ActiveParts, over: (end: Promise<void>) => void) {
    this.id = id;
    this.parts = parts;
    this.limits = { ...LIMITS, ...parts.limits };
    this.over = over;
    // Another manager of this user may run the same network for its own machines; and one that ends, and its successor, are not to meet.
    const key = createHash('sha256').update(`${id} ${process.pid} ${++made}`).digest('hex').slice(0, 16);
    this.socket = socketPath(parts.runtimeFolder, `net-${key}`);
  }

  /** Rejects when the network can't be had. */
  async add(member: NetworkMemberId): Promise<void> {
    clearTimeout(this.timer);
    const { vm, card, mac } = member;
    this.members.set(keyOf(member), { vm, card, mac });
    try {
      await this.run();
      this.process?.setMembers([...this.members.values()]);
    } catch (error) {
      this.remove(member);
      throw error;
    }
  }

  remove(member: Pick<NetworkMemberId, 'vm' | 'card'>): void {
    if (this.ended || !this.members.delete(keyOf(member))) return;
    if (this.members.size > 0) {
      this.process?.setMembers([...this.members.values()]);
      return;
    }
    if (!this.process) {
      this.end();
      return;
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.end(), this.limits.linger);
    this.timer.unref();
  }

  /** The network was `before`, and is another one now. */
  refresh(before: Network): Promise<void> | undefined {
    const now = this.parts.network(this.id);
    if (sameAddresses(before, now)) {
      this.process?.setForwards(now.forwards);
      if (JSON.stringify(now.boot) !== JSON.stringify(before.boot)) this.process?.setBoot(now.boot);
      return undefined;
    }
    // Its process has the old addresses. Nobody is on it, or `locked` would have refused.
    if (this.members.size === 0) {
      this.end();
      return undefined;
    }
    const { process } = this;
    this.process = undefined;
    return (process?.close() ?? Promise.resolve()).then(() => this.run());
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.timer);
    clearTimeout(this.listening);
    this.now = idle;
    this.over(this.process?.close() ?? Promise.resolve());
  }

  private set(now: NetworkNow): void {
    if (this.ended) return;
    this.now = now;
    this.parts.changed();
  }

  /** The process is there, or is started now. */
  private async run(): Promise<void> {
    if (this.starting) await this.starting;
    else if (!this.process) {
      this.starting = this.start().finally(() => {
        this.starting = undefined;
      });
      await this.starting;
    }
  }

  private async start(): Promise<void> {
    const network = this.parts.network(this.id);
    const { name, kind, subnet, dhcp, forwards, boot } = network;
    const { log, launcher, leases, devices } = this.parts;
    let device: string | null = null;
    try {
      if (hostKinds.includes(kind)) device = await devices.prepare(network);
    } catch (cause) {
      const error = asHypervueError(cause, { object: name });
      this.set({ state: 'failed', error, problems: [] });
      throw error;
    }
    const made: NetworkProcess = new NetworkProcess(launcher, name, {
      report: (report) => this.take(made, report),
      output: (line) => log.warn(`network ${name}: ${line}`),
      ended: (error) => {
        if (made === this.process) this.crashed(error);
      },
    });
    this.process = made;
    this.startedAt = performance.now();
    try {
      await made.start({
        kind,
        subnet,
        device,
        dhcp,
        forwards,
        boot,
        leases: [...leases.of(this.id)].map(([mac, address]) => ({ mac, address })),
        members: [...this.members.values()],
        socket: this.socket,
      });
    } catch (cause) {
      const error = asHypervueError(cause, { object: name });
      if (this.process === made) this.process = undefined;
      this.set({ state: 'failed', error, problems: [] });
      await made.close();
      throw error;
    }
    // Who came meanwhile.
    made.setMembers([...this.members.values()]);
    this.set({ ...this.now, state: 'active', error: null });
  }

  private take(from: NetworkProcess, { leases, addresses, problems }: NetworkReport): void {
    if (from !== this.process) return;
    // What was seen counts above what was given.
    this.parts.leases.set(this.id, new Map([...leases, ...addresses].map(({ mac, address }) => [mac, address])));
    this.set({ ...this.now, problems });
    if (problems.length) this.listenAgain();
  }

  /** A port that somebody else has may be free later. */
  private listenAgain(): void {
    if (this.listening) return;
    this.listening = setTimeout(() => {
      this.listening = undefined;
      if (this.now.problems.length) this.process?.setForwards(this.parts.network(this.id).forwards);
    }, this.limits.listen);
    this.listening.unref();
  }

  private crashed(error: HypervueError): void {
    this.process = undefined;
    this.parts.log.error(error.message);
    if (this.ended) return;
    if (performance.now() - this.startedAt > this.limits.calm) this.crashes = 0;
    this.set({ state: 'failed', error, problems: [] });
    this.again();
  }

  private again(): void {
    // Nobody needs it: the next who comes starts it.
    if (this.members.size === 0) {
      this.end();
      return;
    }
    const wait = Math.min(this.limits.longest, this.limits.again * 2 ** this.crashes++);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.run().catch((error) => {
        if (this.ended) return;
        this.parts.log.error(asHypervueError(error).message);
        this.again();
      });
    }, wait);
    this.timer.unref();
  }
}

/** Networks that were made active so far. */
let made = 0;

const keyOf = ({ vm, card }: Pick<NetworkMemberId, 'vm' | 'card'>): string => `${vm}/${card}`;

export const sameAddresses = (a: Network, b: Network): boolean =>
  a.kind === b.kind && a.subnet === b.subnet && a.bridge === b.bridge && a.dhcp?.from === b.dhcp?.from && a.dhcp?.to === b.dhcp?.to;
