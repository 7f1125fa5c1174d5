import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { accessibilityProblems } from './support/accessibility.ts';
import { eventually, openWindow } from './support/browser.ts';
import { colours, difference, readPng } from './support/picture.ts';
import { browser, contract, server, window } from './support/session.ts';

/** An empty library, "Try a sample", and everything around a running machine that a person looks at. */

test('an empty library offers the sample, which runs after one click', async () => {
  const { app, page } = window;
  await app.byId('machines-empty').waitFor();
  expect(await accessibilityProblems(window.page)).toEqual([]);
  await app.machines.trySample();
  await page.getByTestId('machine-page').waitFor();
  await app.machine().waitForState('running');
  expect(await contract.call('vm.list', {})).toHaveLength(1);
});

test('the console shows the menu; keys, chords and typed text arrive', async () => {
  const { app, page } = window;
  const machine = app.machine();
  await machine.tab('serial');
  await eventually('the greeting', async () => (await machine.serialText()).includes('HYPERVUE-CHECK READY'));
  await machine.tab('console');
  await machine.focusConsole();
  await eventually('the title bar', async () => {
    const { width, data } = await machine.pixels();
    return data[(8 * width + width / 2) * 4 + 2]! > 100;
  });
  await machine.press('q');
  await machine.sendKeys('ctrl-alt-delete').catch(() => {
    throw new Error('the Send keys menu has no Ctrl+Alt+Delete');
  });
  await machine.typeText('zx');
  await machine.tab('serial');
  await eventually('codes of all keys', async () => {
    const text = await machine.serialText();
    return (
      /KEY 10\b/.test(text) &&
      /KEY 1D\b/.test(text) &&
      /KEY 38\b/.test(text) &&
      /KEY E053\b/.test(text) &&
      /KEY 2C\b/.test(text) &&
      /KEY 2D\b/.test(text)
    );
  });
  expect(await page.getByTestId('console-canvas').count()).toBeLessThanOrEqual(1);
});

test('a page with graphics resizes the console, and the screenshot is its picture', async () => {
  const { app, page } = window;
  const machine = app.machine();
  await machine.tab('console');
  await machine.press('4');
  let picture = await machine.pixels();
  await eventually(
    'the whole gradient in the browser',
    async () => {
      picture = await machine.pixels();
      // The last pixel of the gradient is drawn last.
      return picture.width === 1024 && picture.height === 768 && picture.data[(767 * 1024 + 1020) * 4]! > 240;
    },
    60_000,
  );
  expect(colours(picture)).toBeGreaterThan(10_000);
  const download = page.waitForEvent('download');
  await page.getByTestId('screenshot').click();
  const file = await (await download).path();
  const png = readPng(readFileSync(file));
  // The square has moved meanwhile; the rest is the same.
  expect(difference(png, picture)).toBeLessThan(3);
  await machine.press('Escape');
});

test('hardware, performance and log tell what there is and what happened', async () => {
  const { app, page } = window;
  const machine = app.machine();
  await machine.tab('hardware');
  await eventually('the hardware list', async () => {
    const hardware = await page.getByTestId('machine-page').innerText();
    return /32 MiB/.test(hardware) && /check\.img/.test(hardware);
  });
  expect(await accessibilityProblems(window.page)).toEqual([]);
  await machine.tab('performance');
  await machine.profile();
  expect(await page.getByTestId('profile-facts').innerText()).toMatch(/Recompiler[\s\S]*Compiled regions/);
  expect(await accessibilityProblems(window.page)).toEqual([]);
  await machine.tab('log');
  expect((await machine.logLines()).join('\n')).toMatch(/start/i);
});

test('the history of the machine is drawn and exported, and the host page and the table show it too', async () => {
  const { app, page } = window;
  const machine = app.machine();
  await machine.tab('performance');
  const charts = page.getByTestId('history-chart');
  await eventually('a measured CPU', async () => /^CPU\s*\d+%/.test(await charts.first().innerText()));
  expect(await charts.count()).toBe(7);
  await eventually('memory of some MiB', async () => /Memory\s*\d+(\.\d)? MiB/.test(await page.getByTestId('machine-page').innerText()));
  const download = page.waitForEvent('download');
  await page.getByTestId('history-csv').click();
  const csv = readFileSync(await (await download).path(), 'utf8');
  expect(csv.split('\r\n')[0]).toBe('time,cpu,instructions,deviceCalls,memory,diskRead,diskWrite,frames');
  expect(csv.split('\r\n').length).toBeGreaterThan(3);
  await page.getByTestId('history-day').check({ force: true });
  await app.byId('nav-host').click();
  await eventually('the machine on the host page', async () => /Hypervue check/.test(await page.getByTestId('host-machines').innerText()));
  expect(await accessibilityProblems(window.page)).toEqual([]);
  await contract.call('settings.set', { machinesView: 'table' });
  await app.goToMachines();
  await eventually('lines in the table', async () => (await page.getByTestId('machine-row').locator('polyline').count()) >= 2);
  expect(await accessibilityProblems(window.page)).toEqual([]);
  await contract.call('settings.set', { machinesView: 'grid' });
  await app.machines.open('Hypervue check');
});

