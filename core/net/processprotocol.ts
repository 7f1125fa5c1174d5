/** What a manager and the process of a network say to each other. Structured-clone values only. */
import type { ForwardProblem, ForwardRule } from './forwards.ts';
import type { Lease } from './dhcp.ts';

export interface NetworkMemberId {
  vm: string;
  card: string;
  mac: string;
}

export interface NetworkStart {
  /** Only `nat` leads to the world. */
  kind: 'nat' | 'isolated';
  subnet: string;
  dhcp: { from: string; to: string } | null;
  forwards: ForwardRule[];
  leases: Lease[];
  /** Who may come. */
  members: NetworkMemberId[];
  /** Where it listens: Unix socket, or named pipe on Windows. */
  socket: string;
}

export type ToNetworkProcess =
  | ({ type: 'start' } & NetworkStart)
  | { type: 'members'; members: NetworkMemberId[] }
  | { type: 'forwards'; forwards: ForwardRule[] };

export type FromNetworkProcess =
  /** The process is there, and waits for `start`. */
  | { type: 'ready' }
  /** It listens. */
  | { type: 'started' }
  /** It can't listen; it ends then. */
  | { type: 'failed'; code: string }
  /** Whenever something of it is others than before. */
  | { type: 'status'; leases: Lease[]; addresses: Lease[]; connected: NetworkMemberId[]; problems: ForwardProblem[] };
