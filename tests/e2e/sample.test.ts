import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { accessibilityProblems } from './support/accessibility.ts';
import { eventually, openWindow } from './support/browser.ts';
import { colours, crop, difference, playsInBrowser, readPng } from './support/picture.ts';
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
  await machine.screenshot('save');
  const file = await (await download).path();
  const png = readPng(readFileSync(file));
  // The square has moved meanwhile; the rest is the same.
  expect(difference(png, picture)).toBeLessThan(3);

  // A part of it, dragged over: pixel for pixel what the whole picture has there.
  await machine.screenshot('region');
  const part = page.waitForEvent('download');
  await machine.dragOver(0.25, 0.25, 0.5, 0.4);
  await page.getByTestId('region-save').click();
  const cut = readPng(readFileSync(await (await part).path()));
  expect(Math.abs(cut.width - 257)).toBeLessThan(4);
  expect(Math.abs(cut.height - 116)).toBeLessThan(4);
  const place = { x: 256, y: 192 };
  let least = Number.POSITIVE_INFINITY;
  for (let dx = -3; dx <= 3; dx++)
    for (let dy = -3; dy <= 3; dy++) least = Math.min(least, difference(cut, crop(png, place.x + dx, place.y + dy, cut.width, cut.height)));
  expect(least).toBeLessThan(3);
  // Graphics have no characters: their words are read from the pixels, and it says that this is not exact.
  await machine.press('Escape');
  await machine.press('6');
  await eventually('the drawing sheet', async () => (await machine.pixels()).height === 480);
  await page.getByTestId('select-text').click();
  await page.getByText('not exact').waitFor();
  expect((await page.getByTestId('recognized').locator('text').allTextContents()).join(' ')).toContain('a sheet to draw on');
  await page.getByTestId('recognized-close').click();
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
  expect(await charts.count()).toBe(9);
  await eventually('memory of some MiB', async () => /Memory\s*\d+(\.\d)? MiB/.test(await page.getByTestId('machine-page').innerText()));
  const download = page.waitForEvent('download');
  await page.getByTestId('history-csv').click();
  const csv = readFileSync(await (await download).path(), 'utf8');
  expect(csv.split('\r\n')[0]).toBe('time,cpu,instructions,deviceCalls,memory,diskRead,diskWrite,netReceive,netSend,frames');
  expect(csv.split('\r\n').length).toBeGreaterThan(3);
  await page.getByTestId('history-day').check({ force: true });
  await app.byId('nav-host').click();
  await eventually('the machine on the host page', async () => /Hypervue check/.test(await page.getByTestId('host-machines').innerText()));
  expect(await accessibilityProblems(window.page)).toEqual([]);
  await contract.call('settings.set', { machinesView: 'table' });
  await app.goToMachines();
  await eventually('lines in the table', async () => (await page.getByTestId('machine-row').locator('polyline').count()) >= 2);
  expect(await accessibilityProblems(window.page)).toEqual([]);
  // CPU, memory and disk with their lines in a usual window and in a small one; this machine has no network card.
  for (const size of [
    { width: 1280, height: 800 },
    { width: 900, height: 600 },
  ]) {
    await page.setViewportSize(size);
    const lines = page.getByTestId('machine-row').locator('svg.spark');
    await eventually(`three lines at ${size.width}`, async () => {
      const shown = await Promise.all((await lines.all()).map((line) => line.isVisible()));
      return shown.filter(Boolean).length === 3;
    });
    const beyond = await page.getByTestId('machine-table').evaluate((table) => table.scrollWidth - table.clientWidth);
    expect(beyond).toBe(0);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
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

test('text on the screen is selected exactly and copied; whole factors of the screen stay sharp', async () => {
  const { page } = window;
  const machine = window.app.machine();
  const [vm] = await contract.call('vm.list', {});
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await eventually('the menu', async () =>
    (await contract.call('vm.screenText', { id: vm!.id }))?.rows[0]?.includes('Hypervue check image'),
  );
  await page.getByTestId('select-text').click();
  const { rows, columns } = (await contract.call('vm.screenText', { id: vm!.id }))!;
  const row = rows.findIndex((text) => text.includes('Processor'));
  // From the beginning of that row to the end of the one below.
  await machine.dragOver(0.5 / columns, (row + 0.5) / rows.length, (columns - 0.5) / columns, (row + 1.5) / rows.length);
  const copied = (await page.evaluate('navigator.clipboard.readText()')) as string;
  expect(copied.split('\n').map((line) => line.trimEnd())).toEqual([rows[row], rows[row + 1]]);
  expect(await accessibilityProblems(page)).toEqual([]);
  await page.getByTestId('picture-close').click();
});

test.each([1.25, 1.5])('one to one at a scale of %f: every guest pixel is one pixel of the screen', async (deviceScaleFactor) => {
  const other = await openWindow(browser, server, { deviceScaleFactor });
  await other.app.machines.open('Hypervue check');
  const machine = other.app.machine();
  await machine.tab('console');
  await machine.focusConsole();
  await other.page.getByTestId('scale').click();
  await other.page.getByTestId('scale-exact').check();
  await other.page.keyboard.press('Escape');
  const same = async () => {
    const box = (await machine.canvas.boundingBox())!;
    const guest = await machine.pixels();
    const screen = readPng(await other.page.screenshot({ scale: 'device' }));
    const left = Math.round(box.x * deviceScaleFactor);
    const top = Math.round(box.y * deviceScaleFactor);
    // The clock goes on, and the outline of the focus lies over the edge: the middle of the picture stands still.
    const [x, y, width, height] = [8, 32, guest.width - 16, 40];
    return difference(crop(screen, left + x, top + y, width, height), crop(guest, x, y, width, height));
  };
  let last = -1;
  await eventually('equal pixels', async () => (last = await same()) === 0, 10_000).catch(() => expect(last).toBe(0));
  await other.close();
});

test('viewers are counted and named; one may have the machine alone and share it when asked', async () => {
  const { page } = window;
  const machine = window.app.machine();
  await contract.call('settings.set', { viewerName: 'Anna' });
  const second = await openWindow(browser, server);
  await contract.call('settings.set', { viewerName: 'Ben' });
  await second.app.machines.open('Hypervue check');
  await second.app.machine().tab('console');
  await second.app.machine().focusConsole();
  await eventually('two viewers', async () => (await page.getByTestId('viewers-count').textContent()) === '2');
  await page.getByTestId('viewers').click();
  await page.getByTestId('viewing-hold').check();
  await page.keyboard.press('Escape');
  await second.page.getByTestId('viewer-held').waitFor();
  await second.page.getByTestId('viewer-ask').click();
  await page.getByTestId('viewer-asks').waitFor();
  expect(await accessibilityProblems(page)).toEqual([]);
  await page.getByTestId('viewer-allow').click();
  await second.page.getByTestId('viewer-held').waitFor({ state: 'detached' });
  await second.app.machine().press('z');
  await machine.tab('serial');
  await eventually('a key of the second viewer', async () => /KEY 2C\b/.test(await machine.serialText()));
  await contract.call('settings.set', { viewerName: '' });
  await second.close();
  await machine.tab('console');
});

test('the keyboard is given back by its chord, keys on the list stay here, own combinations are kept', async () => {
  const { page } = window;
  const machine = window.app.machine();
  const grabbed = () => page.getByTestId('keyboard-status').getAttribute('data-grabbed');
  await machine.focusConsole();
  await eventually('the guest’s keyboard', async () => (await grabbed()) === 'true');
  await page.keyboard.down('ControlLeft');
  await page.keyboard.down('AltLeft');
  await page.keyboard.up('AltLeft');
  await page.keyboard.up('ControlLeft');
  await eventually('the keyboard back', async () => (await grabbed()) === 'false');
  await page.getByTestId('console-preferences').click();
  await page.getByTestId('console-pass').fill('nonsense+key');
  await page.getByTestId('console-pass-wrong').waitFor();
  await page.getByTestId('console-pass').fill('f9');
  await page.getByTestId('console-settings-close').click();
  await machine.press('F9');
  await machine.press('F10');
  await page.getByTestId('send-keys').click();
  await page.getByTestId('chord-make').click();
  await page.getByTestId('custom-keys-field').press('F7');
  await page.getByTestId('custom-keys-add').selectOption('sysrq');
  await page.getByTestId('custom-keys-keep').click();
  await page.getByTestId('own-remove-0').waitFor();
  expect(await accessibilityProblems(page)).toEqual([]);
  await page.getByTestId('custom-keys-close').click();
  await page.getByTestId('send-keys').click();
  await page.getByTestId('own-0').click();
  await machine.tab('serial');
  await eventually('F10, F7 and SysRq', async () => /KEY 44\b[\s\S]*KEY 41\b[\s\S]*KEY 54\b/.test(await machine.serialText()));
  expect(await machine.serialText()).not.toMatch(/KEY 43\b/);
  await contract.call('settings.set', { consoleKeys: [] });
  await machine.tab('console');
});

test('in full screen the bar goes away and comes back at the top edge', async () => {
  const { page } = window;
  const machine = window.app.machine();
  await machine.focusConsole();
  await page.getByTestId('fullscreen').click();
  const bar = page.getByTestId('console-toolbar');
  await page.mouse.move(600, 500);
  await machine.canvas.focus();
  await eventually('the bar gone', async () => !(await bar.isVisible()), 5000);
  await page.mouse.move(600, 1);
  await bar.waitFor({ state: 'visible' });
  await page.getByTestId('fullscreen').click();
  await eventually('the page back', () => page.evaluate('document.fullscreenElement === null'));
});

test('a recording goes on beside other pages and is a video that plays; the serial line is searched, saved and sent a break', async () => {
  const { page } = window;
  const machine = window.app.machine();
  await machine.tab('console');
  await machine.focusConsole();
  await page.getByTestId('record').click();
  await page.getByTestId('record-time').waitFor();
  await machine.tab('serial');
  await page.getByTestId('recording-chip').waitFor();
  await eventually('the greeting', async () => (await machine.serialText()).includes('HYPERVUE-CHECK READY'));
  await page.getByTestId('serial-search').click();
  await page.getByTestId('serial-find').fill('check memory');
  await eventually('one found', async () => (await page.getByTestId('serial-found').innerText()) === '1 of 1');
  await page.getByTestId('serial-case').click();
  await eventually('none in this case', async () => (await page.getByTestId('serial-found').innerText()) === 'Not found');
  expect(await accessibilityProblems(page)).toEqual([]);
  await page.getByTestId('serial-find').press('Escape');
  const saved = page.waitForEvent('download');
  await page.getByTestId('serial-save').click();
  expect(readFileSync(await (await saved).path(), 'utf8')).toContain('CHECK memory OK');
  await page.getByTestId('serial-break').click();
  await page.getByText('Break sent to COM1').waitFor();
  const stopAfter = async (least: number) => {
    const recorded = async () => {
      const [, minutes, seconds] = /(\d+):(\d\d)/.exec(await page.getByTestId('recording-chip').innerText())!;
      return Number(minutes) * 60 + Number(seconds);
    };
    await eventually('some seconds of video', async () => (await recorded()) >= least);
    const download = page.waitForEvent('download');
    await page.getByTestId('recording-stop').click();
    return readFileSync(await (await download).path());
  };
  const video = await stopAfter(3);
  // Matroska's EBML header.
  expect(video.subarray(0, 4).toString('hex')).toBe('1a45dfa3');
  let played = await playsInBrowser(video, browser);
  await machine.tab('console');
  // On a busy host the browser's encoder has had no more than a moment of three seconds: of twenty it has to have more.
  if (played.seconds <= 1) {
    await page.getByTestId('record').click();
    await page.getByTestId('record-time').waitFor();
    await machine.tab('serial');
    played = await playsInBrowser(await stopAfter(20), browser);
    await machine.tab('console');
  }
  expect([played.width, played.height]).toEqual([1024, 768]);
  expect(played.seconds).toBeGreaterThan(1);
});

test('a console in its own window comes back when that is closed', async () => {
  const { page } = window;
  await window.app.machine().tab('console');
  const [popup] = await Promise.all([page.waitForEvent('popup'), page.getByTestId('detach').click()]);
  await page.getByTestId('console-elsewhere').waitFor();
  await popup.getByTestId('console-canvas').waitFor();
  // Its bar, with the machine's name in it, stays one line in windows of usual sizes, and its buttons keep their names.
  for (const width of [1280, 1024, 800]) {
    await popup.setViewportSize({ width, height: 600 });
    await eventually(`a bar of one line at ${width}`, async () => {
      const box = await popup.getByTestId('console-toolbar').boundingBox();
      return box !== null && box.height < 45;
    });
    await popup.getByRole('button', { name: 'Send keys' }).waitFor();
  }
  expect(await accessibilityProblems(popup)).toEqual([]);
  await popup.close();
  await page.getByTestId('console-canvas').waitFor();
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
    await app.byId('nav-networks').click();
    await app.byId('network-table').waitFor();
    problems.networks = await accessibilityProblems(window.page);
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