test('naming a system in the wizard suggests memory and disk for it', async () => {
  const { app, page } = window;
  const { systems, problem } = await contract.call('host.systems', {});
  expect(problem).toBe('');
  const asking = systems.find(({ name, recommended }) => name === 'Debian 11' && recommended.memoryBytes)!;
  await app.goToMachines();
  await app.machines.create();
  await app.wizard.source('blank');
  await app.wizard.next();
  await page.getByTestId('system').locator('input').fill('debian 11');
  await app.wizard.next();
  const memory = page.getByTestId('memory').locator('input');
  await eventually(
    'the memory recommended',
    async () => Number((await memory.inputValue()).replace(/\D/g, '')) === asking.recommended.memoryBytes! / 1024 ** 2,
  );
  await memory.fill('16');
  await memory.blur();
  await page.getByText(/Less than the .* that Debian 11 needs/).waitFor();
  expect(await accessibilityProblems(window.page)).toEqual([]);
  await app.byId('wizard-cancel').click();
  await app.byId('confirm-other').click();
  await app.machines.open('Hypervue check');
});

test('two viewers see the same machine; closing one disturbs nothing', async () => {
  const second = await openWindow(browser, server);
  await second.app.machines.open('Hypervue check');
  await second.app.machine().tab('console');
  await second.app.machine().focusConsole();
  await window.app.machine().tab('console');
  await eventually('equal pictures', async () => {
    const [mine, theirs] = [await window.app.machine().pixels(), await second.app.machine().pixels()];
    return mine.width === theirs.width && mine.width > 0 && difference(mine, theirs) < 0.5;
  });
  expect(second.problems).toEqual([]);
  await second.close();
  await window.app.machine().press('5');
  await window.app.machine().press('Escape');
});

test('the card shows a live thumbnail, and its buttons pause, resume and shut down', async () => {
  const { app } = window;
  await app.goToMachines();
  const card = app.machines.card('Hypervue check');
  const image = card.locator('img').first();
  const width = () => image.evaluate((element) => (element as unknown as { naturalWidth: number }).naturalWidth);
  await eventually('the thumbnail', async () => (await width()) > 100);
  await app.machines.pause('Hypervue check');
  await app.machines.waitForState('Hypervue check', 'paused');
  await app.machines.resume('Hypervue check');
  await app.machines.waitForState('Hypervue check', 'running');
  // ACPI: the check image turns itself off.
  await app.machines.shutDown('Hypervue check');
  await app.machines.waitForState('Hypervue check', 'off');
  expect(await width()).toBeGreaterThan(100);
});

test.each(['light', 'dark'] as const)(
  'every page is accessible in %s',
  async (theme) => {
    const { app, page } = window;
    await contract.call('settings.set', { theme });
    await app.goToMachines();
    await page.waitForTimeout(300);
    const problems: Record<string, string[]> = {};
    problems.machines = await accessibilityProblems(window.page);
    await app.machines.open('Hypervue check');
    problems.machine = await accessibilityProblems(window.page);
    await app.machine().tab('console');
    problems.console = await accessibilityProblems(window.page);
    await app.machine().tab('performance');
    problems.performance = await accessibilityProblems(window.page);
    await app.machine().tab('log');
    problems.log = await accessibilityProblems(window.page);
    await app.machines.create();
    problems.wizard = await accessibilityProblems(window.page);
    await app.goToSettings();
    problems.settings = await accessibilityProblems(window.page);
    await app.byId('nav-about').click();
    problems.about = await accessibilityProblems(window.page);
    await app.byId('nav-diagnostics').click();
    await app.byId('diagnose-summary').waitFor();
    problems.diagnostics = await accessibilityProblems(window.page);
    await page.keyboard.press('Control+k');
    await app.byId('palette-field').fill('check');
    problems.palette = await accessibilityProblems(window.page);
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+k');
    await app.byId('palette-field').fill('machines');
    await page.keyboard.press('Enter');
    await app.machines.tick('Hypervue check');
    problems.chosen = await accessibilityProblems(window.page);
    expect(Object.entries(problems).filter(([, list]) => list.length)).toEqual([]);
  },
  60_000,
);

test('Simplified Chinese from the settings, everywhere', async () => {
  const { app, page } = window;
  await contract.call('settings.set', { language: 'zh-CN', theme: 'light' });
  await app.goToMachines();
  await eventually('Chinese headings', async () =>
    /[\u4e00-\u9fff]/.test(await page.getByRole('heading', { level: 1 }).first().innerText()),
  );
  await app.machines.create();
  const text = await page.locator('main').innerText();
  // Nothing of the English interface is left, but for names of formats and keys.
  expect(text).not.toMatch(/\b(Cancel|Next|Back|Choose|Machine|Memory|Create)\b/);
  await contract.call('settings.set', { language: 'en' });
});

test('deleting can be undone', async () => {
  const { app, page } = window;
  await app.goToMachines();
  await app.machines.choose('Hypervue check', 'delete');
  await app.confirm();
  await app.machines.card('Hypervue check').waitFor({ state: 'detached' });
  await page.getByTestId('toast-action').click();
  await app.machines.card('Hypervue check').waitFor();
  expect(window.problems).toEqual([]);
});
