import path from 'node:path';
import type { BrowserWindow as BrowserWindowClass, BrowserWindowConstructorOptions, WebContents } from 'electron';

/** Page addresses use this scheme, so that the window has a real origin instead of file://. */
export const APP_SCHEME = 'app';
export const APP_ORIGIN = 'app://hypervue';

export function windowOptions(preload: string): BrowserWindowConstructorOptions {
  return {
    width: 1200,
    height: 780,
    minWidth: 720,
    minHeight: 480,
    show: false,
    title: 'Hypervue',
    autoHideMenuBar: true,
    webPreferences: { preload, sandbox: true, contextIsolation: true, nodeIntegration: false, webviewTag: false, spellcheck: false },
  };
}

/** The app's windows: one library window, any number of detached consoles (opened by the page itself). */
export class Windows {
  private readonly BrowserWindow: typeof BrowserWindowClass;
  private readonly preload: string;
  private readonly onOpened: (contents: WebContents) => void;
  private main: BrowserWindowClass | undefined;

  constructor(BrowserWindow: typeof BrowserWindowClass, outFolder: string, onOpened: (contents: WebContents) => void) {
    this.BrowserWindow = BrowserWindow;
    this.preload = path.join(outFolder, 'preload', 'index.cjs');
    this.onOpened = onOpened;
  }

  /** Shows the library window, making it when there is none. */
  async showMain(): Promise<void> {
    if (this.main && !this.main.isDestroyed()) {
      if (this.main.isMinimized()) this.main.restore();
      this.main.show();
      this.main.focus();
      return;
    }
    const window = new this.BrowserWindow(windowOptions(this.preload));
    this.main = window;
    window.once('ready-to-show', () => window.show());
    window.on('closed', () => {
      if (this.main === window) this.main = undefined;
    });
    this.adopt(window.webContents);
    await window.loadURL(`${APP_ORIGIN}/index.html`);
  }

  get mainWindow(): BrowserWindowClass | undefined {
    return this.main;
  }

  /** Consoles that a page opens get the same locked-down settings. */
  private adopt(contents: WebContents): void {
    this.onOpened(contents);
    contents.setWindowOpenHandler(({ url }) =>
      url.startsWith(`${APP_ORIGIN}/`)
        ? { action: 'allow', overrideBrowserWindowOptions: { ...windowOptions(this.preload), show: true, width: 1060, height: 760 } }
        : { action: 'deny' },
    );
    contents.on('did-create-window', (window) => this.adopt(window.webContents));
  }
}
