import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';
import type { ContractClient } from '../../../core/contract/client.ts';
import { closeDialogs, keepPicture, launchBrowser, openWindow, type Window } from './browser.ts';
import { openContract } from './contract.ts';
import { startServer, type TestServer } from './server.ts';

/** What nearly every e2e file needs; whoever imports it gets a server of its own with an empty library, and a window on it, from the first test on. */
export let server: TestServer;
export let browser: Browser;
/** A client of its own, for what a test has to arrange or ask behind the browser's back. */
export let contract: ContractClient & { end(): void };
export let window: Window;

beforeAll(async () => {
  server = await startServer();
  browser = await launchBrowser();
  contract = await openContract(server);
  window = await openWindow(browser, server);
}, 120_000);

afterAll(async () => {
  contract?.end();
  await browser?.close();
  await server?.stop();
});

afterEach(async (context) => {
  if (context.task.result?.state !== 'fail') return;
  await keepPicture(window.page, context.task.name);
  await closeDialogs(window.page).catch(() => {});
});
