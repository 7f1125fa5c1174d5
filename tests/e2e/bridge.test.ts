import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Namespace, noNamespaces } from '../guests/support/namespaces/namespace.ts';
import { accessibilityProblems } from './support/accessibility.ts';
import { eventually, keepPicture, launchBrowser, openWindow, type Window } from './support/browser.ts';
import { startServer, type TestServer } from './support/server.ts';

/** The bridge wizard as a person uses it. Server and browser run in a network namespace, which is the computer whose interfaces are changed. */
const missing = noNamespaces();
if (missing) console.log(`the bridge wizard is not tested in a browser: ${missing}`);
const CHROMIUM = process.env.HYPERVUE_CHROMIUM ?? '/usr/bin/chromium';

/** What loads a page is done again where a change of interfaces broke it off. */
async function again<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch {
    return work();
  }
}

describe.skipIf(missing)('the bridge wizard', () => {
  let folder: string;
  let host: Namespace;
  let server: TestServer;
  let browser: Browser;
  let window: Window;

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'hv-bridge-'));
    host = await Namespace.open();
    // Chromium breaks off what it loads whenever an address of its computer is another; IPv6 addresses come some seconds after their interface.
    for (const which of ['all', 'default']) await host.run('sh', '-c', `echo 1 > /proc/sys/net/ipv6/conf/${which}/disable_ipv6`);
    await host.ip('link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'there');
    for (const name of ['uplink', 'there']) await host.ip('link', 'set', 'dev', name, 'up');
    await host.ip('address', 'add', '192.0.2.10/24', 'dev', 'uplink');
    await host.ip('route', 'add', 'default', 'via', '192.0.2.1');
    const [file, args] = host.inside(CHROMIUM);
    const chromium = path.join(folder, 'chromium');
    writeFileSync(chromium, `#!/bin/sh\nexec ${[file, ...args].join(' ')} "$@"\n`);
    chmodSync(chromium, 0o755);
    process.env.HYPERVUE_CHROMIUM = chromium;
    server = await startServer(undefined, [], (...words) => host.inside(...words));
    browser = await launchBrowser();
    window = await again(() => openWindow(browser, server));
  }, 180_000);

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    await host?.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  });

  afterEach(async (context) => {
    if (context.task.result?.state === 'fail') await keepPicture(window.page, context.task.name);
  });

  const addresses = async (device: string) =>
    (JSON.parse(await host.ip('-json', '-4', 'address', 'show', 'dev', device)) as { addr_info?: { local: string }[] }[]).flatMap(
      ({ addr_info }) => (addr_info ?? []).map(({ local }) => local),
    );

  test('a bridge is chosen, looked at and tried; whoever comes back finds it, and takes it back', async () => {
    const { app, page } = window;
    await app.networks.open();
    await page.getByTestId('new-bridge').click();
    await page.getByTestId('uplink-uplink').check();
    expect(await page.getByTestId('bridge-wizard').innerText()).toMatch(/192\.0\.2\.10\/24 · connected · this computer’s way to the world/);
    expect(await accessibilityProblems(page)).toEqual([]);
    await page.getByTestId('bridge-seconds').selectOption('300');
    await page.getByTestId('bridge-next').click();
    await page.getByTestId('bridge-commands').waitFor();
    expect(await page.getByTestId('bridge-commands').innerText()).toContain('ip link set dev uplink master br0');
    expect(await accessibilityProblems(page)).toEqual([]);
    // Nothing was done so far.
    expect(await addresses('uplink')).toEqual(['192.0.2.10']);
    await page.getByTestId('bridge-apply').click();
    await page.getByTestId('bridge-left').waitFor();
    expect(await addresses('br0')).toEqual(['192.0.2.10']);
    expect(await accessibilityProblems(page)).toEqual([]);
    await again(async () => {
      await page.reload();
      await page.getByTestId('bridge-left').waitFor({ timeout: 20_000 });
    });
    await page.getByTestId('bridge-drop').click();
    await page.getByTestId('bridge-taken-back').waitFor();
    expect(await addresses('uplink')).toEqual(['192.0.2.10']);
    expect(await host.ip('-brief', 'link')).not.toContain('br0');
    await page.getByTestId('dialog-cancel').click();
  });

  test('a bridged network is made with its bridge in one go, and its interface is set up', async () => {
    const { app, page } = window;
    await page.getByTestId('new-network').click();
    await app.networks.fill('name', 'Office');
    await page.getByTestId('network-kind-bridged').check();
    await eventually('that there is no bridge', async () =>
      (await page.getByTestId('network-dialog').innerText()).includes('no bridge yet'),
    );
    await page.getByTestId('bridge-new').click();
    await page.getByTestId('bridge-name').locator('input').fill('lan0');
    await page.getByTestId('bridge-next').click();
    await page.getByTestId('bridge-seconds').waitFor({ state: 'detached' });
    await page.getByTestId('bridge-apply').click();
    await page.getByTestId('bridge-keep').click();
    await page.getByTestId('bridge-wizard').waitFor({ state: 'detached' });
    expect(await page.getByTestId('network-bridge').inputValue()).toBe('lan0');
    expect(await accessibilityProblems(page)).toEqual([]);
    await app.networks.submit('network-dialog');
    await page.getByTestId('device-commands').waitFor();
    expect(await accessibilityProblems(page)).toEqual([]);
    await page.getByTestId('device-set-up').click();
    await eventually('the interface', async () => (await page.getByTestId('network-device').getAttribute('data-state')) === 'ready');
    const { ifname } = (JSON.parse(await host.ip('-json', 'link', 'show', 'master', 'lan0')) as { ifname: string }[]).find(
      ({ ifname: name }) => name.startsWith('hv'),
    )!;
    expect(await page.getByTestId('device-text').innerText()).toContain(ifname);
    await page.getByTestId('network-delete').click();
    await app.confirm();
    await app.networks.row('Office').waitFor({ state: 'detached' });
    // The list may be without it before the interface is gone.
    await eventually('the interface is gone', async () => !(await host.ip('-brief', 'link')).includes(ifname));
    expect(await addresses('lan0')).toEqual(['192.0.2.10']);
    expect(window.problems.filter((problem) => !/ERR_NETWORK_CHANGED|WebSocket connection/.test(problem))).toEqual([]);
  });
});
