import { EventEmitter } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Browser, BrowserContext, Frame, Page, Request } from 'playwright-core';
import type { ElectronParts } from '../main/electronparts.ts';
import { APP_ORIGIN } from '../main/windows.ts';
import { PAGE_SHIM } from './pageshim.ts';
import { fromWire, MessageChannelMain, type Port, toWire, type Wire } from './ports.ts';
import { Utility } from './utility.ts';

/**
 * A stand-in for the `electron` module where its runtime can't be had: utility processes are Node's child processes, windows are pages of a Chromium with
 * the real preload script, IPC goes through the page's bindings. What Electron forbids before it is ready, this forbids too; what Electron itself guarantees
 * (sandbox, permissions) is not shown by it.
 */
export interface StandIn {
  electron: ElectronParts;
  /** The entry has been evaluated: `whenReady` resolves. */
  ready(): void;
  /** Playwright pages of the open windows. */
  pages: Page[];
  /** Answers of the next message boxes, by button; 2 when there is none. */
  answers: number[];
  /** Questions and error boxes so far. */
  asked: { message: string; detail?: string; buttons?: string[]; cancelId?: number }[];
  /** What the next file dialogs choose; each is cancelled when there is none. */
  chosen: string[];
  /** Options of the file dialogs so far. */
  dialogs: unknown[];
  menu: MenuItem[];
  /** The tray's icon, tool tip and menu. */
  tray: { icon: string; toolTip: string; menu: MenuItem[] } | undefined;
  /** Notifications that were shown; `click` is what a user does. */
  notifications: { title: string; body: string; click: () => void }[];
  /** Whether a window has the keyboard. */
  focused: boolean;
  /** Whether the system keeps secrets. */
  keyStore: boolean;
  /** Utility processes started so far. */
  utilities: Utility[];
  profile: string | undefined;
  /** The app is to start anew once it quit. */
  relaunched: boolean;
  /** Page addresses that were refused, by will-navigate or a window open handler. */
  refused: string[];
  /** The page in this window crashes. */
  crash(page: Page): void;
  /** Resolves with the exit code when the app quit. */
  quit: Promise<number>;
}

export interface MenuItem {
  label?: string;
  role?: string;
  enabled?: boolean;
  click?: () => void;
  submenu?: MenuItem[];
}

/** The page's origin in Chromium, which knows no app:// scheme. */
const PAGE_ORIGIN = 'https://hypervue.test';
const toApp = (url: string) => url.replace(PAGE_ORIGIN, APP_ORIGIN);
const toPage = (url: string) => url.replace(APP_ORIGIN, PAGE_ORIGIN);

interface IpcEvent {
  sender: WebContents;
  senderFrame: { url: string };
}

interface Preventable {
  preventDefault(): void;
}

/** Emits an event that a listener may prevent; returns whether one did. */
function emitPreventable(emitter: EventEmitter, name: string, properties: object = {}): boolean {
  let prevented = false;
  const event: Preventable = { ...properties, preventDefault: () => (prevented = true) };
  emitter.emit(name, event);
  return prevented;
}

class WebContents extends EventEmitter {
  page: Page | undefined;
  openHandler: ((details: { url: string }) => { action: 'allow' | 'deny'; overrideBrowserWindowOptions?: unknown }) | undefined;
  private destroyed = false;
  private readonly ports = new Map<number, Port>();
  private nextPort = 1;

  isDestroyed(): boolean {
    return this.destroyed;
  }

  send(channel: string, ...args: unknown[]): void {
    this.evaluate({ channel, args: args.map(toWire) });
  }

  postMessage(channel: string, message: unknown, [port]: Port[]): void {
    const id = this.nextPort++;
    this.ports.set(id, port!);
    port!.toPage = (wire) => this.evaluate({ port: id, wire });
    this.evaluate({ channel, args: [toWire(message)], port: id });
  }

  fromPort(id: number, wire: Wire): void {
    this.ports.get(id)?.other?.deliver(fromWire(wire));
  }

  setWindowOpenHandler(handler: WebContents['openHandler']): void {
    this.openHandler = handler;
  }

  reload(): void {
    void this.page?.reload();
  }

