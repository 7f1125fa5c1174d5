import type { MessageChannelMain as MessageChannelMainClass, MessagePortMain, WebContents } from 'electron';
import type { ByteChannel } from '../../core/contract/transport.ts';
import { IPC } from '../ipcnames.ts';

/** Bytes a page has not taken yet before the machine's side is paused, and where it goes on: the same as headless mode's WebSockets have. */
const HIGH_WATER = 1024 * 1024;
const LOW_WATER = 256 * 1024;

/**
 * Carries byte channels of machines to windows over message ports. A port queues without bound and says nothing about it, so the page counts: for
 * bytes it took it answers with their number. `null` is goodbye, either way.
 */
export class ChannelBridge {
  private readonly MessageChannelMain: typeof MessageChannelMainClass;
  /** Open channels by page, and which of them the page has not asked for yet. */
  private readonly pages = new Map<WebContents, { open: Set<ByteChannel>; offered: Map<number, ByteChannel> }>();
  private nextId = 1;

  constructor(MessageChannelMain: typeof MessageChannelMainClass) {
    this.MessageChannelMain = MessageChannelMain;
  }

  /** Remembers an open channel until its page asks for the port; returns its id. */
  offer(contents: WebContents, channel: ByteChannel): number {
    const id = this.nextId++;
    let page = this.pages.get(contents);
    if (!page) {
      page = { open: new Set(), offered: new Map() };
      this.pages.set(contents, page);
    }
    const { open, offered } = page;
    open.add(channel);
    offered.set(id, channel);
    channel.onClose(() => open.delete(channel));
    return id;
  }

  /** The page listens: hand the port over and connect it. */
  ready(contents: WebContents, id: number): void {
    const offered = this.pages.get(contents)?.offered;
    const channel = offered?.get(id);
    if (!channel) return;
    offered!.delete(id);
    const { port1, port2 } = new this.MessageChannelMain();
    contents.postMessage(IPC.channelPort, id, [port2]);
    connect(port1, channel);
  }

  /** The page is gone, perhaps for another in the same window: nobody listens to its channels any more. */
  drop(contents: WebContents): void {
    const page = this.pages.get(contents);
    this.pages.delete(contents);
    for (const channel of [...(page?.open ?? [])]) channel.close();
  }
}

function connect(port: MessagePortMain, channel: ByteChannel): void {
  let open = true;
  let waiting = 0;
  let paused = false;
  const end = (tell: boolean) => {
    if (!open) return;
    open = false;
    if (tell) port.postMessage(null);
    port.close();
    channel.close();
  };
  channel.onData((bytes) => {
    if (!open) return;
    port.postMessage(bytes);
    waiting += bytes.length;
    if (paused || waiting <= HIGH_WATER) return;
    paused = true;
    channel.pause?.();
  });
  channel.onClose(() => end(true));
  port.on('message', ({ data }) => {
    if (data === null) end(false);
    else if (data instanceof Uint8Array) channel.send(data);
    else if (Number.isSafeInteger(data) && data > 0) {
      waiting = Math.max(0, waiting - data);
      if (!paused || waiting > LOW_WATER) return;
      paused = false;
      channel.resume?.();
    }
  });
  port.on('close', () => end(false));
  port.start();
}
