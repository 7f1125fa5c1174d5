import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { accessibilityProblems } from './support/accessibility.ts';
import { contract, window } from './support/session.ts';

/** Snapshots and the saved state of a machine that runs, as a person uses them. */
let id: string;

beforeAll(async () => {
  const vm = await contract.call('vm.create', {
    name: 'Snapped',
    memoryMiB: 32,
    source: { type: 'blank' },
    newDisk: { sizeBytes: 4 << 20, format: 'qcow2' },
  });
  id = vm.id;
});

const picture = async (name: string) => {
  const folder = process.env.HYPERVUE_PICTURES;
  if (folder) await window.page.screenshot({ path: path.join(folder, `${name}.png`) });
};

test('a running machine is snapshotted, reverted with the present kept, and its snapshots are edited and deleted', async () => {
  const { page } = window;
  await contract.call('vm.start', { id });
  await page.goto(`${page.url().replace(/#.*$|\/machines.*$/, '')}#/machines/${id}/snapshots`).catch(() => {});
  const at = (name: string) => page.getByTestId(name);
  if (
    !(await at('snapshot-take')
      .isVisible()
      .catch(() => false))
  ) {
    await page.getByText('Snapped').first().click();
    await at('tab-snapshots').click();
  }
  await at('snapshots-none').waitFor();
  await at('snapshot-take').click();
  await at('snapshot-name').fill('First');
  expect(await accessibilityProblems(window.page)).toEqual([]);
  await picture('take');
  await at('snapshot-confirm').click();
  await page.getByTestId('snapshot').filter({ hasText: 'First' }).waitFor();
  const { snapshots } = await contract.call('snapshot.list', { id });
  expect(snapshots[0]).toMatchObject({ name: 'First', kind: 'memory', state: 'running' });
  await at('snapshot-revert').click();
  await at('snapshot-plan').waitFor();
  expect(await at('snapshot-plan').innerText()).toContain('is taken first');
  await picture('revert');
  await at('snapshot-confirm').click();
  await page.getByTestId('snapshot').nth(1).waitFor();
  await at('snapshot-dialog').waitFor({ state: 'detached' });
  expect((await contract.call('vm.get', { id })).state).toBe('running');
  expect(await accessibilityProblems(window.page)).toEqual([]);
  await picture('tree');
  await page.getByTestId('snapshot').nth(1).getByTestId('snapshot-edit').click();
  await at('snapshot-name').fill('Other');
  await at('snapshot-confirm').click();
  await page.getByTestId('snapshot').filter({ hasText: 'Other' }).waitFor();
  await page.getByTestId('snapshot').nth(1).getByTestId('snapshot-delete').click();
  await at('snapshot-confirm').click();
  await page.getByTestId('snapshot').nth(1).waitFor({ state: 'detached' });
  expect((await contract.call('snapshot.list', { id })).snapshots.map(({ name }) => name)).toEqual(['First']);
}, 120_000);

test('a machine is saved, says so, and goes on', async () => {
  const { page } = window;
  await page.getByTestId('more-button').click();
  await page.getByTestId('menu-saveState').click();
  await page.locator('[data-testid=machine-page][data-state=saved]').waitFor();
  // The saved memory goes into it, and the machine still goes on afterwards.
  await page.getByTestId('snapshot-take').click();
  await page.getByTestId('snapshot-name').fill('While saved');
  await page.getByTestId('snapshot-confirm').click();
  await page.getByTestId('snapshot').filter({ hasText: 'While saved' }).waitFor();
  const { snapshots } = await contract.call('snapshot.list', { id });
  expect(snapshots.find(({ name }) => name === 'While saved')).toMatchObject({ kind: 'memory' });
  expect((await contract.call('vm.get', { id })).state).toBe('saved');
  expect(await accessibilityProblems(window.page)).toEqual([]);
  await picture('saved');
  await page.getByTestId('start-button').click();
  await page.locator('[data-testid=machine-page][data-state=running]').waitFor();
}, 60_000);
