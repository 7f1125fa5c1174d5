import type { ByteChannel, Transport } from '../../../core/contract/transport.ts';
import type { DesktopBridge, DesktopChannel } from '../../../core/contract/desktopbridge.ts';
import { type Link, LinkError } from './link.ts';
import { storeToken, takeToken } from './token.ts';
import { openWebSocketChannel } from './websocketchannel.ts';
import { openWebSocketTransport } from './websockettransport.ts';

/** Electron: contract messages and bytes travel over the preload bridge, to this computer's manager or to the remote server of this id; no token, no socket. */
export function desktopLink(bridge: DesktopBridge, server: string | null = null): Link {
  const transports = bridgeTransports(bridge);
  return {
    async connect() {
      const failure = await bridge.connect(server);
      if (failure) throw new LinkError('unreachable', failure.message, 0, failure.said);
      return transports();
    },
    openChannel: async (kind, vmId, viewer) => portChannel(await bridge.openChannel(kind, vmId, viewer)),
    // The system's dialog shows this computer's files; those of a remote server are browsed over the contract.
    chooseFile: server === null ? (filters) => bridge.showOpenDialog(filters) : null,
    // What is dropped here lies on this computer.
    pathOf: server === null ? (file) => bridge.pathForFile(file) : null,
    httpUrl: null,
    setToken: null,
  };
}

/** Headless mode: WebSockets to the server that served this page. */
export function webSocketLink(location: Location, history: History, storage: Storage): Link {
  let token = takeToken(location, history, storage);
  const base = new URL('.', location.href);
  const at = (path: string) => `${base.protocol === 'https:' ? 'wss:' : 'ws:'}//${base.host}${base.pathname}${path}`;
  return {
    async connect() {
      if (token === '') throw new LinkError('unauthorized', '');
      return openWebSocketTransport(at('contract'), token);
    },
    openChannel: (kind, vmId, viewer) => openWebSocketChannel(at(`channel/${kind}/${encodeURIComponent(vmId)}`), token, undefined, viewer),
    chooseFile: null,
    httpUrl: (path) => new URL(path, base).href,
    setToken(next) {
      token = next;
      storeToken(storage, next);
    },
  };
}

/** One subscription to the bridge, which lives as long as its window; its messages go to the latest transport. */
function bridgeTransports(bridge: DesktopBridge): () => Transport {
  let messages: ((message: unknown) => void)[] = [];
  let closes: (() => void)[] = [];
  bridge.onMessage((message) => {
    for (const listener of messages) listener(message);
  });
  bridge.onClose(() => {
    for (const listener of closes.splice(0)) listener();
  });
  return () => {
    messages = [];
    closes = [];
    const [own, ends] = [messages, closes];
    return {
      send: (message) => bridge.send(message),
      onMessage: (listener) => void own.push(listener),
      onClose: (listener) => void ends.push(listener),
      close() {
        // The bridge lives as long as its window.
      },
    };
  };
}

function portChannel(port: DesktopChannel): ByteChannel {
  return {
    send(bytes) {
      port.postMessage(bytes);
      return true;
    },
    onData: (listener) => port.onMessage(listener),
    onDrain() {
      // A message port has no back pressure to report: `send` never asks to wait.
    },
    onClose: (listener) => port.onClose(listener),
    close: () => port.close(),
  };
}
