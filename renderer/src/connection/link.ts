import type { ViewerHello } from '../../../core/contract/console.ts';
import type { ChannelKind } from '../../../core/contract/methods.ts';
import type { ByteChannel, Transport } from '../../../core/contract/transport.ts';
import type { Said } from '../../../core/contract/said.ts';
import type { DesktopFileFilter } from '../../../core/contract/desktopbridge.ts';

/** One way to reach a manager: desktop bridge, WebSocket, or the mock of the development page. */
export interface Link {
  /** Resolves when the manager accepted us; rejects with LinkError. */
  connect(): Promise<Transport>;
  openChannel(kind: ChannelKind, vmId: string, viewer?: ViewerHello): Promise<ByteChannel>;
  /** The system's file dialog, where there is one; otherwise the app browses the manager's folders itself. */
  readonly chooseFile: ((filters: DesktopFileFilter[]) => Promise<string | null>) | null;
  /** Path of a file that was dropped on a desktop window; null in a browser, which tells none. */
  readonly pathOf?: ((file: File) => string) | null;
  /** Address of a path of the server that serves the app, for files; null where there is none. */
  readonly httpUrl: ((path: string) => string) | null;
  /** Uses another access token from now on; null where tokens are not used. */
  readonly setToken: ((token: string) => void) | null;
}

export class LinkError extends Error {
  /** `unauthorized`: ask for a token. `unreachable`: try again later. */
  readonly kind: 'unauthorized' | 'unreachable';
  /** Another try makes no sense before so many seconds. */
  readonly waitSeconds: number;
  /** The message for readers of other languages, where it comes from the manager's texts. */
  readonly said: Said | undefined;

  constructor(kind: LinkError['kind'], message: string, waitSeconds = 0, said?: Said) {
    super(message);
    this.said = said;
    this.name = 'LinkError';
    this.kind = kind;
    this.waitSeconds = waitSeconds;
  }
}
