import { expect, test, vi } from 'vitest';
import { arrive, calls, card, fill, get, open, press, settle } from './testing/openpage.ts';

// Lazy pages load in real time, on a busy machine too.
vi.setConfig({ testTimeout: 60_000 });
// happy-dom has neither a canvas nor an observer worth the name.
vi.mock('../../dev/mock/screen.ts', () => ({ drawScreen: () => ({ width: 720, height: 400 }), pngOf: () => 'iVBORw0KGgo=' }));

const names = () => [...document.querySelectorAll<HTMLElement>('[data-testid="machine-card"]')].map((each) => each.dataset.name);
const chosen = () => [...document.querySelectorAll<HTMLElement>('.card.chosen')].map((each) => each.dataset.name);
const link = (name: string) => card(name).querySelector<HTMLElement>('[data-machine-link]')!;
const click = async (element: HTMLElement, keys: MouseEventInit) => {
  element.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true, ...keys }));
  await settle();
};
const type = async (key: string, on: EventTarget = window, keys: KeyboardEventInit = {}) => {
  on.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...keys }));
  await settle();
};
const lastCall = (method: string) => calls.findLast((each) => each.method === method)?.params as Record<string, unknown> | undefined;
/** Lazy dialogs load in real time. */
const shown = (id: string) => vi.waitFor(() => get(id), { timeout: 20_000 });

test('search looks at tags and notes, and filters go together', async () => {
  await open('/machines');
  await fill('machine-search', 'production');
  expect(names()).toEqual(['Debian 12 live']);
  await fill('machine-search', 'installer images');
  expect(names()).toEqual(['Debian 12 live']);
  await fill('machine-search', '');
  const tag = document.querySelector<HTMLElement>('[data-testid="filter-tag"][data-tag="lab"]')!;
  await press(tag);
  expect(names()).toEqual(['Debian 12 live', 'GRUB rescue']);
  await press(get('filter-paused'));
  expect(names()).toEqual(['GRUB rescue']);
  await press(document.querySelector<HTMLElement>('[data-testid="folder"][data-path="servers"]')!);
  expect(get('no-match').textContent).toContain('No machine matches');
  await press(get('no-match').querySelector('button')!);
  expect(names()).toHaveLength(6);
});

test('machines are chosen with Ctrl, Shift, boxes and keys, and none is opened by it', async () => {
  const { router } = await open('/machines');
  await click(link('FreeDOS 1.3'), { ctrlKey: true });
  await click(link('memtest86+'), { shiftKey: true });
  expect(chosen()).toEqual(['FreeDOS 1.3', 'GRUB rescue', 'memtest86+']);
  await click(link('GRUB rescue'), { ctrlKey: true });
  expect(chosen()).toEqual(['FreeDOS 1.3', 'memtest86+']);
  expect(router.currentRoute.value.name).toBe('machines');
  expect(get('selection-count').textContent).toBe('2 chosen');
  await type('Escape');
  expect(chosen()).toEqual([]);
  await press(get('choose', card('Windows 95')));
  expect(chosen()).toEqual(['Windows 95']);
  await type('a', window, { ctrlKey: true });
  expect(chosen()).toHaveLength(6);
  await type('Escape');
  link('Debian 12 live').focus();
  await type(' ', link('Debian 12 live'));
  await type('End', link('Debian 12 live'), { shiftKey: true });
  expect(chosen()).toHaveLength(6);
  expect(document.activeElement).toBe(link('Windows 95'));
});

test('a verb for several names those it takes and those it leaves, and does it in one call', async () => {
  await open('/machines');
  await type('a', window, { ctrlKey: true });
  await press(get('bulk-forceOff'));
  const dialog = await shown('bulk-dialog');
  expect(dialog.textContent).toContain('Force 3 machines off?');
  expect(get('bulk-names').textContent).toContain('GRUB rescue');
  expect(get('bulk-left').textContent).toContain('FreeDOS 1.3: The machine is not running');
  expect(lastCall('vm.bulk')).toBeUndefined();
  await press(get('bulk-ok'));
  expect(lastCall('vm.bulk')).toMatchObject({ action: { type: 'forceOff' } });
  expect((lastCall('vm.bulk')!.ids as string[]).length).toBe(3);
  expect(card('GRUB rescue').dataset.state).toBe('off');
});

