import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';
import { accessibilityProblems } from './support/accessibility.ts';
import { contract, server, window } from './support/session.ts';

/** Encrypted disks as a person makes and uses them. What is made is looked at with qemu-img, and the machine is a real one. */
const SECRET = 'vögel & 密码, drei';
const both = async (first: string, second: string) => {
  const { app } = window;
  await app.byId('encrypt-first').locator('input').fill(first);
  await app.byId('encrypt-second').locator('input').fill(second);
};
const encryptionOf = (file: string) =>
  JSON.parse(execFileSync('qemu-img', ['info', '--output=json', file], { encoding: 'utf8' }))['format-specific'].data.encrypt?.format;

test('a disk is encrypted with a passphrase that was typed the same twice; a clone of it is encrypted too', async () => {
  const { app, page } = window;
  await app.storage.open();
  await app.byId('new-volume').click();
  await app.storage.fillName('sealed.qcow2');
  await app.storage.fillSize(8, 'MiB');
  await app.byId('encrypt').check();
  expect(await app.storage.submitButton().getAttribute('aria-description')).toContain('Give a passphrase');
  await both('abc', '');
  expect(await app.byId('encrypt-hint').innerText()).toMatch(/^Weak/);
  await both('abc', 'abd');
  expect(await app.byId('encrypt-hint').innerText()).toBe('The two are not the same');
  expect(await app.storage.submitButton().getAttribute('aria-disabled')).toBe('true');
  expect(await accessibilityProblems(page)).toEqual([]);
  await both(SECRET, SECRET);
  await app.storage.submit('volume-create');
  await app.storage.row('sealed.qcow2').waitFor();
  const sealed = path.join(server.home, 'disks', 'sealed.qcow2');
  expect(encryptionOf(sealed)).toBe('luks');

  await app.storage.choose('sealed.qcow2', 'clone');
  await app.byId('volume-passphrase').locator('input').fill('wrong');
  await app.storage.submitButton().click();
  await app.byId('volume-copy').getByRole('alert').getByText('not the passphrase').waitFor();
  await app.byId('volume-passphrase').locator('input').fill(SECRET);
  await app.storage.submit('volume-copy');
  expect(encryptionOf(path.join(server.home, 'disks', 'sealed 2.qcow2'))).toBe('luks');
  await app.storage.closeDetails();
  await app.storage.choose('sealed.qcow2', 'compact');
  await app.confirm();
  await app.byId('unlock-passphrase').locator('input').fill(SECRET);
  await app.byId('unlock-start').click();
  await app.byId('unlock-dialog').waitFor({ state: 'detached' });
});

test('a machine with an encrypted disk is made by the wizard and runs at once; later it asks, also after a wrong answer', async () => {
  const { app, page } = window;
  await app.goToMachines();
  await app.machines.create();
  await app.wizard.source('blank');
  await app.wizard.next();
  await app.wizard.name('Secret');
  await app.wizard.next();
  await app.wizard.memory(32);
  await app.wizard.next();
  await app.wizard.disk(0.01);
  await app.byId('encrypt').check();
  await both(SECRET, 'other');
  expect(await app.byId('wizard-next').getAttribute('aria-disabled')).toBe('true');
  expect(await accessibilityProblems(page)).toEqual([]);
  await both(SECRET, SECRET);
  await app.wizard.next();
  await app.wizard.waitForSummary();
  expect(await app.byId('summary-disk').innerText()).toContain('encrypted');
  await app.wizard.create(true);
  await app.byId('machine-page').waitFor();
  const machine = app.machine();
  await machine.waitForState('running');
  const [vm] = await contract.call('vm.list', {});
  expect(encryptionOf(path.join(vm!.folder, 'disk.qcow2'))).toBe('luks');
  await contract.call('vm.forceOff', { id: vm!.id });
  await machine.waitForState('off');

  await machine.verb('start');
  const dialog = app.byId('unlock-dialog');
  await dialog.waitFor();
  await app.byId('unlock-passphrase').locator('input').fill('wrong');
  await page.keyboard.press('Enter');
  await dialog.getByRole('alert').getByText('not the passphrase').waitFor();
  for (const theme of ['dark', 'light'] as const) {
    await contract.call('settings.set', { theme });
    expect(await accessibilityProblems(page)).toEqual([]);
  }
  await contract.call('settings.set', { language: 'zh-CN' });
  await dialog.getByText('这不是该磁盘的密码短语').waitFor();
  await contract.call('settings.set', { language: 'en' });
  // The field has the focus again.
  await page.keyboard.type(SECRET);
  await page.keyboard.press('Enter');
  await dialog.waitFor({ state: 'detached' });
  await machine.waitForState('running');
  await contract.call('vm.forceOff', { id: vm!.id });
  expect(window.problems).toEqual([]);
});