  close(): void {
    void this.page?.close();
  }

  executeJavaScript(code: string): Promise<unknown> {
    return this.page!.evaluate(code);
  }

  /** A page's ports end with it. */
  left(): void {
    for (const port of this.ports.values()) port.other?.emit('close');
    this.ports.clear();
  }

  show(page: Page): void {
    this.page = page;
    page.on('close', () => {
      this.destroyed = true;
      this.left();
      this.emit('destroyed');
    });
  }

  private evaluate(message: unknown): void {
    // A page on its way out takes no more messages.
    void this.page?.evaluate(`window.__standinReceive(${JSON.stringify(message)})`).catch(() => {});
  }
}

export function createStandIn(browser: Browser | undefined, outFolder: string, options: { firstInstance?: boolean } = {}): StandIn {
  const app = new EventEmitter();
  const ipc = new EventEmitter();
  const handlers = new Map<string, (event: IpcEvent, ...args: unknown[]) => unknown>();
  const windows = new Set<BrowserWindow>();
  let protocolHandler: ((request: { url: string }) => Promise<Response>) | undefined;
  let context: Promise<BrowserContext> | undefined;
  let isReady = false;
  let markReady!: () => void;
  const ready = new Promise<void>((resolve) => {
    markReady = resolve;
  });
  let quitDone!: (code: number) => void;
  const quit = new Promise<number>((resolve) => {
    quitDone = resolve;
  });
  const onlyBeforeReady = (what: string) => {
    if (isReady) throw new Error(`${what} should be called before app is ready`);
  };
  const onlyAfterReady = (what: string) => {
    if (!isReady) throw new Error(`${what} can't be used before app is ready`);
  };

  class BrowserWindow extends EventEmitter {
    readonly webContents = new WebContents();
    readonly options: unknown;
    private destroyed = false;

    static getAllWindows(): BrowserWindow[] {
      return [...windows];
    }

    static getFocusedWindow(): BrowserWindow | null {
      return standIn.focused ? ([...windows][0] ?? null) : null;
    }

    static fromWebContents(contents: unknown): BrowserWindow | null {
      return [...windows].find(({ webContents }) => webContents === contents) ?? null;
    }

    constructor(windowOptions: unknown) {
      super();
      onlyAfterReady('BrowserWindow');
      this.options = windowOptions;
      windows.add(this);
      app.emit('web-contents-created', {}, this.webContents);
    }

    async loadURL(url: string): Promise<void> {
      context ??= makeContext();
      const page = await (await context).newPage();
      this.show(page);
      await page.goto(toPage(url));
      this.emit('ready-to-show');
    }

    show(page?: Page): void {
      if (!page) return;
      this.webContents.show(page);
      standIn.pages.push(page);
      page.on('close', () => {
        standIn.pages.splice(standIn.pages.indexOf(page), 1);
        this.destroyed = true;
        windows.delete(this);
        this.emit('closed');
        if (!windows.size) app.emit('window-all-closed');
      });
    }

    isDestroyed(): boolean {
      return this.destroyed;
    }
    isMinimized(): boolean {
      return false;
    }
    restore(): void {}
    focus(): void {}
    isMaximized(): boolean {
      return false;
    }
    isFullScreen(): boolean {
      return false;
    }
    maximize(): void {}
    setFullScreen(): void {}
    getNormalBounds(): object {
      return { x: 40, y: 30, width: 1200, height: 780 };
    }
    close(): void {
      this.emit('close');
      void this.webContents.page?.close();
    }
  }

  const contentsOf = (page: Page) => [...windows].find(({ webContents }) => webContents.page === page)?.webContents;
  /** Windows that pages opened and Playwright has not told of yet. */
  const popups = new Map<Page, Promise<WebContents | undefined>>();
  const eventOf = async ({ page, frame }: { page: Page; frame: Frame }): Promise<IpcEvent | undefined> => {
    const sender = contentsOf(page) ?? (await popup(page));
    return sender && { sender, senderFrame: { url: toApp(frame.url()) } };
  };

  /** A page called window.open: its window decides. */
  function popup(page: Page): Promise<WebContents | undefined> {
    let adopted = popups.get(page);
    if (!adopted) {
      adopted = adoptPopup(page);
      popups.set(page, adopted);
    }
    return adopted;
  }

  async function adoptPopup(page: Page): Promise<WebContents | undefined> {
    const opener = await page.opener();
    const from = opener && contentsOf(opener);
    if (!from) return undefined;
    const url = toApp(page.url());
    const answer = from.openHandler?.({ url });
    if (answer?.action !== 'allow') {
      standIn.refused.push(url);
      void page.close();
      return undefined;
    }
    const window = new BrowserWindow(answer.overrideBrowserWindowOptions);
    window.show(page);
    from.emit('did-create-window', window, { url });
    return window.webContents;
  }

  /** Electron's default session: every window's preload, protocol and IPC. */
  async function makeContext(): Promise<BrowserContext> {
    const made = await browser!.newContext({ viewport: { width: 1200, height: 780 }, locale: 'en-US', ignoreHTTPSErrors: true });
    made.on('page', (page) => void popup(page));
    await made.exposeBinding('__standinSend', async (source, channel: string, args: Wire[]) => {
      const event = await eventOf(source);
      if (event) ipc.emit(channel, event, ...args.map(fromWire));
    });
    await made.exposeBinding('__standinInvoke', async (source, channel: string, args: Wire[]) => {
      const event = await eventOf(source);
      return event && handlers.get(channel)!(event, ...args.map(fromWire));
    });
    await made.exposeBinding('__standinPort', (source, id: number, wire: Wire) => contentsOf(source.page)?.fromPort(id, wire));
    const preload = readFileSync(path.join(outFolder, 'preload/index.cjs'), 'utf8');
    await made.addInitScript(`${PAGE_SHIM}\n(() => { const require = () => window.__standinElectron; const exports = {}; const module = { exports };
      const process = { platform: ${JSON.stringify(process.platform)} };\n${preload}\n})();`);
    await made.route('**', async (route) => {
      const request = route.request();
      const url = toApp(request.url());
      const page = request.isNavigationRequest() ? pageOf(request) : undefined;
      const contents = page && contentsOf(page);
      if (contents) {
        if (page.url() !== 'about:blank' && emitPreventable(contents, 'will-navigate', { url })) {
          standIn.refused.push(url);
          // This code leaves the old page in place.
          await route.abort('aborted');
          return;
        }
        contents.left();
        contents.emit('did-start-navigation', { url, isMainFrame: true, isSameDocument: false });
      }
      if (!url.startsWith(APP_ORIGIN)) {
        await route.abort();
        return;
      }
      const response = await protocolHandler!({ url });
      await route.fulfill({
        status: response.status,
        headers: Object.fromEntries(response.headers),
        body: Buffer.from(await response.arrayBuffer()),
      });
    });
    return made;
  }

  class Notification extends EventEmitter {
    private readonly texts: { title: string; body: string };

    static isSupported(): boolean {
      return true;
    }
    constructor(texts: { title: string; body: string }) {
      super();
      onlyAfterReady('Notification');
      this.texts = texts;
    }
    show(): void {
      standIn.notifications.push({ ...this.texts, click: () => this.emit('click') });
    }
  }

  class Tray extends EventEmitter {
    constructor(icon: string) {
      super();
      onlyAfterReady('Tray');
      if (!existsSync(icon)) throw new Error(`Failed to load image from path '${icon}'`);
      standIn.tray = { icon, toolTip: '', menu: [] };
    }
    setImage(icon: string): void {
      if (!existsSync(icon)) throw new Error(`Failed to load image from path '${icon}'`);
      standIn.tray!.icon = icon;
    }
    setToolTip(toolTip: string): void {
      standIn.tray!.toolTip = toolTip;
    }
    setContextMenu(menu: MenuItem[]): void {
      standIn.tray!.menu = menu;
    }
    isDestroyed(): boolean {
      return standIn.tray === undefined;
    }
    destroy(): void {
      standIn.tray = undefined;
    }
  }

  const electron = {
    Notification,
    Tray,
    screen: {
      getAllDisplays: () => {
        onlyAfterReady('screen');
        return [{ workArea: { x: 0, y: 0, width: 1920, height: 1080 } }];
      },
    },
    /** Turns the text round: enough to tell what was sealed from what was not. */
    safeStorage: {
      isEncryptionAvailable: () => standIn.keyStore,
      getSelectedStorageBackend: () => (standIn.keyStore ? 'gnome_libsecret' : 'basic_text'),
      encryptString: (text: string) => Buffer.from([...text].reverse().join('')),
      decryptString: (sealed: Buffer) => [...sealed.toString()].reverse().join(''),
    },
    app: Object.assign(app, {
      isPackaged: false,
      setAsDefaultProtocolClient: () => true,
      setPath: (name: string, folder: string) => {
        onlyBeforeReady('app.setPath');
        if (name !== 'userData' || !existsSync(folder)) throw new Error(`Failed to set path ${name}`);
        standIn.profile = folder;
      },
      requestSingleInstanceLock: () => options.firstInstance ?? true,
      whenReady: () => ready,
      getPreferredSystemLanguages: () => ['en-US'],
      quit: () => {
        if (emitPreventable(app, 'before-quit')) return;
        app.emit('quit');
        quitDone(0);
      },
      exit: (code: number) => quitDone(code),
      relaunch: () => {
        standIn.relaunched = true;
      },
    }),
    BrowserWindow,
    MessageChannelMain,
    Menu: {
      buildFromTemplate: (template: MenuItem[]) => template,
      setApplicationMenu: (menu: MenuItem[]) => {
        standIn.menu = menu;
      },
    },
    dialog: {
      showMessageBox: async (question: StandIn['asked'][number]) => {
        standIn.asked.push(question);
        return { response: standIn.answers.shift() ?? question.cancelId ?? 0, checkboxChecked: false };
      },
      showErrorBox: (message: string, detail: string) => standIn.asked.push({ message, detail }),
      showOpenDialog: async (_window: unknown, dialog: unknown) => {
        standIn.dialogs.push(dialog);
        const file = standIn.chosen.shift();
        return file === undefined ? { canceled: true, filePaths: [] } : { canceled: false, filePaths: [file] };
      },
    },
    ipcMain: Object.assign(ipc, {
      handle: (channel: string, handler: (event: IpcEvent, ...args: unknown[]) => unknown) => handlers.set(channel, handler),
    }),
    protocol: {
      registerSchemesAsPrivileged: () => onlyBeforeReady('protocol.registerSchemesAsPrivileged'),
      handle: (_scheme: string, handler: (request: { url: string }) => Promise<Response>) => {
        onlyAfterReady('protocol.handle');
        protocolHandler = handler;
      },
    },
    session: {
      get defaultSession() {
        onlyAfterReady('session.defaultSession');
        return {
          setPermissionRequestHandler: () => {},
          setPermissionCheckHandler: () => {},
          setDevicePermissionHandler: () => {},
          webRequest: { onBeforeRequest: () => {} },
        };
      },
    },
    shell: { showItemInFolder: () => {} },
    utilityProcess: {
      fork: (entry: string, _args: string[], { env, serviceName }: { env: NodeJS.ProcessEnv; serviceName: string }) => {
        onlyAfterReady('utilityProcess.fork');
        const utility = new Utility(entry, env, serviceName);
        standIn.utilities.push(utility);
        return utility;
      },
    },
  };
  const standIn: StandIn = {
    electron: electron as unknown as ElectronParts,
    ready: () => {
      isReady = true;
      markReady();
    },
    pages: [],
    answers: [],
    asked: [],
    chosen: [],
    dialogs: [],
    menu: [],
    tray: undefined,
    notifications: [],
    focused: true,
    keyStore: true,
    utilities: [],
    profile: undefined,
    relaunched: false,
    refused: [],
    crash: (page) => contentsOf(page)!.emit('render-process-gone', {}, { reason: 'crashed', exitCode: 139 }),
    quit,
  };
  return standIn;
}

/** The page whose main frame this loads; none for the first load of a popup, whose page Playwright does not know yet. */
function pageOf(request: Request): Page | undefined {
  try {
    const frame = request.frame();
    return frame.parentFrame() ? undefined : frame.page();
  } catch {
    return undefined;
  }
}
