import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Manager } from '../../core/manager/manager.ts';
import { chooseLibrary } from '../../core/platform/chosenlibrary.ts';
import { type AppFolders, appFolders } from '../../core/platform/folders.ts';
import { appVersion } from '../../core/server/appversion.ts';
import { appResources, openManager } from '../../core/server/openmanager.ts';
import { takePending } from '../../core/server/remote/pending.ts';
import { RemoteServers } from '../../core/server/remote/servers.ts';
import { asHypervueError } from '../../core/util/errors.ts';
import { type Logger, nullLogger } from '../../core/util/logger.ts';
import { IPC } from '../ipcnames.ts';
import { appProtocolHandler } from './appprotocol.ts';
import { ChannelBridge } from './channelbridge.ts';
import { desktopLog, logFile } from './desktoplog.ts';
import type { ElectronParts } from './electronparts.ts';
import { Inbox } from './inbox.ts';
import { listen } from './ipc.ts';
import { ManagerWatch } from './managerwatch.ts';
import { menuTemplate } from './menu.ts';
import { notifyOf } from './notifications.ts';
import { openLibrary } from './openlibrary.ts';
import { LINK_SCHEME, SERVERS_PAGE } from './openrequests.ts';
import { Pages } from './pages.ts';
import { Preferences } from './preferences.ts';
import { quitProperly } from './quitting.ts';
import { Secrets } from './secrets.ts';
import { lockDown } from './security.ts';
import { type Texts, textsFor } from './texts.ts';
import { AppTray } from './tray.ts';
import { trayIcons } from './icons.ts';
import { UtilityProcessLauncher } from './utilitylauncher.ts';
import { APP_ORIGIN, APP_SCHEME, Windows } from './windows.ts';
import { WindowState } from './windowstate.ts';

/** Below the configuration: what Chromium keeps of the windows. */
const PROFILE_FOLDER = 'browser';
/** The window that chose another library has its answer within this. */
const ANSWERED_MS = 200;

export interface DesktopPlaces {
  /** import.meta.url of the program's entry. */
  entry: string;
  /** The build's `out` folder. */
  outFolder: string;
}

