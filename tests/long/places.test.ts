import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Place, places } from '../../scripts/screenshots/places.ts';
import { openShowcase, type Showcase } from '../../scripts/screenshots/showcase.ts';
import { launchBrowser, openWindow } from '../e2e/support/browser.ts';
import { placeProblems } from '../e2e/support/placechecks.ts';

/** Every place of the app, with machines, disks and snapshots in it: WCAG, overflow, a visible focus on the whole way of Tab, nothing that moves. */
let showcase: Showcase;
let browser: Browser;
/** Dialogs that are in no picture of the documentation. */
const dialogs: Place[] = [
  {
    name: 'start-checks',
    path: () => '/machines',
    async reach(app, { contract }) {
      // Nothing to start from.
      if (!(await contract.call('vm.list', {})).some(({ name }) => name === 'Empty'))
        await contract.call('vm.create', { name: 'Empty', memoryMiB: 32, source: { type: 'blank' }, newDisk: { sizeBytes: 1 << 20 } });
      await app.machines.card('Empty').waitFor();
      await app.machines.start('Empty');
      await app.byId('start-checks').waitFor();
    },
  },
  {
    name: 'settings-library',
    path: () => '/settings',
    async reach(app, { server }) {
      await app.byId('change-library').click();
      await app.byId('library-move').check();
      await app.byId('library-folder-path').locator('input').fill(`${server.home}/elsewhere`);
      await app.byId('dialog-submit').click();
      await app.byId('library-plan').or(app.byId('library-move-plan')).or(app.byId('library-refusal')).waitFor();
    },
  },
  {
    name: 'import',
    path: () => '/machines',
    async reach(app) {
      await app.byId('import-machine').click();
      await app.byId('import-dialog').waitFor();
    },
  },
];

/** HYPERVUE_PLACES: only places whose names begin with one of these, between commas. */
const wanted = (process.env.HYPERVUE_PLACES ?? '').split(',');

beforeAll(async () => {
  showcase = await openShowcase(mkdtempSync(path.join(tmpdir(), 'hypervue-places-')));
  browser = await launchBrowser();
  await showcase.fill();
}, 600_000);

afterAll(async () => {
  await browser?.close();
  await showcase?.end();
});

test.each([
  ['light', 'en', 1280, 800],
  ['dark', 'en', 1280, 800],
  ['light', 'zh-CN', 900, 600],
  ['dark', 'zh-CN', 900, 600],
] as const)('no place has anything wrong with it: %s, %s, %i×%i', async (theme, language, width, height) => {
  await showcase.contract.call('settings.set', { theme, language });
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const place of [...places, ...dialogs].filter(({ name }) => wanted.some((start) => name.startsWith(start)))) {
    const window = await openWindow(browser, showcase.server, { viewport: { width, height } });
    try {
      await window.page.goto(`${showcase.server.url.replace(/\/$/, '')}/#${place.path(showcase)}`);
      await place.reach?.(window.app, showcase);
      await window.page.waitForTimeout(300);
      const found = [...(await placeProblems(window.page, seen)), ...window.problems];
      problems.push(...found.map((each) => `${place.name}: ${each}`));
      for (const each of found) console.log(`${place.name}: ${each}`);
    } catch (error) {
      problems.push(`${place.name}: ${error instanceof Error ? error.message : error}`);
    } finally {
      await window.close();
    }
  }
  expect(problems).toEqual([]);
});
