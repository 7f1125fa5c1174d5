import type { WebContents } from 'electron';
import type { Transport, WireMessage } from '../../core/contract/transport.ts';
import { IPC } from '../ipcnames.ts';

/** The contract's Transport to one window. */
export class WindowTransport implements Transport {
  private readonly contents: WebContents;
  private readonly messageListeners: ((message: unknown) => void)[] = [];
  private readonly closeListeners: (() => void)[] = [];

  constructor(contents: WebContents) {
    this.contents = contents;
    contents.once('destroyed', () => {
      for (const listener of this.closeListeners) listener();
    });
  }

  send(message: WireMessage): void {
    if (!this.contents.isDestroyed()) this.contents.send(IPC.message, message);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.messageListeners.push(listener);
  }

  onClose(listener: () => void): void {
    this.closeListeners.push(listener);
  }

  close(): void {
    if (!this.contents.isDestroyed()) this.contents.send(IPC.closed);
  }

  /** A message came from this window. */
  deliver(message: unknown): void {
    for (const listener of this.messageListeners) listener(message);
  }
}
