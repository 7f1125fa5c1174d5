import type { IpcMainEvent, MessageChannelMain as MessageChannelMainClass, MessagePortMain, WebContents } from 'electron';
import type { ByteChannel } from '../../core/contract/transport.ts';
import { IPC } from '../ipcnames.ts';

/** A channel that waits for its window to listen. */
interface Pending {
  contents: WebContents;
  channel: ByteChannel;
}

/** Carries byte channels of machines to windows over message ports. */
export class ChannelBridge {
  private readonly MessageChannelMain: typeof MessageChannelMainClass;
  private readonly pending = new Map<number, Pending>();
  private nextId = 1;

  constructor(MessageChannelMain: typeof MessageChannelMainClass) {
    this.MessageChannelMain = MessageChannelMain;
  }

  /** Remembers an open channel until its window asks for the port; returns its id. */
  offer(contents: WebContents, channel: ByteChannel): number {
    const id = this.nextId++;
    this.pending.set(id, { contents, channel });
    contents.once('destroyed', () => channel.close());
    return id;
  }

  /** The window listens: hand the port over and connect it. */
  ready(event: Pick<IpcMainEvent, 'sender'>, id: number): void {
    const pending = this.pending.get(id);
    if (!pending || pending.contents !== event.sender) return;
    this.pending.delete(id);
    const { port1, port2 } = new this.MessageChannelMain();
    pending.contents.postMessage(IPC.channelPort, id, [port2]);
    connect(port1, pending.channel);
  }
}

function connect(port: MessagePortMain, channel: ByteChannel): void {
  let open = true;
  const end = (tell: boolean) => {
    if (!open) return;
    open = false;
    if (tell) port.postMessage(null);
    port.close();
    channel.close();
  };
  channel.onData((bytes) => {
    if (open) port.postMessage(bytes);
  });
  channel.onClose(() => end(true));
  port.on('message', ({ data }) => {
    if (data === null) end(false);
    else if (data instanceof Uint8Array) channel.send(data);
  });
  port.on('close', () => end(false));
  port.start();
}
