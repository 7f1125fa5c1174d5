import type { ViewerHello } from '../../../core/contract/console.ts';
import type { ByteChannel } from '../../../core/contract/transport.ts';
import { LinkError } from './link.ts';
import { base64Url } from './token.ts';

/** Bytes the browser may hold unsent before `send` asks the producer to wait. */
const highWater = 4 * 1024 * 1024;
const drainPollMs = 20;

/** Opens a byte channel of a machine over its own WebSocket with binary frames. */
export function openWebSocketChannel(
  url: string,
  token: string,
  makeSocket = (u: string, protocols: string[]) => new WebSocket(u, protocols),
  viewer?: ViewerHello,
): Promise<ByteChannel> {
  return new Promise((resolve, reject) => {
    const socket = makeSocket(url, [
      'hypervue.channel',
      `token.${base64Url(token)}`,
      ...(viewer ? [`viewer.${base64Url(JSON.stringify(viewer))}`] : []),
    ]);
    socket.binaryType = 'arraybuffer';
    const dataListeners: ((bytes: Uint8Array) => void)[] = [];
    const drainListeners: (() => void)[] = [];
    const closeListeners: (() => void)[] = [];
    /** Bytes that arrived before anybody listened: RFB servers speak first. */
    let early: Uint8Array[] | null = [];
    let open = false;
    let closed = false;
    let drainTimer: ReturnType<typeof setTimeout> | undefined;

    const pollDrain = () => {
      drainTimer = undefined;
      if (closed) return;
      if (socket.bufferedAmount < highWater / 2) for (const listener of drainListeners) listener();
      else drainTimer = setTimeout(pollDrain, drainPollMs);
    };

    const channel: ByteChannel = {
      send(bytes) {
        if (socket.readyState !== 1) return true;
        socket.send(bytes as Uint8Array<ArrayBuffer>);
        if (socket.bufferedAmount < highWater) return true;
        drainTimer ??= setTimeout(pollDrain, drainPollMs);
        return false;
      },
      onData(listener) {
        dataListeners.push(listener);
        const waiting = early;
        early = null;
        for (const bytes of waiting ?? []) listener(bytes);
      },
      onDrain: (listener) => void drainListeners.push(listener),
      onClose(listener) {
        if (closed) listener();
        else closeListeners.push(listener);
      },
      close: () => socket.close(),
    };

    socket.onopen = () => {
      open = true;
      resolve(channel);
    };
    socket.onmessage = (event: MessageEvent) => {
      if (!(event.data instanceof ArrayBuffer)) return;
      const bytes = new Uint8Array(event.data);
      if (early) early.push(bytes);
      else for (const listener of dataListeners) listener(bytes);
    };
    socket.onclose = (event: CloseEvent) => {
      closed = true;
      clearTimeout(drainTimer);
      if (open) for (const listener of closeListeners.splice(0)) listener();
      else reject(new LinkError('unreachable', event.reason));
    };
  });
}