test('what failed for some is told, machine by machine, with another try for those', async () => {
  await open('/machines');
  await click(link('FreeDOS 1.3'), { ctrlKey: true });
  await click(link('Slackware 15 with a rather long name that does not fit'), { ctrlKey: true });
  await press(get('bulk-start'));
  await shown('bulk-dialog');
  await press(get('bulk-ok'));
  await vi.advanceTimersByTimeAsync(1000);
  const outcome = await shown('bulk-outcome');
  expect(outcome.textContent).toContain('1 of 2');
  expect(outcome.textContent).toContain('disk.img is in use');
  await press(get('bulk-again'));
  expect(lastCall('vm.bulk')!.ids).toHaveLength(1);
});

test('deleting several can be undone', async () => {
  await open('/machines');
  await click(link('FreeDOS 1.3'), { ctrlKey: true });
  await click(link('memtest86+'), { ctrlKey: true });
  await type('Delete');
  await shown('bulk-dialog');
  await press(get('bulk-ok'));
  expect(names()).toHaveLength(4);
  await press(document.querySelector<HTMLElement>('[data-testid="toast-action"]') ?? get('toast').querySelector('button')!);
  expect(names()).toHaveLength(6);
});

test('machines are dragged into folders; folders are made, and removed without what is in them', async () => {
  await open('/machines');
  const data = new Map<string, string>();
  const dataTransfer = {
    setData: (kind: string, text: string) => data.set(kind, text),
    getData: (kind: string) => data.get(kind) ?? '',
    get types() {
      return [...data.keys()];
    },
  };
  const drag = async (kind: string, on: Element) => {
    const event = new Event(kind, { bubbles: true, cancelable: true });
    Object.defineProperty(event, 'dataTransfer', { value: dataTransfer });
    on.dispatchEvent(event);
    await settle();
  };
  await click(link('FreeDOS 1.3'), { ctrlKey: true });
  await click(link('memtest86+'), { ctrlKey: true });
  const folder = document.querySelector('[data-testid="folder"][data-path="servers"]')!.closest('li')!;
  await drag('dragstart', card('memtest86+'));
  await drag('dragover', folder);
  await drag('drop', folder);
  expect(lastCall('vm.bulkEdit')).toMatchObject({ action: { type: 'group', path: 'servers' } });
  await press(folder.querySelector<HTMLElement>('[data-testid="folder"]')!);
  expect(names()).toEqual(['FreeDOS 1.3', 'memtest86+', 'Windows 95']);
});

test('a view keeps search, filters, order and layout, and comes back by its name', async () => {
  await open('/machines');
  await fill('machine-search', 'lab');
  await press(get('sort-direction'));
  expect(names()).toEqual(['GRUB rescue', 'Debian 12 live']);
  await press(get('views'));
  await press(get('views-save'));
  await fill('name-prompt-field', 'Night <b>shift</b>');
  await press(get('name-prompt-ok'));
  expect(lastCall('library.saveView')).toMatchObject({ name: 'Night <b>shift</b>', query: 'lab', descending: true });
  await settle();
  expect(get('views').textContent).toContain('Night <b>shift</b>');
  await fill('machine-search', '');
  expect(get('views').textContent).not.toContain('Night');
  await press(get('views'));
  await press(document.querySelector<HTMLElement>('[data-testid^="views-view:"]')!);
  expect(names()).toEqual(['GRUB rescue', 'Debian 12 live']);
});

