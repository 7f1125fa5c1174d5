import { expect, test, vi } from 'vitest';
import type { Role } from '../../../core/contract/access.ts';
import { ownRole } from '../composables/verbs.ts';
import { useAccess } from '../stores/access.ts';
import { arrive, calls, get, open, press, settle } from './testing/openpage.ts';
// Loaded before the tests' time begins to run: on a busy host that alone takes seconds.
import './MachineView.vue';
import './machine/SnapshotsTab.vue';

vi.mock('../../dev/mock/screen.ts', () => ({ drawScreen: () => ({ width: 720, height: 400 }), pngOf: () => 'iVBORw0KGgo=' }));

const debian = '/machines/00000000-0000-4000-8000-000000000000/snapshots';
const dialog = () => document.querySelector('[data-testid="snapshot-dialog"]');

function become(role: Role): void {
  const access = useAccess();
  access.me = { ...access.me!, role };
  ownRole.value = role;
}

test('the verb opens the dialog once, and coming back to the page does not', async () => {
  const { router } = await open(`${debian}?take=1`);
  await vi.waitFor(() => expect(dialog()).not.toBeNull(), { timeout: 20_000 });
  await settle();
  expect(router.currentRoute.value.query).toEqual({});
  await press(get('snapshot-confirm'));
  expect(calls.find(({ method }) => method === 'snapshot.take')?.params).toMatchObject({ memory: true });
  await router.push('/machines');
  await router.push(debian);
  await arrive(router, 'snapshots');
  await settle();
  expect(dialog()).toBeNull();
}, 30_000);

test('who may only operate can take one, and is told why the rest is not for them; who may only look takes none', async () => {
  const { router } = await open('/machines');
  become('operate');
  await router.push(debian);
  await arrive(router, 'snapshots');
  await vi.waitFor(() => get('snapshot-tree'), { timeout: 20_000 });
  expect(get('snapshot-take').hasAttribute('disabled')).toBe(false);
  for (const id of ['snapshot-revert', 'snapshot-clone', 'snapshot-edit', 'snapshot-delete']) {
    expect(get(id).getAttribute('aria-disabled'), id).toBe('true');
    expect(get(id).getAttribute('aria-description')).toContain('another role');
    await press(get(id));
  }
  expect(dialog()).toBeNull();
  become('view');
  await settle();
  expect(get('snapshot-take').hasAttribute('disabled')).toBe(true);
  expect(get('snapshot-refusal').textContent).toContain('another role');
  await router.push(`${debian}?take=1`);
  await settle();
  expect(dialog()).toBeNull();
  become('manage');
}, 30_000);
