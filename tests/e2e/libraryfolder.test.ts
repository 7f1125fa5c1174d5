import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { AppPage } from './pages/app.ts';
import { accessibilityProblems } from './support/accessibility.ts';
import { eventually, openWindow } from './support/browser.ts';
import { browser, contract, server, window } from './support/session.ts';
import { startServer } from './support/server.ts';

/** The folder of the machines, changed in the window of a real server. */
const away = mkdtempSync(path.join(tmpdir(), 'hypervue-e2e-elsewhere-'));
afterAll(() => rmSync(away, { recursive: true, force: true }));

async function ask(app: AppPage, folder: string): Promise<void> {
  await app.goToSettings();
  await app.byId('change-library').click();
  await app.byId('library-folder-path').locator('input').fill(folder);
  await app.byId('dialog-submit').click();
}

test('the machines of another folder are shown after a look at what that means, and the first ones come back', async () => {
  const { app, page } = window;
  await contract.call('vm.create', { name: 'At home', memoryMiB: 16, source: { type: 'blank' }, newDisk: null });
  await app.machines.waitForState('At home', 'off');
  const folder = path.join(away, 'vms');

  // What can't be is said in the dialog, and everything stays.
  await ask(app, 'vms');
  await app.byId('error-message').waitFor();
  expect(await app.byId('error-message').innerText()).toContain('vms is not an absolute path');
  await app.byId('library-folder-path').locator('input').fill(path.join(server.library, 'At home'));
  await app.byId('error-message').waitFor({ state: 'detached' });
  await app.byId('dialog-submit').click();
  await eventually('the refusal', async () => (await app.byId('error-message').innerText()).includes('lies in the library'));

  await app.byId('library-folder-path').locator('input').fill(folder);
  await app.byId('dialog-submit').click();
  await app.byId('library-plan').waitFor();
  const plan = await app.byId('library-plan').innerText();
  expect(plan).toContain(`${folder} is not there yet and is made.`);
  expect(plan).toContain(`The 1 machine of ${server.library} stays there`);
  expect(existsSync(folder)).toBe(false);
  expect(await accessibilityProblems(page)).toEqual([]);
  await app.byId('dialog-submit').click();

  await app.byId('machines-empty').waitFor({ timeout: 20_000 });
  await eventually('that it is told', async () => (await app.byId('toast').allInnerTexts()).some((text) => text.includes(folder)));
  await server.cli('create', '--name', 'Away', '--memory', '16', '--blank');
  await app.machines.waitForState('Away', 'off');
  expect(existsSync(path.join(folder, 'Away', 'vm.json'))).toBe(true);

  await ask(app, server.library);
  await app.byId('library-plan').waitFor();
  expect(await app.byId('library-plan').innerText()).toContain(`${server.library} has 1 machine.`);
  await app.byId('dialog-submit').click();
  await app.machines.waitForState('At home', 'off');
  expect(await page.getByText('Away', { exact: true }).count()).toBe(0);
}, 60_000);

test('while a machine is on it is refused by the machine’s name', async () => {
  const { app } = window;
  await server.cli('start', 'At home');
  await app.machines.waitForState('At home', 'running');
  await ask(app, path.join(away, 'other'));
  await app.byId('library-plan').waitFor();
  await app.byId('dialog-submit').click();
  await app.byId('error-message').waitFor();
  expect(await app.byId('error-message').innerText()).toContain('At home');
  expect(existsSync(path.join(away, 'other'))).toBe(false);
  await app.byId('dialog-cancel').click();
  await server.cli('force-off', 'At home');
}, 60_000);

test('the machines move to another folder: told before, and they are there afterwards', async () => {
  const { app, page } = window;
  const to = path.join(away, 'moved');
  const old = server.library;
  await app.goToSettings();
  await app.byId('change-library').click();
  await app.byId('library-move').check();
  await app.byId('library-folder-path').locator('input').fill(away);
  await app.byId('dialog-submit').click();
  await app.byId('library-refusal').waitFor();
  expect(await app.byId('library-refusal').innerText()).toContain('is not empty');
  await app.byId('library-folder-path').locator('input').fill(to);
  await app.byId('dialog-submit').click();
  await app.byId('library-move-plan').waitFor();
  expect(await app.byId('library-move-plan').innerText()).toContain(to);
  expect(await accessibilityProblems(page)).toEqual([]);
  expect(existsSync(to)).toBe(false);
  await app.byId('dialog-submit').click();
  await eventually('that it is told', async () => (await app.byId('toast').allInnerTexts()).some((text) => text.includes(to)));
  await app.goToMachines();
  await app.machines.waitForState('At home', 'off');
  expect(existsSync(path.join(to, 'At home', 'vm.json'))).toBe(true);
  expect(existsSync(path.join(old, 'At home'))).toBe(false);
  expect(await server.cli('library', 'move', '--dry-run', path.join(away, 'again'))).toContain(path.join(away, 'again'));
}, 60_000);

test('where the folder was named at the start, the button says so', async () => {
  const named = await startServer(undefined, ['--library', path.join(away, 'named')]);
  const view = await openWindow(browser, named);
  try {
    const app = new AppPage(view.page);
    await app.goToSettings();
    expect(await app.byId('change-library').getAttribute('aria-description')).toContain('--library');
    await app.byId('change-library').click({ force: true });
    expect(await app.byId('library-dialog').count()).toBe(0);
  } finally {
    await view.close();
    await named.stop();
  }
  // While the server began again, the browser said so of its connections.
  expect(window.problems.filter((problem) => !/WebSocket|ERR_CONNECTION_REFUSED/.test(problem))).toEqual([]);
}, 60_000);
