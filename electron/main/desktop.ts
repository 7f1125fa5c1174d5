import path from 'node:path';
import type { IpcMainEvent, WebContents } from 'electron';
import type { DesktopFileFilter } from '../../core/contract/desktopbridge.ts';
import { type ChannelKind, channelKinds } from '../../core/contract/methods.ts';
import type { Manager } from '../../core/manager/manager.ts';
import { appFolders } from '../../core/platform/folders.ts';
import { appVersion } from '../../core/server/appversion.ts';
import { appResources, openManager } from '../../core/server/openmanager.ts';
import { asHypervueError, HypervueError } from '../../core/util/errors.ts';
import { IPC } from '../ipcnames.ts';
import { appProtocolHandler } from './appprotocol.ts';
import { ChannelBridge } from './channelbridge.ts';
import { WindowTransport } from './contractlink.ts';
import { desktopLog } from './desktoplog.ts';
import type { ElectronParts } from './electronparts.ts';
import { installMenu } from './menu.ts';
import { mayQuit } from './quitting.ts';
import { isOwnPage, lockDown } from './security.ts';
import { UtilityProcessLauncher } from './utilitylauncher.ts';
import { APP_ORIGIN, APP_SCHEME, Windows } from './windows.ts';

export interface DesktopPlaces {
  /** import.meta.url of the program's entry. */
  entry: string;
  /** The build's `out` folder. */
  outFolder: string;
}

/** Starts the desktop app. Returns when its window is up, or at once when another instance runs already and was brought to the front. */
export async function startDesktop(electron: ElectronParts, places: DesktopPlaces): Promise<void> {
  const { app } = electron;
  if (!app.requestSingleInstanceLock()) {
    app.quit();
    return;
  }
  electron.protocol.registerSchemesAsPrivileged([
    { scheme: APP_SCHEME, privileges: { standard: true, secure: true, supportFetchAPI: true } },
  ]);
  const folders = appFolders();
  const log = desktopLog(folders.config);
  await app.whenReady();
  lockDown(app, electron.session.defaultSession, APP_ORIGIN);
  const { rendererFolder } = appResources(places.entry);
  electron.protocol.handle(APP_SCHEME, appProtocolHandler(rendererFolder));

  let manager: Manager;
  try {
    manager = await openManager({
      folders,
      entry: places.entry,
      version: appVersion(places.entry),
      mode: 'desktop',
      log,
      launcher: new UtilityProcessLauncher(electron.utilityProcess, path.join(places.outFolder, 'main', 'vmprocess.js')),
    });
  } catch (error) {
    const failure = asHypervueError(error);
    log.error(failure.message);
    electron.dialog.showErrorBox('Hypervue can’t open its library', [failure.message, failure.fix].filter(Boolean).join('\n\n'));
    app.exit(1);
    return;
  }

  const links = new Map<WebContents, WindowTransport>();
  const link = (contents: WebContents) => {
    const connect = () => {
      const transport = new WindowTransport(contents);
      links.set(contents, transport);
      manager.connect(transport);
    };
    connect();
    contents.once('destroyed', () => links.delete(contents));
    contents.on('did-start-navigation', ({ isMainFrame, isSameDocument }) => {
      if (!isMainFrame || isSameDocument) return;
      links.get(contents)?.end();
      connect();
    });
    contents.on('render-process-gone', (_event, { reason }) => {
      if (reason === 'clean-exit') return;
      // Machines are elsewhere: the page can simply come back.
      log.error(`a window's page ended: ${reason}`);
      contents.reload();
    });
  };
  const windows = new Windows(electron.BrowserWindow, places.outFolder, link);
  listen(electron, manager, links);
  installMenu(electron, {
    showMain: () => void windows.showMain(),
    newMachine: () => void windows.showMain().then(() => windows.mainWindow?.webContents.executeJavaScript("location.hash = '#/new'")),
  });
  app.on('second-instance', () => void windows.showMain());
  app.on('activate', () => void windows.showMain());
  quitProperly(electron, manager, windows, log);
  await windows.showMain();
}

/** IPC from windows. Only the app's own pages are heard. */
function listen(electron: ElectronParts, manager: Manager, links: Map<WebContents, WindowTransport>): void {
  const { ipcMain } = electron;
  const own = (event: Pick<IpcMainEvent, 'senderFrame'>) => isOwnPage(event.senderFrame?.url ?? '', APP_ORIGIN);
  const channels = new ChannelBridge(electron.MessageChannelMain);
  ipcMain.on(IPC.message, (event, message: unknown) => {
    if (own(event)) links.get(event.sender)?.deliver(message);
  });
  ipcMain.handle(IPC.openChannel, async (event, kind: unknown, vmId: unknown) => {
    if (!own(event)) throw new HypervueError('permission-denied', 'this page does not belong to Hypervue');
    if (typeof vmId !== 'string' || !(channelKinds as readonly unknown[]).includes(kind))
      throw new HypervueError('invalid-argument', 'there is no such channel');
    return channels.offer(event.sender, await manager.openChannel(vmId, kind as ChannelKind));
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

/** What a page asked for, as far as it is well-formed. */
function fileFilters(value: unknown): DesktopFileFilter[] {
  if (!Array.isArray(value)) return [];
  return value
    .filter((item): item is DesktopFileFilter => typeof item?.name === 'string' && Array.isArray(item.extensions))
    .map(({ name, extensions }) => ({ name, extensions: extensions.filter((extension) => /^(\*|[\w.-]{1,16})$/.test(String(extension))) }));
}

/** Quitting asks about running machines first, then turns off what is left and flushes disks. */
function quitProperly(electron: ElectronParts, manager: Manager, windows: Windows, log: ReturnType<typeof desktopLog>): void {
  const { app } = electron;
  let state: 'running' | 'asking' | 'closed' = 'running';
  app.on('before-quit', (event) => {
    if (state === 'closed') return;
    event.preventDefault();
    if (state === 'asking') return;
    state = 'asking';
    mayQuit(electron, manager, log)
      .then(async (quit) => {
        if (!quit) {
          state = 'running';
          // The question may have come from closing the last window.
          await windows.showMain();
          return;
        }
        await manager.close();
        state = 'closed';
        app.quit();
      })
      .catch((error) => {
        state = 'running';
        log.error(asHypervueError(error).message);
      });
  });
  app.on('window-all-closed', () => {
    if (process.platform !== 'darwin') app.quit();
  });
}
