import type { IpcMainEvent } from 'electron';
import { z } from 'zod';
import { viewerHelloSchema } from '../../core/contract/console.ts';
import type { BridgeAnswer, DesktopFileFilter } from '../../core/contract/desktopbridge.ts';
import type { ErrorDto } from '../../core/contract/errors.ts';
import { type ChannelKind, channelKinds } from '../../core/contract/methods.ts';
import type { Manager } from '../../core/manager/manager.ts';
import { serverIdSchema } from '../../core/contract/servers.ts';
import type { RemoteServers } from '../../core/server/remote/servers.ts';
import { asHypervueError, HypervueError } from '../../core/util/errors.ts';
import { IPC } from '../ipcnames.ts';
import type { ChannelBridge } from './channelbridge.ts';
import type { ElectronParts } from './electronparts.ts';
import type { Pages } from './pages.ts';
import { isOwnPage } from './security.ts';
import { APP_ORIGIN } from './windows.ts';

/** A file dialog with more kinds of files than this is nothing of ours. */
const MAX_FILTERS = 16;

/** Answers messages from windows. Only the app's own pages are heard. */
export function listen(
  electron: Pick<ElectronParts, 'ipcMain' | 'BrowserWindow' | 'dialog'>,
  manager: Pick<Manager, 'openChannel'>,
  pages: Pages,
  channels: ChannelBridge,
  servers: RemoteServers,
): void {
  const { ipcMain } = electron;
  const own = (event: Pick<IpcMainEvent, 'senderFrame'>) => isOwnPage(event.senderFrame?.url ?? '', APP_ORIGIN);
  ipcMain.on(IPC.message, (event, message: unknown) => {
    if (own(event)) pages.deliver(event.sender, message);
  });
  // An answer instead of a rejection: Electron would put the name of the IPC call before the message that people read.
  ipcMain.handle(IPC.openChannel, async (event, kind: unknown, vmId: unknown, viewer: unknown): Promise<number | { error: string }> => {
    const { sender } = event;
    if (!own(event)) return { error: 'this page does not belong to Hypervue' };
    if (typeof vmId !== 'string' || !(channelKinds as readonly unknown[]).includes(kind)) return { error: 'there is no such channel' };
    const page = pages.current(sender);
    try {
      const hello = viewerHelloSchema.safeParse(viewer).data;
      const server = pages.server(sender);
      const channel =
        server === undefined
          ? await manager.openChannel(vmId, kind as ChannelKind, hello)
          : await servers.openChannel(server, kind as ChannelKind, vmId, hello);
      if (page && page === pages.current(sender)) return channels.offer(sender, channel);
      // The page went while the machine answered, and nobody would ever close it.
      channel.close();
      return { error: 'the page is gone' };
    } catch (error) {
      return { error: asHypervueError(error).message };
    }
  });
  ipcMain.handle(IPC.connect, async (event, server: unknown): Promise<ErrorDto | null> => {
    if (!own(event)) return forbidden;
    try {
      if (server === null) pages.connectHere(event.sender);
      else {
        const id = serverIdSchema.parse(server);
        await pages.connectThere(event.sender, id, () => servers.connect(id));
      }
      return null;
    } catch (error) {
      return asHypervueError(error).toJSON();
    }
  });
  ipcMain.handle(IPC.servers, async (event, verb: unknown, params: unknown): Promise<BridgeAnswer<unknown>> => {
    if (!own(event)) return { error: forbidden };
    try {
      return { result: await serverVerb(servers, verb, params) };
    } catch (error) {
      return { error: asHypervueError(error).toJSON() };
    }
  });
  ipcMain.on(IPC.channelReady, (event, id: unknown) => {
    if (own(event) && typeof id === 'number') channels.ready(event.sender, id);
  });
  ipcMain.handle(IPC.openDialog, async (event, filters: unknown) => {
    if (!own(event)) return null;
    const window = electron.BrowserWindow.fromWebContents(event.sender);
    const options = { properties: ['openFile' as const], filters: fileFilters(filters) };
    const { canceled, filePaths } = await (window
      ? electron.dialog.showOpenDialog(window, options)
      : electron.dialog.showOpenDialog(options));
    return canceled ? null : (filePaths[0] ?? null);
  });
}

const forbidden = new HypervueError('permission-denied', 'this page does not belong to Hypervue').toJSON();

const addressSchema = z.string().min(1).max(4096);
const additionSchema = z.object({
  url: addressSchema,
  token: z.string().min(1).max(512),
  fingerprint: z
    .string()
    .regex(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
    .nullable(),
  name: z.string().max(100),
});

/** What a page may do with remote servers. Parameters are as hostile as those of the contract. */
async function serverVerb(servers: RemoteServers, verb: unknown, params: unknown): Promise<unknown> {
  const parse = <T>(schema: z.ZodType<T>): T => {
    const parsed = schema.safeParse(params);
    if (parsed.success) return parsed.data;
    throw new HypervueError('invalid-argument', parsed.error.issues[0]?.message ?? 'the request is not valid', {
      operation: String(verb).slice(0, 64),
    });
  };
  switch (verb) {
    case 'state':
      return servers.state;
    case 'probe':
      return servers.probe(parse(addressSchema));
    case 'add': {
      const { url, token, fingerprint, name } = parse(additionSchema);
      return servers.add(url, token, fingerprint, name);
    }
    case 'remove':
      await servers.remove(parse(serverIdSchema));
      return null;
    default:
      throw new HypervueError('unsupported', 'there is no such request', { operation: String(verb).slice(0, 64) });
  }
}

/** What a page asked for, as far as it is well-formed. */
export function fileFilters(value: unknown): DesktopFileFilter[] {
  if (!Array.isArray(value)) return [];
  return value
    .slice(0, MAX_FILTERS)
    .filter((item): item is DesktopFileFilter => typeof item?.name === 'string' && Array.isArray(item.extensions))
    .map(({ name, extensions }) => ({
      name: name.slice(0, 100),
      extensions: extensions.filter((extension) => typeof extension === 'string' && /^(\*|[\w.-]{1,16})$/.test(extension)),
    }))
    .filter(({ extensions }) => extensions.length > 0);
}
