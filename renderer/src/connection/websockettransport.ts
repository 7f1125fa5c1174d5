import type { Transport, WireMessage } from '../../../core/contract/transport.ts';
import { LinkError } from './link.ts';

/** Close code of the server for a missing or wrong token. */
export const closeUnauthorized = 4401;
/** And for too many wrong ones from this address; the reason ends in the seconds to wait. */
export const closeTooMany = 4429;

/** Opens the contract socket: sends the token, resolves at `{ type: 'ready' }`, rejects with LinkError when it closes before. */
export function openWebSocketTransport(url: string, token: string, makeSocket = (u: string) => new WebSocket(u)): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const socket = makeSocket(url);
    let ready = false;
    let closed = false;
    const messageListeners: ((message: unknown) => void)[] = [];
    const closeListeners: (() => void)[] = [];

    const transport: Transport = {
      send(message: WireMessage) {
        if (socket.readyState === 1) socket.send(JSON.stringify(message));
      },
      onMessage: (listener) => void messageListeners.push(listener),
      onClose: (listener) => {
        if (closed) listener();
        else closeListeners.push(listener);
      },
      close: () => socket.close(),
    };

    socket.onopen = () => socket.send(JSON.stringify({ type: 'auth', token }));
    socket.onmessage = (event: MessageEvent) => {
      const message = parse(event.data);
      if (ready) {
        for (const listener of messageListeners) listener(message);
        return;
      }
      if (typeof message === 'object' && message !== null && (message as { type?: unknown }).type === 'ready') {
        ready = true;
        resolve(transport);
      }
    };
    socket.onclose = (event: CloseEvent) => {
      closed = true;
      if (ready) for (const listener of closeListeners.splice(0)) listener();
      else if (event.code === closeTooMany)
        reject(new LinkError('unauthorized', event.reason, Number(/(\d+) s$/.exec(event.reason)?.[1] ?? 60)));
      else reject(new LinkError(event.code === closeUnauthorized ? 'unauthorized' : 'unreachable', event.reason));
    };
  });
}

function parse(data: unknown): unknown {
  if (typeof data !== 'string') return null;
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
