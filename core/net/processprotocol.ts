/** What a manager and the process of a network say to each other. Structured-clone values only. */
import type { BootSource, NetworkKind } from '../contract/networks.ts';
import type { ForwardProblem, ForwardRule } from './forwards.ts';
import type { Lease } from './dhcp.ts';

export interface NetworkMemberId {
  vm: string;
  card: string;
  mac: string;
}

export interface NetworkStart {
  /** Only `nat` leads to the world through the process itself. */
  kind: NetworkKind;
  /** Null for `bridged`, where others give addresses. */
  subnet: string | null;
  dhcp: { from: string; to: string } | null;
  forwards: ForwardRule[];
  leases: Lease[];
  /** Who may come. */
  members: NetworkMemberId[];
  /** What cards start a system from, where it is one of `nat`. */
  boot?: BootSource | null;
  /** The TAP device by which the computer is on the network, or the network on the computer's: of `host-only`, `routed` and `bridged`. */
  device?: string | null;
  /** Where it listens: Unix socket, or named pipe on Windows. */
  socket: string;
}

export type ToNetworkProcess =
  | ({ type: 'start' } & NetworkStart)
  | { type: 'members'; members: NetworkMemberId[] }
  | { type: 'forwards'; forwards: ForwardRule[] }
  | { type: 'boot'; boot: BootSource | null };

export type FromNetworkProcess =
  /** The process is there, and waits for `start`. */
  | { type: 'ready' }
  /** It listens. */
  | { type: 'started' }
  /** It can't listen, or not have its device; it ends then. */
  | { type: 'failed'; at: 'socket' | 'device'; code: string }
  /** Whenever something of it is others than before. */
  | { type: 'status'; leases: Lease[]; addresses: Lease[]; connected: NetworkMemberId[]; problems: ForwardProblem[] };
