import type { WebContents } from 'electron';
import type { Transport, WireMessage } from '../../core/contract/transport.ts';
import { IPC } from '../ipcnames.ts';

/** The contract's Transport to one window. */
export class WindowTransport implements Transport {
  private readonly contents: WebContents;
  private readonly messageListeners: ((message: unknown) => void)[] = [];
  private readonly closeListeners: (() => void)[] = [];
  private open = true;

  constructor(contents: WebContents) {
    this.contents = contents;
    contents.once('destroyed', () => this.end());
  }

  /** The page is gone, perhaps for another in the same window: answers to its calls must not reach that one. */
  end(): void {
    if (!this.open) return;
    this.open = false;
    for (const listener of this.closeListeners) listener();
  }

  send(message: WireMessage): void {
    if (this.open && !this.contents.isDestroyed()) this.contents.send(IPC.message, message);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.messageListeners.push(listener);
  }

  onClose(listener: () => void): void {
    this.closeListeners.push(listener);
  }

  close(): void {
    if (!this.open) return;
    this.end();
    if (!this.contents.isDestroyed()) this.contents.send(IPC.closed);
  }

  /** A message came from this window. */
  deliver(message: unknown): void {
    if (this.open) for (const listener of this.messageListeners) listener(message);
  }
}
