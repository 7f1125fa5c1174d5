import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Settings } from '../../core/contract/host.ts';
import type { Manager } from '../../core/manager/manager.ts';
import { appFolders } from '../../core/platform/folders.ts';
import { appVersion } from '../../core/server/appversion.ts';
import { appResources, openManager } from '../../core/server/openmanager.ts';
import { asHypervueError } from '../../core/util/errors.ts';
import type { Logger } from '../../core/util/logger.ts';
import { appProtocolHandler } from './appprotocol.ts';
import { ChannelBridge } from './channelbridge.ts';
import { desktopLog, logFile } from './desktoplog.ts';
import type { ElectronParts } from './electronparts.ts';
import { listen } from './ipc.ts';
import { menuTemplate } from './menu.ts';
import { Pages } from './pages.ts';
import { quitProperly } from './quitting.ts';
import { lockDown } from './security.ts';
import { type Texts, textsFor } from './texts.ts';
import { UtilityProcessLauncher } from './utilitylauncher.ts';
import { APP_ORIGIN, APP_SCHEME, Windows } from './windows.ts';

/** Below the configuration: what Chromium keeps of the windows. */
const PROFILE_FOLDER = 'browser';

export interface DesktopPlaces {
  /** import.meta.url of the program's entry. */
  entry: string;
  /** The build's `out` folder. */
  outFolder: string;
}

/** Starts the desktop app. Returns when its window is up, or at once when another instance runs already and was brought to the front. */
export async function startDesktop(electron: ElectronParts, places: DesktopPlaces): Promise<void> {
  const { app } = electron;
  const folders = appFolders();
  const log = desktopLog(folders.config);
  process.on('uncaughtExceptionMonitor', (error) => log.error(error.stack ?? error.message));
  try {
    // The lock of the single instance lies there too: programs with libraries of their own don't count as one.
    const profile = path.join(folders.config, PROFILE_FOLDER);
    mkdirSync(profile, { recursive: true, mode: 0o700 });
    app.setPath('userData', profile);
  } catch (error) {
    fail(electron, log, 'Hypervue can’t write its folder', error);
    return;
  }
  if (!app.requestSingleInstanceLock()) {
    app.quit();
    return;
  }
  electron.protocol.registerSchemesAsPrivileged([
    { scheme: APP_SCHEME, privileges: { standard: true, secure: true, supportFetchAPI: true } },
  ]);
  await app.whenReady();
  lockDown(app, electron.session.defaultSession, APP_ORIGIN);
  electron.protocol.handle(APP_SCHEME, appProtocolHandler(appResources(places.entry).rendererFolder));

  const version = appVersion(places.entry);
  log.info(`Hypervue ${version} starts with the library ${folders.library}`);
  let manager: Manager;
  try {
    manager = await openManager({
      folders,
      entry: places.entry,
      version,
      mode: 'desktop',
      log,
      launcher: new UtilityProcessLauncher(electron.utilityProcess, path.join(places.outFolder, 'main', 'vmprocess.js')),
    });
  } catch (error) {
    fail(electron, log, 'Hypervue can’t open its library', error);
    return;
  }

  const channels = new ChannelBridge(electron.MessageChannelMain);
  const pages = new Pages({ manager, channels, log, now: Date.now, askToReload: () => askToReload(electron, texts()) });
  const windows = new Windows(electron.BrowserWindow, places.outFolder, (contents) => pages.adopt(contents));
  const show = (hash?: string) => windows.showMain(hash).catch((error) => log.error(`the window: ${asHypervueError(error).message}`));
  listen(electron, manager, pages, channels);
  const texts = await localTexts(electron, manager, (changed) =>
    electron.Menu.setApplicationMenu(
      electron.Menu.buildFromTemplate(
        menuTemplate(process.platform, changed, {
          showMain: () => void show(),
          newMachine: () => void show('#/new'),
          about: () => void show('#/about'),
          showLog: () => electron.shell.showItemInFolder(logFile(folders.config)),
        }),
      ),
    ),
  );
  app.on('second-instance', () => void show());
  app.on('activate', () => void show());
  quitProperly(electron, manager, log, texts, () => void show());
  await show();
  void manager.autostart();
}

/** Nothing can be done without it: say why, and end. */
function fail(electron: Pick<ElectronParts, 'app' | 'dialog'>, log: Logger, title: string, error: unknown): void {
  const { message, fix } = asHypervueError(error);
  log.error(`${title}: ${message}`);
  electron.dialog.showErrorBox(title, [message, fix].filter(Boolean).join('\n\n'));
  electron.app.exit(1);
}

/** Words in the language of the settings, now and whenever it changes: `use` is called with them each time. */
async function localTexts(electron: Pick<ElectronParts, 'app'>, manager: Manager, use: (texts: Texts) => void): Promise<() => Texts> {
  let texts: Texts;
  const apply = ({ language }: Pick<Settings, 'language'>) => {
    texts = textsFor(language, electron.app.getPreferredSystemLanguages());
    use(texts);
  };
  apply(await manager.handlers['settings.get']({}));
  // Listens like any client, for as long as the manager is there.
  manager.connect({
    send: (message) => {
      if (message.type === 'event' && message.event === 'settings.changed') apply(message.payload as Settings);
    },
    onMessage: () => {},
    onClose: () => {},
    close: () => {},
  });
  return () => texts;
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
