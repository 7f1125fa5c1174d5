import type { ByteChannel, Transport } from '../../../core/contract/transport.ts';
import type { DesktopBridge, DesktopChannel } from '../../../core/contract/desktopbridge.ts';
import { type Link, LinkError } from './link.ts';
import { storeToken, takeToken } from './token.ts';
import { openWebSocketChannel } from './websocketchannel.ts';
import { openWebSocketTransport } from './websockettransport.ts';

/** Electron: contract messages and bytes travel over the preload bridge; no token, no socket. */
export function desktopLink(bridge: DesktopBridge): Link {
  return {
    connect: async () => portTransport(bridge),
    openChannel: async (kind, vmId) => portChannel(await bridge.openChannel(kind, vmId)),
    chooseFile: (filters) => bridge.showOpenDialog(filters),
    pathOf: (file) => bridge.pathForFile(file),
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
    openChannel: (kind, vmId) => openWebSocketChannel(at(`channel/${kind}/${encodeURIComponent(vmId)}`), token),
    chooseFile: null,
    httpUrl: (path) => new URL(path, base).href,
    setToken(next) {
      token = next;
      storeToken(storage, next);
    },
  };
}

export function portTransport(bridge: DesktopBridge): Transport {
  return {
    send: (message) => bridge.send(message),
    onMessage: (listener) => bridge.onMessage(listener),
    onClose: (listener) => bridge.onClose(listener),
    close() {
      // The bridge lives as long as its window.
    },
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
