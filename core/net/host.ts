/** What a gateway needs of the computer it runs on. */
import type { Disposable } from '../util/disposable.ts';

/** Why a connection could not be made. */
export type ConnectFailure = 'refused' | 'unreachable' | 'timeout';

export interface StreamListener {
  /** Of one that was made with `connect`; comes before anything else. */
  connected(): void;
  failed(why: ConnectFailure): void;
  /** The bytes are only there during the call. */
  data(bytes: Uint8Array): void;
  /** The other side sends no more. */
  ended(): void;
  /** It is over without having ended in order. Nothing follows. */
  broken(): void;
}

/** A TCP connection of the host. */
export interface HostStream {
  /** Once, in the same turn in which it was made or accepted. */
  listen(listener: StreamListener): void;
  /** Keeps the bytes until `done` is called. */
  write(bytes: Uint8Array, done: () => void): void;
  /** Sends no more after what was written. */
  end(): void;
  pause(): void;
  resume(): void;
  /** Ends it at once, with a reset. */
  reset(): void;
}

export interface HostDatagrams {
  send(bytes: Uint8Array, address: string, port: number): void;
  close(): void;
}

export type Datagram = (bytes: Uint8Array, address: string, port: number) => void;

/** A port of the host is listened on; `failed` may come at any time, and then it is not any more. */
export interface Listening extends Disposable {}

export interface HostNetwork {
  /** Milliseconds that only grow. */
  now(): number;
  /** Once, after `ms`. */
  timer(ms: number, due: () => void): Disposable;
  random(): number;
  connect(address: string, port: number): HostStream;
  /** A UDP socket with any port that takes what anybody sends to it. `family` of the addresses that are sent to. */
  datagrams(received: Datagram, family: 4 | 6): HostDatagrams;
  listenTcp(address: string, port: number, accepted: (stream: HostStream) => void, failed: (code: string) => void): Listening;
  listenUdp(address: string, port: number, received: Datagram, failed: (code: string) => void): HostDatagrams;
  /** Name servers of the host as they are now, the first to be asked first. */
  resolvers(): readonly { address: string; port: number }[];
}
