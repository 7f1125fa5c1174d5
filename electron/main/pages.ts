import type { WebContents } from 'electron';
import type { Manager } from '../../core/manager/manager.ts';
import type { Logger } from '../../core/util/logger.ts';
import type { ChannelBridge } from './channelbridge.ts';
import type { Transport } from '../../core/contract/transport.ts';
import { WindowTransport } from './contractlink.ts';

/** A page that ends this often within this time has a fault that loading it again does not mend. */
const MAX_CRASHES = 3;
const CRASH_WINDOW_MS = 60_000;

export interface PagesOptions {
  manager: Pick<Manager, 'connect'>;
  channels: ChannelBridge;
  log: Logger;
  now: () => number;
  /** The page keeps crashing. Resolves with whether to load it once more; otherwise its window is closed. */
  askToReload: (contents: WebContents) => Promise<boolean>;
}

/** The manager's connections to pages. Each page has its own, also one that follows another in the same window. */
export class Pages {
  private readonly options: PagesOptions;
  private readonly links = new Map<WebContents, WindowTransport>();
  /** Pages that show a remote server. */
  private readonly servers = new Map<WebContents, string>();

  constructor(options: PagesOptions) {
    this.options = options;
  }

  /** A contract message from a page. */
  deliver(contents: WebContents, message: unknown): void {
    this.links.get(contents)?.deliver(message);
  }

  /** Stands for the page a window shows now: another object once another page is there. */
  current(contents: WebContents): object | undefined {
    return this.links.get(contents);
  }

  /** The remote server that a page shows; undefined for this computer. */
  server(contents: WebContents): string | undefined {
    return this.servers.get(contents);
  }

  /** The page wants to talk to this computer's manager, from the beginning. */
  connectHere(contents: WebContents): void {
    this.letGo(contents);
    this.connect(contents);
  }

  /** What the page says goes to a remote server from now on. `opened` signs in there; rejects as that does. */
  async connectThere(contents: WebContents, server: string, opened: () => Promise<Transport>): Promise<void> {
    this.letGo(contents);
    const transport = new WindowTransport(contents);
    this.links.set(contents, transport);
    this.servers.set(contents, server);
    const remote = await opened();
    // Another page, or another wish of this one, came first.
    if (this.links.get(contents) !== transport) {
      remote.close();
      return;
    }
    transport.onMessage((message) => remote.send(message as never));
    transport.onClose(() => remote.close());
    remote.onMessage((message) => transport.send(message as never));
    remote.onClose(() => transport.close());
  }

  /** Connects what a window shows, now and later. */
  adopt(contents: WebContents): void {
    this.connect(contents);
    contents.once('destroyed', () => this.letGo(contents));
    contents.on('did-start-navigation', ({ isMainFrame, isSameDocument }) => {
      if (!isMainFrame || isSameDocument) return;
      this.letGo(contents);
      this.connect(contents);
    });
    const crashes: number[] = [];
    contents.on('render-process-gone', (_event, { reason }) => {
      this.letGo(contents);
      if (reason === 'clean-exit') return;
      const { log, now } = this.options;
      log.error(`a window's page ended: ${reason}`);
      crashes.push(now());
      if (crashes.length > MAX_CRASHES) crashes.shift();
      // Machines are elsewhere: the page can simply come back.
      const rarely = crashes.length < MAX_CRASHES || crashes.at(-1)! - crashes[0]! > CRASH_WINDOW_MS;
      // Not from within the event: Chromium is still clearing the old page away.
      setImmediate(() => void this.comeBack(contents, rarely));
    });
  }

  private async comeBack(contents: WebContents, unasked: boolean): Promise<void> {
    const again = unasked || (await this.options.askToReload(contents));
    if (contents.isDestroyed()) return;
    if (again) contents.reload();
    else contents.close();
  }

  private connect(contents: WebContents): void {
    const transport = new WindowTransport(contents);
    this.links.set(contents, transport);
    this.options.manager.connect(transport);
  }

  private letGo(contents: WebContents): void {
    this.links.get(contents)?.end();
    this.links.delete(contents);
    this.servers.delete(contents);
    this.options.channels.drop(contents);
  }
}
