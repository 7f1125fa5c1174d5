import { fork } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import type { ElectronParts } from '../main/electronparts.ts';
import { APP_ORIGIN } from '../main/windows.ts';
import { PAGE_SHIM } from './pageshim.ts';

/**
 * A stand-in for the `electron` module where its runtime can't be had: utility processes are Node's child processes, windows are pages of a Chromium with
 * the real preload script, IPC goes through the page's bindings. What Electron itself guarantees (sandbox, permissions) is not shown by it.
 */
export interface StandIn {
  electron: ElectronParts;
  /** Playwright pages of the open windows. */
  pages: Page[];
  /** Answers of the next message boxes, by button; questions asked are in `asked`. */
  answers: number[];
  asked: { message: string; detail?: string; buttons?: string[] }[];
  /** Resolves when the app quit. */
  quit: Promise<void>;
  close(): Promise<void>;
}

/** The page's origin in Chromium, which knows no app:// scheme. */
const PAGE_ORIGIN = 'https://hypervue.test';

/** Binary data crosses the bindings as base64. */
interface Wire {
  bytes?: string;
  value?: unknown;
}
const toWire = (value: unknown): Wire => (value instanceof Uint8Array ? { bytes: Buffer.from(value).toString('base64') } : { value });
const fromWire = (wire: Wire): unknown => (wire.bytes === undefined ? wire.value : new Uint8Array(Buffer.from(wire.bytes, 'base64')));

/** MessagePortMain of the main process; its partner may have moved into a page. */
class Port extends EventEmitter {
  other: Port | undefined;
  /** Set on the end that was sent to a page. */
  toPage: ((wire: Wire) => void) | undefined;
  private started = false;
  private readonly waiting: unknown[] = [];

  postMessage(data: unknown): void {
    this.other?.deliver(data);
  }

  deliver(data: unknown): void {
    if (this.toPage) this.toPage(toWire(data));
    else if (this.started) this.emit('message', { data });
    else this.waiting.push(data);
  }

  start(): void {
    this.started = true;
    for (const data of this.waiting.splice(0)) this.emit('message', { data });
  }

  close(): void {
    this.other?.emit('close');
  }
}

class MessageChannelMain {
  readonly port1 = new Port();
  readonly port2 = new Port();

  constructor() {
    this.port1.other = this.port2;
    this.port2.other = this.port1;
  }
}

