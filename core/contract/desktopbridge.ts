import type { ChannelKind } from './methods.ts';
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
  /** Rejects when the machine is not running. */
  openChannel(kind: ChannelKind, vmId: string): Promise<DesktopChannel>;
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
