import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { AppPage } from '../pages/app.ts';
import type { TestServer } from './server.ts';

const failureFolder = fileURLToPath(new URL('../../../out/e2e-failures', import.meta.url));

/** Debian's Chromium, without anything that reaches for the network. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.HYPERVUE_CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** A window on a server. Errors in the page's own code make `problems` non-empty. */
export interface Window {
  page: Page;
  app: AppPage;
  problems: string[];
  close(): Promise<void>;
}

export async function openWindow(
  browser: Browser,
  server: Pick<TestServer, 'url' | 'token'>,
  options: BrowserContextOptions = {},
  /** Runs in the page before its own scripts. */
  before?: string,
): Promise<Window> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    locale: 'en-US',
    reducedMotion: 'reduce',
    ...options,
  });
  const page = await context.newPage();
  if (before) await page.addInitScript({ content: before });
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(`uncaught: ${error.message}`));
  page.on('console', (message) => {
    // noVNC says this when a machine goes off just as the console connects again; the console then shows that it is off.
    if (message.text().startsWith('Failed when connecting: Connection closed')) return;
    // Tesseract says this of its own models.
    if (message.text().startsWith('Warning: Parameter not found')) return;
    if (message.type() === 'error') problems.push(`console: ${message.text()}`);
  });
  const app = new AppPage(page);
  await app.open(server.url, server.token);
  return { page, app, problems, close: () => context.close() };
}

/** Keeps the picture of a failed test for whoever looks at the run, and says which dialogs were open. */
export async function keepPicture(page: Page, name: string): Promise<void> {
  mkdirSync(failureFolder, { recursive: true });
  await page.screenshot({ path: path.join(failureFolder, `${name.replace(/[^\w-]+/g, '-')}.png`) }).catch(() => {});
  for (const text of await page
    .getByRole('dialog')
    .allInnerTexts()
    .catch(() => []))
    console.log(`a dialog was open when “${name}” failed: ${text}`);
}

/** Closes what a failed test left open, which would be in the way of every test after it. */
export async function closeDialogs(page: Page): Promise<void> {
  for (let i = 0; i < 5 && (await page.locator('.n-modal-container').count()) > 0; i++) {
    await page.keyboard.press('Escape');
    await page.waitForTimeout(300);
  }
}

/** Polls until `probe` gives something true; the error of a timeout tells what was seen last. */
export async function eventually<T>(what: string, probe: () => Promise<T> | T, timeoutMs = 30_000): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline)
      throw new Error(`${what} did not happen within ${timeoutMs / 1000} s; last seen: ${String(last).slice(0, 2000)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