/** Starts the desktop app. Returns when its window is up, or at once when another instance runs already and was brought to the front. */
export async function startDesktop(electron: ElectronParts, places: DesktopPlaces): Promise<void> {
  const { app } = electron;
  let folders: AppFolders;
  try {
    folders = appFolders();
  } catch (error) {
    fail(electron, nullLogger, textsFor('system', app.getPreferredSystemLanguages()), 'noLibrary', error);
    return;
  }
  const log = desktopLog(folders.config);
  process.on('uncaughtExceptionMonitor', (error) => log.error(error.stack ?? error.message));
  try {
    // The lock of the single instance lies there too: programs with libraries of their own don't count as one.
    const profile = path.join(folders.config, PROFILE_FOLDER);
    mkdirSync(profile, { recursive: true, mode: 0o700 });
    app.setPath('userData', profile);
  } catch (error) {
    fail(electron, log, textsFor('system', app.getPreferredSystemLanguages()), 'noFolder', error);
    return;
  }
  // A second start hands its arguments over and ends.
  if (!app.requestSingleInstanceLock()) {
    app.quit();
    return;
  }
  const inbox = new Inbox(app);
  electron.protocol.registerSchemesAsPrivileged([
    { scheme: APP_SCHEME, privileges: { standard: true, secure: true, supportFetchAPI: true } },
  ]);
  await app.whenReady();
  const words = () => textsFor('system', app.getPreferredSystemLanguages());
  lockDown(app, electron.session.defaultSession, APP_ORIGIN);
  electron.protocol.handle(APP_SCHEME, appProtocolHandler(appResources(places.entry).rendererFolder));

  const version = appVersion(places.entry);
  log.info(`Hypervue ${version} starts with the library ${folders.library}`);
  const open = (now: AppFolders) =>
    openManager({
      folders: now,
      entry: places.entry,
      version,
      mode: 'desktop',
      log,
      launcher: new UtilityProcessLauncher(electron.utilityProcess, path.join(places.outFolder, 'main', 'vmprocess.js')),
      networkLauncher: new UtilityProcessLauncher(electron.utilityProcess, path.join(places.outFolder, 'main', 'netprocess.js'), 'network'),
      changeLibrary: async (folder) => {
        await chooseLibrary(folders.config, folder);
        setTimeout(() => beginAgain(app), ANSWERED_MS);
      },
    });
  let manager: Manager | undefined;
  try {
    manager = await openLibrary(electron, words(), folders, open);
  } catch (error) {
    fail(electron, log, words(), 'noLibrary', error);
    return;
  }
  if (!manager) {
    app.exit(1);
    return;
  }

  const watch = new ManagerWatch(manager);
  const preferences = await Preferences.open(electron, manager, watch);
  const texts = () => preferences.texts;
  const channels = new ChannelBridge(electron.MessageChannelMain);
  const pages = new Pages({ manager, channels, log, now: Date.now, askToReload: () => askToReload(electron, texts()) });
  const state = new WindowState(folders.config, () => electron.screen.getAllDisplays().map(({ workArea }) => workArea), log);
  const windows = new Windows(electron.BrowserWindow, places.outFolder, state, (contents) => pages.adopt(contents));
  const show = (hash?: string) => windows.showMain(hash).catch((error) => log.error(`the window: ${asHypervueError(error).message}`));
  const servers = await RemoteServers.open(folders.config, new Secrets(electron.safeStorage, folders.config, log), log);
  servers.onChange(() => {
    for (const window of electron.BrowserWindow.getAllWindows()) window.webContents.send(IPC.serversChanged);
  });
  listen(electron, manager, pages, channels, servers);
  const takeAttachments = () => takePending(folders.config, servers, log);
  void takeAttachments();
  const actions = { show: (hash?: string) => void show(hash), quit: () => quitting.quitFromTray() };
  const tray = new AppTray(electron, trayIcons(places.entry), manager, texts, actions, log);
  tray.open();
  const setMenu = () =>
    electron.Menu.setApplicationMenu(
      electron.Menu.buildFromTemplate(
        menuTemplate(process.platform, texts(), {
          showMain: () => void show(),
          newMachine: () => void show('#/new'),
          about: () => void show('#/about'),
          showLog: () => electron.shell.showItemInFolder(logFile(folders.config)),
        }),
      ),
    );
  setMenu();
  preferences.onChange(() => {
    setMenu();
    tray.changed();
  });
  watch.on('vm.changed', () => tray.changed());
  watch.on('vm.removed', () => tray.changed());
  const machines = await manager.handlers['vm.list']({});
  notifyOf(electron, watch, { texts, wanted: () => preferences.current.notifications, machines, show: actions.show });
  app.on('activate', () => void show());
  const quitting = quitProperly(electron, manager, log, {
    texts,
    stay: () => void show(),
    hide: tray.available ? () => windows.closeAll() : undefined,
    remembered: () => preferences.current.whenQuitting,
    remember: (whenQuitting) =>
      void manager.handlers['settings.set']({ whenQuitting }).catch((error) => log.warn(`the choice was not kept: ${String(error)}`)),
  });
  app.on('quit', () => {
    tray.close();
    servers.close();
  });
  registerLinks(app, log);
  const first = inbox.open((page) => {
    // The command line left a server to attach to, and calls.
    if (page === SERVERS_PAGE) void takeAttachments();
    void show(page);
  });
  await show(first);
  void manager.autostart();
}

/** Nothing can be done without it: say why, and end. */
function fail(
  electron: Pick<ElectronParts, 'app' | 'dialog'>,
  log: Logger,
  texts: Texts,
  what: 'noFolder' | 'noLibrary',
  error: unknown,
): void {
  const { message, said, fix, saidFix } = asHypervueError(error);
  log.error(`${texts[what]}: ${message}`);
  electron.dialog.showErrorBox(texts[what], [texts.say(message, said), fix && texts.say(fix, saidFix)].filter(Boolean).join('\n\n'));
  electron.app.exit(1);
}

/** Quits and starts anew. An AppImage unpacks itself at every start: its own path counts, not that of what it unpacked. */
function beginAgain(app: ElectronParts['app']): void {
  const packed = process.env.APPIMAGE;
  app.relaunch(packed ? { execPath: packed } : {});
  app.quit();
}

/** The system sends `hypervue://` links to the packaged app; while it is developed it would send them to a bare Electron. */
function registerLinks(app: ElectronParts['app'], log: Logger): void {
  if (app.isPackaged && !app.setAsDefaultProtocolClient(LINK_SCHEME))
    log.info(`${LINK_SCHEME}: links could not be registered with the system`);
}

async function askToReload(electron: Pick<ElectronParts, 'dialog'>, texts: Texts): Promise<boolean> {
  const { response } = await electron.dialog.showMessageBox({
    type: 'error',
    title: 'Hypervue',
    message: texts.pageFails,
    detail: texts.pageFailsDetail,
    buttons: [texts.loadAgain, texts.closeWindow],
    defaultId: 0,
    cancelId: 1,
    noLink: true,
  });
  return response === 0;
}
