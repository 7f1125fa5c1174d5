/** Networks that machines that are on have their cables in. */
import type { NetPlace, Network } from '../../contract/networks.ts';
import type { FirmwareKind } from '../../contract/vm.ts';
import type { NetworkMemberId } from '../../net/processprotocol.ts';
import { asHypervueError, type HypervueError } from '../../util/errors.ts';
import type { HostNetworkDevices } from './host/hostnetworkdevices.ts';
import { bootProblem } from './bootsource.ts';
import { ActiveNetwork, type ActiveParts, idle, type NetworkNow } from './activenetwork.ts';

/** A card of a machine that is on. */
export interface NetworkMemberRef extends NetworkMemberId {
  card: NetPlace;
}

/** For those who start machines. */
export interface NetworkAttachments {
  /** The socket at which the card's cable ends (core/net/wire.ts). Rejects where there is no such network or it can't be had now. */
  open(network: string, member: NetworkMemberRef): Promise<{ socket: string }>;
  /** The card is not there any more. */
  close(network: string, member: Pick<NetworkMemberRef, 'vm' | 'card'>): void;
}

/** What machines want of networks. */
export interface MachineNetworks extends NetworkAttachments {
  /** The name of a network, and what was wrong with it when it was tried last. Throws 'not-found'. */
  look(network: string): { name: string; problem: HypervueError | null };
  /** What keeps it from being started now, as far as this can be known before; null for nothing. Rejects with 'not-found'. */
  obstacle(network: string): Promise<HypervueError | null>;
  /** What keeps a machine from being started from the network, as far as this can be known before; null for nothing. Rejects with 'not-found'. */
  bootProblem(network: string, firmware: FirmwareKind): Promise<HypervueError | null>;
}

export interface AttachmentParts extends ActiveParts {
  devices: Pick<HostNetworkDevices, 'prepare' | 'problem'>;
}

export class Attachments implements MachineNetworks {
  private readonly parts: AttachmentParts;
  private readonly active = new Map<string, ActiveNetwork>();
  private readonly ending = new Set<Promise<void>>();

  constructor(parts: AttachmentParts) {
    this.parts = parts;
  }

  async open(id: string, member: NetworkMemberRef): Promise<{ socket: string }> {
    this.parts.network(id);
    const known = this.active.get(id);
    const active = known ?? new ActiveNetwork(id, this.parts, (end) => this.over(id, end));
    this.active.set(id, active);
    await active.add(member);
    return { socket: active.socket };
  }

  look(id: string): { name: string; problem: HypervueError | null } {
    return { name: this.parts.network(id).name, problem: this.now(id).error };
  }

  obstacle(id: string): Promise<HypervueError | null> {
    return this.parts.devices.problem(this.parts.network(id));
  }

  async bootProblem(id: string, firmware: FirmwareKind): Promise<HypervueError | null> {
    return bootProblem(this.parts.network(id), firmware);
  }

  close(id: string, member: Pick<NetworkMemberRef, 'vm' | 'card'>): void {
    this.active.get(id)?.remove(member);
  }

  /** A network has other settings than `before`. */
  refresh(id: string, before: Network): void {
    const now = this.parts.network(id);
    if (now.subnet !== before.subnet) this.forget(id);
    this.active
      .get(id)
      ?.refresh(before)
      ?.catch((error) => this.parts.log.warn(`${now.name}: ${asHypervueError(error).message}`));
  }

  now(id: string): NetworkNow {
    return this.active.get(id)?.now ?? idle;
  }

  addressOf(id: string, mac: string): string | null {
    return this.parts.leases.of(id).get(mac) ?? null;
  }

  /** Ends a network that nobody is on at once; resolves when its process is gone. */
  async stop(id: string): Promise<void> {
    this.active.get(id)?.end();
    await Promise.all(this.ending);
  }

  /** There is no such network any more. */
  forget(id: string): void {
    this.parts.leases.set(id, new Map());
  }

  /** Ends them all; resolves when their processes are gone. */
  async end(): Promise<void> {
    for (const active of this.active.values()) active.end();
    await Promise.all(this.ending);
    await this.parts.leases.settled();
  }

  private over(id: string, end: Promise<void>): void {
    this.active.delete(id);
    const gone = end.finally(() => this.ending.delete(gone));
    this.ending.add(gone);
    this.parts.changed();
  }
}