test('of 500 machines only some are drawn; all can be found and chosen', async () => {
  await open('/machines', 500);
  expect(names().length).toBeLessThan(60);
  expect(get('filter-all').textContent).toContain('500');
  await type('a', window, { ctrlKey: true });
  expect(get('selection-count').textContent).toBe('500 chosen');
  await fill('machine-search', 'FreeDOS 1.3 488');
  expect(names()).toEqual(['FreeDOS 1.3 488']);
});

test('the palette finds by a few letters, says why something can’t be used, and needs no mouse', async () => {
  const { router } = await open('/machines');
  await type('k', window, { ctrlKey: true });
  await shown('palette');
  await fillPalette('pause freedos');
  const row = get('palette-row');
  expect(row.textContent).toContain('FreeDOS 1.3: Pause');
  expect(row.getAttribute('aria-disabled')).toBe('true');
  expect(row.textContent).toContain('The machine is not running');
  await type('Enter', get('palette-field'));
  expect(lastCall('vm.pause')).toBeUndefined();
  expect(get('palette')).toBeTruthy();
  await fillPalette('snapshots debian');
  await type('Enter', get('palette-field'));
  await arrive(router, 'snapshots');
  expect(document.querySelector('[data-testid="snapshot-dialog"]')).toBeNull();
  await type('k', window, { ctrlKey: true });
  await shown('palette');
  await fillPalette('zzzz');
  expect(get('palette-none').textContent).toContain('Nothing');
  await type('Escape', get('palette-field'));
  expect(document.querySelector('[data-testid="palette"]')).toBeNull();
});
const fillPalette = async (text: string) => {
  const field = get('palette-field') as HTMLInputElement;
  field.value = text;
  field.dispatchEvent(new Event('input', { bubbles: true }));
  await settle();
};

test('diagnostics name what is wrong, explain it and mend it', async () => {
  await open('/diagnostics');
  await shown('diagnose-summary');
  expect(get('diagnose-summary').dataset.state).toBe('error');
  const row = get('diagnostic');
  expect(row.dataset.id).toBe('library');
  await press(get('diagnostic-how', row));
  expect(row.textContent).toContain('let Hypervue do it');
  await press(get('diagnostic-fix', row));
  expect(lastCall('host.fix')).toEqual({ id: 'library' });
  expect(document.querySelector<HTMLElement>('[data-id="library"]')!.dataset.state).toBe('ok');
});

test('a failed verb offers what helps', async () => {
  const { router } = await open('/machines');
  await press(get('start-button', card('Slackware 15 with a rather long name that does not fit')));
  expect(get('error-do-fix').textContent).toContain('Show “Debian 12 live”');
  await press(get('error-do-fix'));
  await arrive(router, 'machine');
});

test('a new library begins with the first-run page, once', async () => {
  const { router, manager } = await open('/machines', 0);
  expect(router.currentRoute.value.name).toBe('machines');
  await manager.handlers['settings.set']({ welcomed: false });
  await arrive(router, 'welcome');
  await shown('welcome');
  await vi.waitFor(() => expect(lastCall('settings.set')).toEqual({ welcomed: true }), { timeout: 20_000 });
  await press(get('welcome-start'));
  await arrive(router, 'machines');
  await settle();
  expect(router.currentRoute.value.name).toBe('machines');
});

test('settings are found by their words', async () => {
  const { router } = await open('/settings');
  await arrive(router, 'settings');
  await shown('settings');
  await fill('settings-search', 'accent');
  const visible = [...document.querySelectorAll<HTMLElement>('[data-testid="settings"] section')].filter((each) => !each.hidden);
  expect(visible).toHaveLength(1);
  await fill('settings-search', 'no such thing');
  expect(get('settings-none')).toBeTruthy();
  await fill('settings-search', '');
  await press(get('accent-teal').closest('label')!);
  expect(lastCall('settings.set')).toEqual({ accent: 'teal' });
});

