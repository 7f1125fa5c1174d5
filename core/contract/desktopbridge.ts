import type { ViewerHello } from './console.ts';
import type { ErrorDto } from './errors.ts';
import type { ChannelKind } from './methods.ts';
import type { RemoteServer, ServerProbe, ServersState } from './servers.ts';
import type { WireMessage } from './transport.ts';

/**
 * What Electron's preload script exposes as `window.hypervue`. Only plain functions and cloneable values, so that it passes through
 * `contextBridge` as it is.
 */
export interface DesktopBridge {
  /** `process.platform`. */
  readonly platform: string;
  /** Sends one contract message to the manager. */
  send(message: WireMessage): void;
  /** Calls back for every contract message from the manager. */
  onMessage(callback: (message: unknown) => void): void;
  /** Calls back when the manager process ended; the window then shows a banner. */
  onClose(callback: () => void): void;
  /**
   * Begins a new connection: to the remote server of this id, or to the manager of this computer. Answers with what went wrong, or null; the connection before is over in
   * any case.
   */
  connect(server: string | null): Promise<ErrorDto | null>;
  /** The remote servers that the app is attached to. */
  readonly servers: ServersBridge;
  /** `viewer` says who looks at a picture. Rejects when the machine is not running. */
  openChannel(kind: ChannelKind, vmId: string, viewer?: ViewerHello): Promise<DesktopChannel>;
  /** The system's file dialog; null when it was cancelled. */
  showOpenDialog(filters: DesktopFileFilter[]): Promise<string | null>;
  /** Where a file lies that was dropped on the window (a `File` of the page); empty when it is none of this computer's. */
  pathForFile(file: object): string;
}

/** A byte channel of a machine; the preload keeps the MessagePort and forwards its messages. */
export interface DesktopChannel {
  postMessage(bytes: Uint8Array): void;
  onMessage(callback: (bytes: Uint8Array) => void): void;
  onClose(callback: () => void): void;
  close(): void;
}

/** Extensions without the dot; `['*']` for all files. */
export interface DesktopFileFilter {
  name: string;
  extensions: string[];
}

/** An answer of the main process, since a rejection would come with Electron's own words before it. */
export type BridgeAnswer<T> = { result: T } | { error: ErrorDto };

/** How a server is added: its fingerprint is what somebody confirmed, null where an authority vouches for it. */
export interface ServerAddition {
  url: string;
  token: string;
  fingerprint: string | null;
  name: string;
}

export interface ServersBridge {
  state(): Promise<BridgeAnswer<ServersState>>;
  probe(address: string): Promise<BridgeAnswer<ServerProbe>>;
  add(server: ServerAddition): Promise<BridgeAnswer<RemoteServer>>;
  remove(id: string): Promise<BridgeAnswer<null>>;
  onChange(callback: () => void): void;
}
