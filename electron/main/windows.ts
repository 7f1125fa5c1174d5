import path from 'node:path';
import type { BrowserWindow as BrowserWindowClass, BrowserWindowConstructorOptions, WebContents } from 'electron';
import type { WindowState } from './windowstate.ts';

/** Page addresses use this scheme, so that the window has a real origin instead of file://. */
export const APP_SCHEME = 'app';
export const APP_ORIGIN = 'app://hypervue';

/** Address of a detached console, of this computer or of a remote server; ids of both are UUIDs. */
const CONSOLE_PAGE = /^app:\/\/hypervue\/(?:index\.html)?(?:\?server=[0-9a-f-]{36})?#\/console\/([0-9A-Za-z-]{1,64})$/;

export const isConsolePage = (url: string): boolean => CONSOLE_PAGE.test(url);

/** What a window is remembered by. */
const consoleKey = (url: string) => `console:${CONSOLE_PAGE.exec(url)?.[1] ?? ''}`;

const MAIN_SIZE = { width: 1200, height: 780 };
const CONSOLE_SIZE = { width: 1024, height: 800 };

/** What every window has. Size and place are the opener's. */
export function windowOptions(preload: string): BrowserWindowConstructorOptions {
  return {
    minWidth: 720,
    minHeight: 480,
    title: 'Hypervue',
    autoHideMenuBar: true,
    webPreferences: { preload, sandbox: true, contextIsolation: true, nodeIntegration: false, webviewTag: false, spellcheck: false },
  };
}

/** The app's windows: one library window, any number of detached consoles (opened by the page itself). */
export class Windows {
  private readonly BrowserWindow: typeof BrowserWindowClass;
  private readonly preload: string;
  private readonly state: WindowState;
  private readonly onOpened: (contents: WebContents) => void;
  private main: BrowserWindowClass | undefined;

  constructor(BrowserWindow: typeof BrowserWindowClass, outFolder: string, state: WindowState, onOpened: (contents: WebContents) => void) {
    this.BrowserWindow = BrowserWindow;
    this.preload = path.join(outFolder, 'preload', 'index.cjs');
    this.state = state;
    this.onOpened = onOpened;
  }

  /** Shows the library window, making it when there is none; at a page of its own when `hash` names one. */
  async showMain(hash = ''): Promise<void> {
    const { main } = this;
    if (main && !main.isDestroyed()) {
      if (main.isMinimized()) main.restore();
      main.show();
      main.focus();
      if (hash) await main.webContents.executeJavaScript(`location.hash = ${JSON.stringify(hash)}`);
      return;
    }
    const window = new this.BrowserWindow({ ...windowOptions(this.preload), ...this.state.options('main', MAIN_SIZE), show: false });
    this.main = window;
    this.state.track('main', window);
    window.once('ready-to-show', () => window.show());
    window.on('closed', () => {
      if (this.main === window) this.main = undefined;
    });
    this.adopt(window.webContents);
    await window.loadURL(`${APP_ORIGIN}/index.html${hash}`);
  }

  /** Machines go on without windows. Returns whether there were any. */
  closeAll(): boolean {
    const windows = this.BrowserWindow.getAllWindows();
    for (const window of windows) window.close();
    return windows.length > 0;
  }

  /** A page may open consoles, and nothing else; they get the same locked-down settings. */
  private adopt(contents: WebContents): void {
    this.onOpened(contents);
    contents.setWindowOpenHandler(({ url }) =>
      isConsolePage(url)
        ? {
            action: 'allow',
            overrideBrowserWindowOptions: { ...windowOptions(this.preload), ...this.state.options(consoleKey(url), CONSOLE_SIZE) },
          }
        : { action: 'deny' },
    );
    contents.on('did-create-window', (window, { url }) => {
      this.state.track(consoleKey(url), window);
      this.adopt(window.webContents);
    });
  }
}