test('several machines are looked at in one list before they start: those that can’t are left out, and doubts are told once', async () => {
  const { manager } = await open('/machines');
  const stops = { id: 'ide2', ok: false, severity: 'error' as const, message: 'gone.iso does not exist' };
  const doubt = { id: 'space.save', ok: false, severity: 'warning' as const, message: 'little room' };
  const good = { id: 'memory', ok: true, severity: 'info' as const, message: '512 MiB' };
  manager.handlers['vm.check'] = async ({ ids }) =>
    ids.map((id, i) => ({ id, name: `Machine ${i}`, checks: i === 0 ? [good, stops] : [doubt, good], error: null }));
  const startAll = async () => {
    await type('a', window, { ctrlKey: true });
    await press(get('bulk-start'));
    await shown('bulk-dialog');
    await press(get('bulk-ok'));
    await shown('start-checks');
  };
  await startAll();
  const lists = [...document.querySelectorAll('[data-testid^="start-checks-Machine"]')].map((each) => each.textContent);
  expect(lists[0]).toContain('gone.iso does not exist');
  expect(lists[1]).toContain('little room');
  await press(get('start-checks-cancel'));
  expect(lastCall('vm.bulk')).toBeUndefined();
  await startAll();
  const listed = lists.length;
  await press(get('start-checks-go'));
  expect((lastCall('vm.bulk')!.ids as string[]).length).toBe(listed - 1);
});

test('of several machines that are started, one whose saved state seems to have other disks waits for a word of its own', async () => {
  const { manager } = await open('/machines');
  const changed = {
    id: 'saved-state',
    ok: false,
    severity: 'error' as const,
    message: 'disk.qcow2 was changed',
    remedy: { do: 'despite-disks' as const },
  };
  manager.handlers['vm.check'] = async ({ ids }) =>
    ids.map((id, i) => ({ id, name: `Machine ${i}`, checks: i === 1 ? [changed] : [], error: null }));
  await type('a', window, { ctrlKey: true });
  await press(get('bulk-start'));
  await shown('bulk-dialog');
  await press(get('bulk-ok'));
  await shown('start-checks');
  const count = document.querySelectorAll('[data-testid^="start-checks-Machine"]').length;
  expect(get('start-checks-go').textContent).toContain(`Start the other ${count - 1}`);
  await press(get('fix-saved-state'));
  await press(get('confirm-ok'));
  expect(document.querySelector('[data-testid="fix-saved-state"]')).toBeNull();
  await press(get('start-checks-go'));
  const { ids, action } = lastCall('vm.bulk') as { ids: string[]; action: unknown };
  expect(ids).toHaveLength(count);
  expect(action).toEqual({ type: 'start', despiteDisks: [ids[1]] });
});

test('a machine that can start but for a doubt starts all the same when told so, and the doubt is not told again', async () => {
  const { manager } = await open('/machines');
  manager.handlers['vm.check'] = async ({ ids }) =>
    ids.map((id) => ({
      id,
      name: 'FreeDOS 1.3',
      checks: [{ id: 'space.save', ok: false, severity: 'warning' as const, message: 'little room' }],
      error: null,
    }));
  const start = () => press(get('start-button', card('FreeDOS 1.3')));
  await start();
  await shown('start-checks');
  expect(get('start-checks').textContent).toContain('little room');
  expect(get('start-checks-go').textContent).toContain('Start anyway');
  expect(lastCall('vm.start')).toBeUndefined();
  await press(get('start-checks-go'));
  expect(lastCall('vm.start')).toMatchObject({ id: expect.any(String) });
  const { id } = lastCall('vm.start') as { id: string };
  await vi.advanceTimersByTimeAsync(500);
  await manager.handlers['vm.forceOff']({ id });
  await settle();
  calls.length = 0;
  await start();
  await vi.waitFor(() => expect(lastCall('vm.start')).toMatchObject({ id }));
  expect(document.querySelector('[data-testid="start-checks"]')).toBeNull();
});