export function createStandIn(browser: Browser, outFolder: string): StandIn {
  const app = new EventEmitter();
  const ipc = new EventEmitter();
  const handlers = new Map<string, (event: unknown, ...args: unknown[]) => unknown>();
  const pages: Page[] = [];
  const answers: number[] = [];
  const asked: StandIn['asked'] = [];
  const preload = readFileSync(path.join(outFolder, 'preload/index.cjs'), 'utf8');
  let protocolHandler: ((request: { url: string }) => Promise<Response>) | undefined;
  let quitDone!: () => void;
  const quit = new Promise<void>((resolve) => {
    quitDone = resolve;
  });

  const appQuit = () => {
    let prevented = false;
    app.emit('before-quit', { preventDefault: () => (prevented = true) });
    if (!prevented) quitDone();
  };

  class WebContents extends EventEmitter {
    page: Page | undefined;
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

    setWindowOpenHandler(): void {}

    reload(): void {
      void this.page?.reload();
    }

    executeJavaScript(code: string): Promise<unknown> {
      return this.page!.evaluate(code);
    }

    async open(page: Page): Promise<void> {
      this.page = page;
      const event = () => ({ sender: this, senderFrame: { url: page.url().replace(PAGE_ORIGIN, APP_ORIGIN) } });
      await page.exposeFunction('__standinSend', (channel: string, args: Wire[]) => void ipc.emit(channel, event(), ...args.map(fromWire)));
      await page.exposeFunction('__standinInvoke', (channel: string, args: Wire[]) =>
        handlers.get(channel)!(event(), ...args.map(fromWire)),
      );
      await page.exposeFunction('__standinPort', (id: number, wire: Wire) => this.ports.get(id)?.other?.deliver(fromWire(wire)));
      await page.addInitScript(`${PAGE_SHIM}\n(() => { const require = () => window.__standinElectron; const exports = {}; const module = { exports };
        const process = { platform: ${JSON.stringify(process.platform)} };\n${preload}\n})();`);
      await page.route(`${PAGE_ORIGIN}/**`, async (route) => {
        const response = await protocolHandler!({ url: route.request().url().replace(PAGE_ORIGIN, APP_ORIGIN) });
        await route.fulfill({
          status: response.status,
          headers: Object.fromEntries(response.headers),
          body: Buffer.from(await response.arrayBuffer()),
        });
      });
      page.on('framenavigated', (frame) => {
        if (frame === page.mainFrame()) this.emit('did-navigate');
      });
      page.on('close', () => {
        this.destroyed = true;
        this.emit('destroyed');
      });
    }

    private evaluate(message: unknown): void {
      // A page on its way out takes no more messages.
      void this.page?.evaluate(`window.__standinReceive(${JSON.stringify(message)})`).catch(() => {});
    }
  }

  class BrowserWindow extends EventEmitter {
    static readonly all = new Set<BrowserWindow>();
    readonly webContents = new WebContents();
    readonly options: unknown;
    private destroyed = false;

    static fromWebContents(contents: unknown): BrowserWindow | null {
      return [...BrowserWindow.all].find((window) => window.webContents === contents) ?? null;
    }

    constructor(options: unknown) {
      super();
      this.options = options;
      BrowserWindow.all.add(this);
      app.emit('web-contents-created', {}, this.webContents);
    }

    async loadURL(url: string): Promise<void> {
      const page = await browser.newPage({ viewport: { width: 1200, height: 780 }, locale: 'en-US', ignoreHTTPSErrors: true });
      await this.webContents.open(page);
      pages.push(page);
      page.on('close', () => {
        pages.splice(pages.indexOf(page), 1);
        this.destroyed = true;
        BrowserWindow.all.delete(this);
        this.emit('closed');
        if (!BrowserWindow.all.size) app.emit('window-all-closed');
      });
      await page.goto(url.replace(APP_ORIGIN, PAGE_ORIGIN));
      this.emit('ready-to-show');
    }

    isDestroyed(): boolean {
      return this.destroyed;
    }
    isMinimized(): boolean {
      return false;
    }
    restore(): void {}
    show(): void {}
    focus(): void {}
  }

  const electron = {
    app: Object.assign(app, {
      name: 'Hypervue',
      requestSingleInstanceLock: () => true,
      whenReady: () => Promise.resolve(),
      quit: appQuit,
      exit: () => quitDone(),
    }),
    BrowserWindow,
    MessageChannelMain,
    Menu: { buildFromTemplate: (template: unknown) => template, setApplicationMenu: () => {} },
    dialog: {
      showMessageBox: async (question: StandIn['asked'][number]) => {
        asked.push(question);
        return { response: answers.shift() ?? 2, checkboxChecked: false };
      },
      showErrorBox: (title: string, content: string) => asked.push({ message: title, detail: content }),
      showOpenDialog: async () => ({ canceled: true, filePaths: [] }),
    },
    ipcMain: Object.assign(ipc, {
      handle: (channel: string, handler: (event: unknown, ...args: unknown[]) => unknown) => handlers.set(channel, handler),
    }),
    protocol: {
      registerSchemesAsPrivileged: () => {},
      handle: (_scheme: string, handler: (request: { url: string }) => Promise<Response>) => {
        protocolHandler = handler;
      },
    },
    session: { defaultSession: { setPermissionRequestHandler: () => {}, setPermissionCheckHandler: () => {} } },
    shell: {},
    utilityProcess: {
      fork: (entry: string, args: string[], { env }: { env: NodeJS.ProcessEnv }) => {
        const child = fork(entry, args, { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'], serialization: 'advanced' });
        return Object.assign(child, { postMessage: (message: unknown) => child.connected && child.send(message as object) });
      },
    },
  };
  return {
    electron: electron as unknown as ElectronParts,
    pages,
    answers,
    asked,
    quit,
    close: async () => {
      for (const page of [...pages]) await page.close();
    },
  };
}
