import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { accessibilityProblems } from './support/accessibility.ts';
import { eventually } from './support/browser.ts';
import { contract, server, window } from './support/session.ts';

/** Pools and volumes, the trash, and clones of machines, as a person uses them; what lies on the disk then is looked at with qemu-img. */
let disks: string;
const mib = 1024 * 1024;
const qemuImg = (...args: string[]) => execFileSync('qemu-img', args, { encoding: 'utf8' });

beforeAll(async () => {
  disks = path.join(server.home, 'disks');
});

test('a disk is created with a name that is checked while it is typed', async () => {
  const { app, page } = window;
  await app.storage.open();
  await app.byId('storage-empty').waitFor();
  expect(await accessibilityProblems(page)).toEqual([]);
  await page.getByTestId('new-volume').click();
  await app.storage.fillName('../outside.qcow2');
  expect(await page.getByTestId('place-problem').innerText()).toMatch(/can’t have \//);
  expect(await app.storage.submitButton().getAttribute('aria-disabled')).toBe('true');
  expect(await accessibilityProblems(page)).toEqual([]);
  await app.storage.fillName('data.qcow2');
  await app.storage.fillSize(64, 'MiB');
  await app.storage.submit('volume-create');
  await app.storage.row('data.qcow2').waitFor();
  expect(JSON.parse(qemuImg('info', '--output=json', path.join(disks, 'data.qcow2')))).toMatchObject({
    format: 'qcow2',
    'virtual-size': 64 * mib,
  });
});

test('an image is imported, grown, checked, cloned and looked at', async () => {
  const { app, page } = window;
  const raw = path.join(server.home, 'from elsewhere.img');
  writeFileSync(raw, Buffer.alloc(3 * mib, 7));
  await app.storage.import(raw, 'imported.qcow2');
  const imported = path.join(disks, 'imported.qcow2');
  expect(qemuImg('compare', '-f', 'raw', '-F', 'qcow2', raw, imported)).toContain('identical');
  await page.getByTestId('volume-close').click();

  await app.storage.choose('imported.qcow2', 'resize');
  await app.storage.fillSize(128, 'MiB');
  expect(await page.getByTestId('volume-resize').innerText()).toContain('growpart');
  await app.storage.submit('volume-resize');
  await eventually('the new size', async () => (await app.storage.row('imported.qcow2').innerText()).includes('128 MiB'));

  await app.storage.choose('imported.qcow2', 'check');
  await app.storage.submitButton().click();
  expect(await page.getByTestId('check-result').innerText()).toMatch(/no errors/);
  await page.getByTestId('dialog-cancel').click();

  await app.storage.choose('imported.qcow2', 'linkedClone');
  await app.storage.fillName('top.qcow2');
  await app.storage.submit('volume-copy');
  const details = await app.storage.details('top.qcow2');
  await eventually('the chain', async () => (await details.getByTestId('volume-chain').innerText()).includes(imported));
  await details.getByTestId('volume-map').waitFor();
  expect(await accessibilityProblems(page)).toEqual([]);
  await app.storage.closeDetails();
  // What it lies on can't be deleted, and the button says by whom it is used.
  expect(await app.storage.reason('imported.qcow2', 'delete')).toContain('top.qcow2');
  expect(await app.storage.reason('top.qcow2', 'attach')).toBe('');
});

test('the table is searched, sorted and walked through by keyboard', async () => {
  const { app, page } = window;
  await app.storage.search('qcow2 imp');
  expect(await app.storage.names()).toEqual(['imported.qcow2']);
  await app.storage.search('nothing like this');
  await page.getByTestId('storage-no-match').waitFor();
  await app.storage.search('');
  expect(await app.storage.names()).toEqual(['data.qcow2', 'imported.qcow2', 'top.qcow2']);
  await app.storage.sortBy('size');
  expect((await app.storage.names())[0]).toBe('data.qcow2');
  await app.storage.sortBy('size');
  expect((await app.storage.names()).at(-1)).toBe('data.qcow2');
  await app.storage.sortBy('name');
  await app.storage.row('data.qcow2').getByTestId('volume-open').focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.getByTestId('volume-details').getByRole('heading', { name: 'imported.qcow2', exact: true }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByTestId('volume-details').waitFor({ state: 'detached' });
});

test('a pool is added, shown and removed; its files stay', async () => {
  const { app, page } = window;
  const folder = path.join(server.home, 'archive');
  mkdirSync(folder);
  qemuImg('create', '-q', '-f', 'qcow2', path.join(folder, 'old.qcow2'), '8M');
  await app.storage.addPool('Archive', folder);
  await app.storage.row('old.qcow2').waitFor();
  const pool = page.locator('[data-testid="pool"][data-name="Archive"]');
  await pool.getByTestId('pool-more').click();
  await page.getByTestId('pool-remove').click();
  await app.confirm();
  await app.storage.row('old.qcow2').waitFor({ state: 'detached' });
  expect(existsSync(path.join(folder, 'old.qcow2'))).toBe(true);
});

test('a pool in a folder that is not there: the folder is made only when it is said so, and what is wrong is in view in a low window', async () => {
  const { app, page } = window;
  const folder = path.join(server.home, 'not', 'yet');
  await page.setViewportSize({ width: 900, height: 320 });
  try {
    await page.getByTestId('add-pool').click();
    await page.getByTestId('pool-name').locator('input').fill('Later');
    await page.getByTestId('pool-folder-path').locator('input').fill(folder);
    expect(await app.storage.submitButton().innerText()).toBe('Add');
    await app.storage.submitButton().click();
    const message = page.getByTestId('pool-dialog').getByTestId('error-message');
    await message.waitFor();
    expect(await message.innerText()).toContain(folder);
    const seen = await message.evaluate((element) => {
      const [own, body] = [element, element.closest('.body')!].map((each) => each.getBoundingClientRect());
      return own!.top >= body!.top && own!.bottom <= body!.bottom;
    });
    expect(seen).toBe(true);
    expect(existsSync(folder)).toBe(false);

    // Another folder is another question.
    await page.getByTestId('pool-folder-path').locator('input').fill(`${folder}2`);
    expect(await app.storage.submitButton().innerText()).toBe('Add');
    await page.getByTestId('pool-folder-path').locator('input').fill(folder);
    expect(await app.storage.submitButton().innerText()).toBe('Create folder and add');
    await app.storage.submit('pool-dialog');
  } finally {
    await page.setViewportSize({ width: 1280, height: 800 });
  }
  await page.locator('[data-testid="pool"][data-name="Later"]').waitFor();
  expect(existsSync(folder)).toBe(true);
});

test('what is deleted can be undone at once, restored later, or removed for good', async () => {
  const { app, page } = window;
  await app.storage.choose('data.qcow2', 'delete');
  await app.confirm();
  await app.storage.row('data.qcow2').waitFor({ state: 'detached' });
  await page.getByTestId('toast-action').click();
  await app.storage.row('data.qcow2').waitFor();
  for (const name of ['top.qcow2', 'data.qcow2']) {
    await app.storage.choose(name, 'delete');
    await app.confirm();
    await app.storage.row(name).waitFor({ state: 'detached' });
  }
  await app.trash.open();
  await app.trash.row('top.qcow2').waitFor();
  expect(await accessibilityProblems(page)).toEqual([]);
  await app.trash.restore('top.qcow2');
  expect(existsSync(path.join(disks, 'top.qcow2'))).toBe(true);
  await app.trash.remove('data.qcow2');
  expect(await page.getByTestId('confirm-dialog').innerText()).toContain('data.qcow2');
  await app.confirm();
  await page.getByTestId('trash-nothing').waitFor();
  expect(existsSync(path.join(disks, 'data.qcow2'))).toBe(false);
  expect(await contract.call('trash.list', {})).toEqual([]);
});

test('a disk is attached, and a machine cloned, made a template and used as one', async () => {
  const { app, page } = window;
  await contract.call('vm.create', {
    name: 'Original',
    memoryMiB: 32,
    source: { type: 'blank' },
    newDisk: { sizeBytes: 8 * mib, format: 'qcow2' },
  });
  await app.storage.open();
  await app.storage.choose('top.qcow2', 'attach');
  await app.storage.submit('volume-choice');
  await eventually('the machine', async () => (await app.storage.row('top.qcow2').innerText()).includes('Original'));
  expect(await app.storage.reason('top.qcow2', 'delete')).toContain('Original');

  await app.goToMachines();
  await app.machines.choose('Original', 'clone');
  await page.getByTestId('clone-name').locator('input').fill('Full clone');
  expect(await accessibilityProblems(page)).toEqual([]);
  await app.storage.submit('clone-dialog');
  await page.getByTestId('machine-page').waitFor();
  const full = (await contract.call('vm.list', {})).find(({ name }) => name === 'Full clone')!;
  expect(full.config!.drives.filter(({ kind }) => kind === 'disk').map(({ path: file }) => file)).toEqual(['disk.qcow2', 'top.qcow2']);

  await app.goToMachines();
  await app.machines.choose('Original', 'template');
  await app.machines.card('Original').getByTestId('template-tag').waitFor();
  expect(await app.machines.card('Original').getByTestId('start-button').getAttribute('aria-description')).toContain('template');
  await app.machines.choose('Original', 'clone');
  await page.getByTestId('clone-name').locator('input').fill('From template');
  expect(await page.getByTestId('clone-linked').isChecked()).toBe(true);
  await app.storage.submit('clone-dialog');
  const linked = (await contract.call('vm.list', {})).find(({ name }) => name === 'From template')!;
  expect(JSON.parse(qemuImg('info', '--output=json', path.join(linked.folder, 'disk.qcow2')))['backing-filename']).toBe(
    '../Original/disk.qcow2',
  );
});

test('a machine is exported and imported again', async () => {
  const { app, page } = window;
  const away = path.join(server.home, 'away');
  mkdirSync(away);
  await app.goToMachines();
  await app.machines.choose('From template', 'export');
  await page.getByTestId('export-folder-path').locator('input').fill(away);
  await app.storage.submit('export-dialog');
  expect(existsSync(path.join(away, 'From template', 'vm.json'))).toBe(true);
  await page.getByTestId('import-machine').click();
  await page.getByTestId('import-folder-path').locator('input').fill(path.join(away, 'From template'));
  await page.getByTestId('import-found').waitFor();
  expect(await page.getByTestId('import-found').innerText()).toContain('From template 2');
  expect(await accessibilityProblems(page)).toEqual([]);
  await app.storage.submit('import-dialog');
  await page.getByTestId('machine-page').waitFor();
  await app.goToMachines();
  // For other programs, and back from there.
  await app.machines.choose('From template 2', 'export');
  await page.getByTestId('export-to-ova').click();
  await page.getByTestId('export-folder-path').locator('input').fill(away);
  await app.storage.submit('export-dialog');
  await page.getByTestId('import-machine').click();
  await page.getByTestId('import-from-ova').click();
  await page.getByTestId('import-file-path').locator('input').fill(path.join(away, 'From template 2.ova'));
  await app.storage.submit('import-dialog');
  await page.getByTestId('machine-page').waitFor();
  await app.goToMachines();
  expect(await app.machines.names()).toEqual(['From template', 'From template 2', 'From template 3', 'Full clone', 'Original']);
});

test('an import says what lies elsewhere, and copies it along when that is chosen', async () => {
  const { app, page } = window;
  const folder = path.join(server.home, 'with outside');
  const outside = path.join(server.home, 'outside.img');
  cpSync(path.join(server.home, 'away', 'From template'), folder, { recursive: true });
  writeFileSync(outside, Buffer.alloc(1024 * 1024, 1));
  const config = JSON.parse(readFileSync(path.join(folder, 'vm.json'), 'utf8'));
  config.name = 'Outside';
  config.drives = [{ id: 'ide0', kind: 'disk', path: outside, format: 'raw', readOnly: false }];
  writeFileSync(path.join(folder, 'vm.json'), JSON.stringify(config));
  await app.goToMachines();
  await page.getByTestId('import-machine').click();
  await page.getByTestId('import-folder-path').locator('input').fill(folder);
  const found = page.getByTestId('import-found');
  await found.waitFor();
  expect(await found.innerText()).toContain(`${outside} lies outside the folder`);
  const before = await found.getByRole('heading').innerText();
  await page.getByTestId('import-copy-disks').check();
  await eventually('the room for the disk too', async () => (await found.getByRole('heading').innerText()) !== before);
  expect(await accessibilityProblems(page)).toEqual([]);
  await app.storage.submit('import-dialog');
  await page.getByTestId('machine-page').waitFor();
  const made = (await contract.call('vm.list', {})).find(({ name }) => name === 'Outside')!;
  expect(made.config!.drives[0]!.path).toBe('outside.img');
  expect(readFileSync(path.join(made.folder, 'outside.img')).equals(readFileSync(outside))).toBe(true);
  await contract.call('vm.delete', { id: made.id });
  await app.goToMachines();
});

test('files come from the browser by its chooser and by drag and drop, and go back to it', async () => {
  const { app, page } = window;
  await app.storage.open();
  const bytes = Buffer.alloc(3 * mib, 0x5a);
  await page.getByTestId('upload-files').setInputFiles([
    { name: '安装盘.iso', mimeType: 'application/octet-stream', buffer: bytes },
    { name: 'imported.qcow2', mimeType: 'application/octet-stream', buffer: Buffer.from('no image at all') },
  ]);
  await app.storage.row('安装盘.iso').waitFor();
  // Its own name was taken.
  await app.storage.row('imported 2.qcow2').waitFor();
  expect(readFileSync(path.join(disks, '安装盘.iso')).equals(bytes)).toBe(true);
  const transfer = await page.evaluateHandle(`(() => {
    const data = new DataTransfer();
    data.items.add(new File(['dropped'], 'dropped.img'));
    return data;
  })()`);
  await page.dispatchEvent('body', 'dragenter', { dataTransfer: transfer });
  await app.byId('upload-zone').waitFor();
  expect(await accessibilityProblems(page)).toEqual([]);
  await page.dispatchEvent('body', 'drop', { dataTransfer: transfer });
  await app.storage.row('dropped.img').waitFor();
  await app.byId('upload-zone').waitFor({ state: 'detached' });
  expect(readFileSync(path.join(disks, 'dropped.img'), 'utf8')).toBe('dropped');
  await app.storage.closeDetails();

  const [download] = await Promise.all([page.waitForEvent('download'), app.storage.choose('安装盘.iso', 'download')]);
  expect(download.suggestedFilename()).toBe('安装盘.iso');
  expect(readFileSync(await download.path()).equals(bytes)).toBe(true);
  // What no file of a pool may be called is refused before anything is sent.
  await page.getByTestId('upload-files').setInputFiles([{ name: '.hidden', mimeType: 'text/plain', buffer: Buffer.from('x') }]);
  expect((await app.takeError()).message).toMatch(/name/);
});

test('an image whose lower one is gone says so in the list, and its details leave a narrow window again', async () => {
  const { app, page } = window;
  mkdirSync(disks, { recursive: true });
  qemuImg('create', '-q', '-f', 'qcow2', '-u', '-b', 'gone.qcow2', '-F', 'qcow2', path.join(disks, 'orphan.qcow2'), '64M');
  const size = page.viewportSize()!;
  await page.setViewportSize({ width: 900, height: 600 });
  try {
    await app.goToMachines();
    await app.storage.open();
    expect(await app.storage.row('orphan.qcow2').innerText()).toContain('Image below not found');
    const details = await app.storage.details('orphan.qcow2');
    const problem = details.getByTestId('volume-problem');
    await problem.waitFor();
    // The panel's own rules are not for what is in it.
    expect((await problem.boundingBox())!.height).toBeLessThan(300);
    const beyond = `(() => { const panel = document.querySelector('[data-testid="volume-details"]'); return panel.scrollWidth - panel.clientWidth; })()`;
    expect(await page.evaluate<number>(beyond)).toBe(0);
    // What to do is what can be done here.
    expect(await details.getByTestId('error-fix').innerText()).toMatch(/Rebase on the Storage page/);
    await app.storage.closeDetails();
    await details.waitFor({ state: 'detached' });
    expect(await app.storage.reason('orphan.qcow2', 'commit')).toContain('gone.qcow2');
    qemuImg('create', '-q', '-f', 'qcow2', path.join(disks, 'found.qcow2'), '64M');
    await app.storage
      .row('found.qcow2')
      .waitFor({ timeout: 1000 })
      .catch(() => page.reload());
    await app.storage.choose('orphan.qcow2', 'rebase');
    await page.getByTestId('rebase-name-only').waitFor();
    await page.getByTestId('volume-target').selectOption(path.join(disks, 'found.qcow2'));
    await app.storage.submit('volume-choice');
    await eventually('the mark to go', async () => !(await app.storage.row('orphan.qcow2').innerText()).includes('not found'));
  } finally {
    await page.setViewportSize(size);
  }
});

test('a file that does not look like an image is imported only when it is said to be a raw disk', async () => {
  const { app, page } = window;
  const notes = path.join(server.home, 'notes.txt');
  writeFileSync(notes, 'Hello');
  await app.storage.open();
  await page.getByTestId('import-volume').click();
  await page.getByTestId('volume-from-path').locator('input').fill(notes);
  await page.getByTestId('import-raw').waitFor();
  expect(await page.getByTestId('inspection-problem').innerText()).toContain('too small');
  expect(await app.storage.submitButton().getAttribute('aria-disabled')).toBe('true');
  expect(await accessibilityProblems(page)).toEqual([]);
  await page.getByTestId('import-raw').check();
  await app.storage.submit('volume-copy');
  await app.storage.row('notes.qcow2').waitFor();
  expect(JSON.parse(qemuImg('info', '--output=json', path.join(disks, 'notes.qcow2')))).toMatchObject({ 'virtual-size': 512 });
  await app.storage.closeDetails();
});
