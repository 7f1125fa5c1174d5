import { contextBridge, ipcRenderer, webUtils } from 'electron';
import type { DesktopBridge, DesktopChannel, DesktopFileFilter } from '../../core/contract/desktopbridge.ts';
import { IPC } from '../ipcnames.ts';

/**
 * The one generic bridge between the sandboxed window and the main process: contract messages, byte channels, the file dialog. It knows no method
 * names; the contract's own table is the allowlist (core/contract/methods.ts).
 */
const bridge: DesktopBridge = {
  platform: process.platform,
  send: (message) => ipcRenderer.send(IPC.message, message),
  onMessage: (callback) => {
    ipcRenderer.on(IPC.message, (_event, message) => callback(message));
  },
  onClose: (callback) => {
    ipcRenderer.on(IPC.closed, () => callback());
  },
  connect: (server) => ipcRenderer.invoke(IPC.connect, server),
  servers: {
    state: () => ipcRenderer.invoke(IPC.servers, 'state', null),
    probe: (address) => ipcRenderer.invoke(IPC.servers, 'probe', address),
    add: (server) => ipcRenderer.invoke(IPC.servers, 'add', server),
    remove: (id) => ipcRenderer.invoke(IPC.servers, 'remove', id),
    onChange: (callback) => {
      ipcRenderer.on(IPC.serversChanged, () => callback());
    },
  },
  openChannel: async (kind, vmId, viewer) => {
    const id = (await ipcRenderer.invoke(IPC.openChannel, kind, vmId, viewer)) as number | { error: string };
    if (typeof id !== 'number') throw new Error(id.error);
    return new Promise<DesktopChannel>((resolve) => {
      const take = (event: Electron.IpcRendererEvent, portId: number) => {
        if (portId !== id) return;
        ipcRenderer.off(IPC.channelPort, take);
        resolve(channelOver(event.ports[0] as unknown as PagePort));
      };
      ipcRenderer.on(IPC.channelPort, take);
      ipcRenderer.send(IPC.channelReady, id);
    });
  },
  showOpenDialog: (filters: DesktopFileFilter[]) => ipcRenderer.invoke(IPC.openDialog, filters) as Promise<string | null>,
  pathForFile: (file) => webUtils.getPathForFile(file as Parameters<typeof webUtils.getPathForFile>[0]),
};

/** The parts of the page's MessagePort that are used here; this file is checked without the DOM's types. */
interface PagePort {
  postMessage(message: unknown): void;
  onmessage: ((event: { data: unknown }) => void) | null;
  close(): void;
}

function channelOver(port: PagePort): DesktopChannel {
  let closed: (() => void) | undefined;
  return {
    postMessage: (bytes) => port.postMessage(bytes),
    onMessage: (callback) => {
      port.onmessage = (event) => {
        // A null message is the other side's goodbye: MessagePort has no close event of its own here.
        if (event.data === null) {
          port.close();
          closed?.();
          return;
        }
        const bytes = event.data as Uint8Array;
        const { length } = bytes;
        callback(bytes);
        // The main process holds the machine back while a slow page has too much before it.
        port.postMessage(length);
      };
    },
    onClose: (callback) => {
      closed = callback;
    },
    close: () => {
      port.postMessage(null);
      port.close();
    },
  };
}

contextBridge.exposeInMainWorld('hypervue', bridge);
