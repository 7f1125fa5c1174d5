import { expect, test } from 'vitest';
import { accessibilityProblems } from './support/accessibility.ts';
import { eventually, openWindow } from './support/browser.ts';
import { browser, contract, server, window } from './support/session.ts';

/** Several people on one server, each with a token and a role of their own. */

test('the owner makes a token on the page, and somebody signs in with it who may only look', async () => {
  const vm = await contract.call('vm.create', { name: 'Shared', memoryMiB: 16, source: { type: 'blank' }, newDisk: null });
  const { page, problems } = window;
  await page.evaluate("location.hash = '#/access'");
  await page.getByTestId('access').waitFor();
  await page.getByTestId('token-name').locator('input').fill('Wall “display” <b>');
  await page.getByTestId('token-create').click();
  const secret = (await page.getByTestId('token-secret').textContent())!.trim();
  expect(secret).toMatch(/^[\w-]{43}$/);
  expect(await page.getByTestId('token').count()).toBe(1);
  expect(await accessibilityProblems(page)).toEqual([]);
  expect(problems).toEqual([]);

  const guest = await openWindow(browser, { url: server.url, token: secret });
  await guest.page.getByTestId('own-role').waitFor();
  await guest.page.evaluate(`location.hash = '#/machines/${vm.id}'`);
  await guest.page.getByTestId('machine-page').waitFor();
  expect((await guest.page.getByTestId('machine-page').textContent())!).toContain('Shared');
  await guest.page.evaluate("location.hash = '#/access'");
  expect(await guest.page.getByTestId('access-refused').textContent()).toContain('View');
  // Its own look is its own: nobody else's window changes.
  await guest.page.evaluate("location.hash = '#/settings'");
  await guest.page.getByTestId('setting-theme').selectOption('dark');
  await eventually('the guest’s dark theme', () => guest.page.evaluate("document.documentElement.dataset.theme === 'dark'"));
  await guest.page.getByTestId('setting-viewerName').locator('input').pressSequentially('The wall');
  await guest.page.getByTestId('setting-viewerName').locator('input').press('Enter');
  expect(await guest.page.evaluate("localStorage.getItem('hypervue.personal')")).toContain('The wall');
  await guest.page.reload();
  await eventually(
    'its own name for viewers',
    async () => (await guest.page.getByTestId('setting-viewerName').locator('input').inputValue()) === 'The wall',
  );
  expect(await contract.call('settings.get', {})).toMatchObject({ theme: 'system', viewerName: '' });
  // What it may not change is greyed, and no page has anything that WCAG forbids.
  expect(await guest.page.getByTestId('setting-cpu').isDisabled()).toBe(true);
  for (const place of ['settings', 'machines', 'new', 'trash', 'storage', `machines/${vm.id}`]) {
    await guest.page.evaluate(`location.hash = '#/${place}'`);
    await guest.page.locator('main h1').first().waitFor();
    expect([place, await accessibilityProblems(guest.page)]).toEqual([place, []]);
  }
  expect(guest.problems).toEqual([]);

  await eventually('the guest in the list', async () =>
    (await page.getByTestId('connection').allTextContents()).some((text) => text.includes('Wall')),
  );
  await page.getByTestId('token-revoke').click();
  await page.getByTestId('confirm-ok').click();
  await guest.page.getByTestId('login').waitFor();
  await eventually('an empty list', async () => (await page.getByTestId('token').count()) === 0);
  await guest.close();
});

test('too many wrong tokens have to wait, and the page says for how long', async () => {
  const { page, close } = await openWindow(browser, server);
  for (let i = 0; i < 12; i++)
    await page.evaluate(
      `new Promise((resolve) => { const s = new WebSocket(location.origin.replace('http', 'ws') + '/contract'); s.onopen = () => s.send('{"type":"auth","token":"guess"}'); s.onclose = resolve; })`,
    );
  await page.evaluate("sessionStorage.setItem('hypervue.token', 'another guess')");
  await page.reload();
  await eventually('the wait', async () => /Try again in \d+ seconds?/.test((await page.getByTestId('login-error').textContent()) ?? ''));
  expect(await page.getByTestId('login-submit').isDisabled()).toBe(true);
  expect(await accessibilityProblems(page)).toEqual([]);
  await close();
});
