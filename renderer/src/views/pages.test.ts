import { expect, test, vi } from 'vitest';
import { nextTick } from 'vue';
import { ownerCaller } from '../../../core/contract/access.ts';
import { i18n } from '../i18n/index.ts';
import { useAccess } from '../stores/access.ts';
import { useMachines } from '../stores/machines.ts';
import { useWizard } from '../stores/wizard.ts';
import { arrive, calls, card, fill, get, open, press, settle } from './testing/openpage.ts';

// happy-dom has neither a canvas nor an observer worth the name.
vi.mock('../../dev/mock/screen.ts', () => ({ drawScreen: () => ({ width: 720, height: 400 }), pngOf: () => 'iVBORw0KGgo=' }));

test('the Machines page shows each machine once, sorted by name, with its state in words', async () => {
  await open('/machines');
  const names = [...document.querySelectorAll('[data-testid="machine-card"]')].map((each) => each.getAttribute('data-name'));
  expect(names.slice(0, 3)).toEqual(['Debian 12 live', 'FreeDOS 1.3', 'GRUB rescue']);
  expect(get('state-chip', card('memtest86+')).textContent).toContain('Crashed');
  expect(card('memtest86+').textContent).toContain('triple fault');
});

test('start runs from the card; a verb that cannot work is still there, says why and does nothing', async () => {
  await open('/machines');
  const start = get('start-button', card('Debian 12 live'));
  expect(start.getAttribute('aria-disabled')).toBe('true');
  expect(start.getAttribute('aria-description')).toBe('The machine is running already');
  await press(start);
  expect(calls.some((each) => each.method === 'vm.start')).toBe(false);
  await press(get('start-button', card('FreeDOS 1.3')));
  expect(card('FreeDOS 1.3').dataset.state).toBe('starting');
  await vi.advanceTimersByTimeAsync(400);
  await settle();
  expect(card('FreeDOS 1.3').dataset.state).toBe('running');
});

test('a failure says what failed, to what, why and what to do', async () => {
  await open('/machines');
  await press(get('start-button', card('Slackware 15 with a rather long name that does not fit')));
  const dialog = get('error-dialog');
  expect(dialog.textContent).toContain('Could not start “Slackware 15');
  expect(get('error-message').textContent).toBe('disk.img is in use by the machine “Debian 12 live”.');
  expect(get('error-fix').textContent).toContain('give this one a copy of the disk');
  await press(get('error-close'));
  expect(document.querySelector('[data-testid="error-dialog"]')).toBeNull();
});

test('search and state filter narrow the list and can be cleared', async () => {
  await open('/machines');
  await fill('machine-search', 'dos');
  expect(document.querySelectorAll('[data-testid="machine-card"]')).toHaveLength(1);
  await press(get('filter-running'));
  get('no-match').querySelector('button')?.click();
  await settle();
  expect(document.querySelectorAll('[data-testid="machine-card"]')).toHaveLength(6);
});

test('an empty library offers the next step, and the sample is created and started', async () => {
  const { router } = await open('/machines', 0);
  await press(get('empty-sample'));
  expect(calls.find((each) => each.method === 'vm.create')?.params).toMatchObject({ source: { type: 'sample' }, newDisk: null });
  expect(calls.some((each) => each.method === 'vm.start')).toBe(true);
  await arrive(router, 'console');
});

test('the wizard keeps every answer when Back is used and when creating fails', async () => {
  const { router } = await open('/new');
  expect(get('wizard-next').getAttribute('aria-disabled')).toBe('true');
  await fill('source-path', '/srv/images/debian.iso');
  expect(get('inspection').textContent).toContain('Debian GNU/Linux 12');
  await press(get('wizard-next'));
  expect((get('vm-name').querySelector('input') as HTMLInputElement).value).toBe('Debian GNU/Linux 12');
  await fill('vm-name', 'disk full');
  await press(get('wizard-back'));
  expect((get('source-path').querySelector('input') as HTMLInputElement).value).toBe('/srv/images/debian.iso');
  for (let i = 0; i < 4; i++) await press(get('wizard-next'));
  expect(get('wizard-step-count').textContent).toBe('Step 5 of 5');
  expect(get('summary-network').textContent).toBe('NetworkDefault · VirtIO');
  expect(get('summary-name').textContent).toContain('disk full');
  await press(get('wizard-create'));
  expect(get('wizard-error').textContent).toContain('Free some space or make the new disk smaller');
  expect(get('summary-file').textContent).toContain('/srv/images/debian.iso');
  await press(get('wizard-go-system'));
  await fill('vm-name', 'Fits');
  const firmware = get('firmware') as HTMLSelectElement;
  firmware.value = 'uefi';
  firmware.dispatchEvent(new Event('change'));
  await settle();
  await press(get('wizard-go-resources'));
  const cpu = get('cpu-model') as HTMLSelectElement;
  cpu.value = 'i686';
  cpu.dispatchEvent(new Event('change'));
  await settle();
  expect(get('wizard-next').getAttribute('aria-description')).toContain('64-bit processor');
  cpu.value = 'x86-64-v2';
  cpu.dispatchEvent(new Event('change'));
  await settle();
  await press(get('wizard-go-summary'));
  await press(get('wizard-create'));
  await arrive(router, 'machine');
  expect(calls.filter((each) => each.method === 'vm.create').at(-1)?.params).toEqual({
    name: 'Fits',
    os: 'Debian GNU/Linux 12',
    memoryMiB: 512,
    cpuModel: 'x86-64-v2',
    firmware: 'uefi',
    source: { type: 'iso', path: '/srv/images/debian.iso' },
    bus: 'virtio',
    network: [{ id: 'net0', model: 'virtio', network: 'default', connected: true }],
    newDisk: { sizeBytes: 20 * 1024 ** 3, format: 'qcow2' },
  });
});

test('a machine that starts from the network: what the network hands out is told and set on the way, and nothing is lost', async () => {
  const { router } = await open('/new');
  await fill('source-path', '/srv/images/debian.iso');
  const network = get('source-network') as HTMLInputElement;
  network.checked = true;
  network.dispatchEvent(new Event('change'));
  await settle();
  await vi.waitFor(() => expect(get('hands-out').textContent).toContain('hands out nothing'), { timeout: 20_000 });
  const choose = async (id: string) => {
    const field = get('source-network-choice') as HTMLSelectElement;
    field.value = id;
    field.dispatchEvent(new Event('change'));
    await settle();
  };
  await choose('');
  expect(get('wizard-next').getAttribute('aria-description')).toContain('Choose a network first');
  await choose('lab');
  expect(get('hands-out').textContent).toContain('Another server');
  await choose('default');
  await press(get('hands-out-set'));
  await fill('network-boot-file', 'boot.ipxe');
  await fill('network-boot-folder-path', '/srv/tftp');
  await press(get('dialog-submit'));
  expect(get('hands-out').textContent).toBe('Hands out boot.ipxe in /srv/tftp');
  await press(get('wizard-next'));
  await fill('vm-name', 'From the network');
  for (let i = 0; i < 3; i++) await press(get('wizard-next'));
  expect(get('summary-handsOut').textContent).toContain('boot.ipxe in /srv/tftp');
  expect(get('summary-order').textContent).toContain('The disk, then the network');
  expect(get('summary-network').textContent).toContain('Default');
  await press(get('wizard-create'));
  await arrive(router, 'machine');
  expect(calls.filter((each) => each.method === 'vm.create').at(-1)?.params).toMatchObject({
    source: { type: 'network' },
    network: [{ id: 'net0', network: 'default' }],
    newDisk: { format: 'qcow2' },
  });
});

test('who is quicker than the look into the medium gets its name and system all the same', async () => {
  await open('/new');
  const field = get('source-path').querySelector('input')!;
  field.value = '/srv/images/debian.iso';
  field.dispatchEvent(new Event('input', { bubbles: true }));
  await nextTick();
  get('wizard-skip').click();
  await nextTick();
  expect(get('wizard').dataset.step).toBe('source');
  await vi.advanceTimersByTimeAsync(400);
  await settle();
  expect(get('wizard').dataset.step).toBe('summary');
  expect(get('summary-name').textContent).toContain('Debian GNU/Linux 12');
  expect(get('summary-os').textContent).toContain('Debian GNU/Linux 12');
  expect(get('summary-firmware').textContent).toContain('BIOS');
  // What comes late is looked at as well: the checks are those of what is wanted now.
  const before = calls.filter(({ method }) => method === 'vm.preflight').length;
  useWizard().draft.firmware = 'uefi';
  await settle();
  expect(calls.filter(({ method }) => method === 'vm.preflight').slice(before)).toMatchObject([{ params: { firmware: 'uefi' } }]);
  await press(get('summary-os').querySelector('button')!);
  expect(get('wizard').dataset.step).toBe('system');
});

test('the suggestions of all later steps can be taken at once, with a name of its own', async () => {
  const { router } = await open('/new');
  expect(get('wizard-skip').getAttribute('aria-disabled')).toBe('true');
  await fill('source-path', '/srv/images/debian.iso');
  await press(get('wizard-skip'));
  expect(get('wizard').dataset.step).toBe('summary');
  expect(get('summary-name').textContent).toContain('Debian GNU/Linux 12');
  await press(get('wizard-go-system'));
  await fill('vm-name', '');
  expect(get('wizard-skip').getAttribute('aria-disabled')).toBe('true');
  await fill('vm-name', 'Mine');
  await press(get('wizard-skip'));
  await press(get('wizard-create'));
  await arrive(router, 'machine');
  expect(calls.filter((each) => each.method === 'vm.create').at(-1)?.params).toMatchObject({ name: 'Mine', os: 'Debian GNU/Linux 12' });
});

test('a failed check blocks creation and shows its fix; a file of another kind offers the right source', async () => {
  await open('/new');
  await fill('source-path', '/srv/images/disk.img');
  expect(get('better-source').textContent).toContain('Disk image');
  await press(get('better-source').querySelector('button')!);
  expect((get('source-path').querySelector('input') as HTMLInputElement).value).toBe('/srv/images/disk.img');
  await press(get('wizard-next'));
  await fill('vm-name', 'bad name');
  for (let i = 0; i < 3; i++) await press(get('wizard-next'));
  expect(get('check-name').dataset.ok).toBe('false');
  // What keeps it from being made comes first, whatever else was looked at.
  expect(get('preflight').firstElementChild).toBe(get('check-name'));
  expect(get('check-name').textContent).toContain('Choose another name.');
  await press(get('wizard-create'));
  expect(calls.some((each) => each.method === 'vm.create')).toBe(false);
  await press(get('edit-name'));
  expect(get('wizard').dataset.step).toBe('system');
});

test('the sample has a step less; leaving asks what becomes of the answers, Escape too, and nothing is asked when there are none', async () => {
  const { router } = await open('/new?source=sample');
  expect(get('wizard-step-count').textContent).toBe('Step 1 of 4');
  await press(get('wizard-cancel'));
  await arrive(router, 'machines');
  await router.push('/new');
  await settle();
  await fill('source-path', '/srv/images/debian.iso');
  get('wizard').dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
  await settle();
  await press(get('confirm-cancel'));
  expect(router.currentRoute.value.name).toBe('new');
  await press(get('wizard-cancel'));
  await press(get('confirm-ok'));
  await arrive(router, 'machines');
  await router.push('/new');
  await settle();
  expect((get('source-path').querySelector('input') as HTMLInputElement).value).toBe('/srv/images/debian.iso');
  await press(get('wizard-cancel'));
  await press(get('confirm-other'));
  await arrive(router, 'machines');
  await router.push('/new');
  await settle();
  expect((get('source-path').querySelector('input') as HTMLInputElement).value).toBe('');
}, 30_000);

test('a machine to be customized is made and not started', async () => {
  const { router } = await open('/new?source=blank');
  for (let i = 0; i < 4; i++) await press(get('wizard-next'));
  await press(get('wizard-customize'));
  await arrive(router, 'hardware');
  await vi.waitFor(() => expect(get('first-start').textContent).toContain('not started'), { timeout: 20_000 });
  expect(calls.some((each) => each.method === 'vm.start')).toBe(false);
});

test('delete asks, names what stays, and can be undone', async () => {
  await open('/machines');
  await press(get('more-button', card('FreeDOS 1.3')));
  await press(get('menu-delete').querySelector<HTMLElement>('.n-dropdown-option-body') ?? get('menu-delete'));
  const dialog = get('confirm-dialog');
  expect(dialog.textContent).toContain('/home/user/Hypervue/FreeDOS 1.3');
  expect(dialog.textContent).toContain('/srv/images/debian-12.5.0-i386-netinst.iso');
  await press(get('confirm-ok'));
  expect(document.querySelector('[data-name="FreeDOS 1.3"]')).toBeNull();
  await press(get('toast-action'));
  expect(card('FreeDOS 1.3').dataset.state).toBe('off');
});

test('the arrow keys bring an entry of a cut menu into view, and scrolling the menu itself leaves it open', async () => {
  await open('/machines');
  const into = vi.spyOn(Element.prototype, 'scrollIntoView').mockImplementation(() => {});
  const button = get('more-button', card('FreeDOS 1.3'));
  await press(button);
  document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown', bubbles: true }));
  await settle();
  expect((into.mock.contexts as Element[]).map((each) => each.className)).toEqual([expect.stringContaining('pending')]);
  into.mockRestore();
  document.querySelector('.n-dropdown-menu')!.dispatchEvent(new Event('scroll'));
  await settle();
  expect(button.getAttribute('aria-expanded')).toBe('true');
  document.querySelector('.page, main')!.dispatchEvent(new Event('scroll'));
  await settle();
  expect(button.getAttribute('aria-expanded')).toBe('false');
});

test('a measurement shows the hottest code of the time it took, and counting ends with it', async () => {
  await open('/machines/00000000-0000-4000-8000-000000000000/performance');
  expect(document.querySelector('[data-testid="profile-table"]')).toBeNull();
  await press(get('profile-measure'));
  expect(calls.filter((each) => each.method === 'vm.profile').map((each) => (each.params as { count: boolean }).count)).toEqual([true]);
  await vi.advanceTimersByTimeAsync(5000);
  await settle();
  expect(calls.filter((each) => each.method === 'vm.profile').map((each) => (each.params as { count: boolean }).count)).toEqual([
    true,
    false,
  ]);
  const rows = [...document.querySelectorAll('[data-testid="profile-row"]')].map((row) => row.textContent);
  expect(rows).toHaveLength(2);
  expect(rows[0]).toMatch(/31%.*0xffffffff8104f3a0.*64-bit, compiled.*to the next region.*mov {4}rax,QWORD PTR \[rsi\]/);
  expect(rows[1]).toContain('to the dispatcher');
  expect(get('profile-facts').textContent).toMatch(/Busy90%/);
});

test('a measurement that nobody waits for any longer still ends the counting', async () => {
  const { router } = await open('/machines/00000000-0000-4000-8000-000000000000/performance');
  await press(get('profile-measure'));
  await router.push('/machines');
  await settle();
  expect(calls.filter((each) => each.method === 'vm.profile').map((each) => (each.params as { count: boolean }).count)).toEqual([
    true,
    false,
  ]);
});

test('a machine that is off cannot be measured, and the page says why', async () => {
  const { router } = await open('/machines/00000000-0000-4000-8000-000000000002/performance');
  await arrive(router, 'performance');
  expect(get('machine-page').dataset.state).toBe('off');
  const button = get('profile-measure') as HTMLButtonElement;
  expect(button.disabled).toBe(true);
  expect(document.body.textContent).toContain('must run to be measured');
});

test('the log filters by level and text', async () => {
  await open('/machines/00000000-0000-4000-8000-000000000000/log');
  const rows = () => [...document.querySelectorAll('[data-testid="log-row"]')];
  expect(rows()).toHaveLength(60);
  const level = get('log-level') as HTMLSelectElement;
  level.value = 'error';
  level.dispatchEvent(new Event('change', { bubbles: true }));
  await settle();
  expect(rows().length).toBeGreaterThan(0);
  expect(rows().every((row) => row.classList.contains('error'))).toBe(true);
});

test('settings apply at once, in both languages', async () => {
  await open('/settings');
  const language = get('setting-language') as HTMLSelectElement;
  language.value = 'zh-CN';
  language.dispatchEvent(new Event('change', { bubbles: true }));
  await settle();
  await vi.dynamicImportSettled();
  await settle();
  expect(get('settings').textContent).toContain('外观和行为');
  expect(document.documentElement.lang).toBe('zh-CN');
  const theme = get('setting-theme') as HTMLSelectElement;
  theme.value = 'dark';
  theme.dispatchEvent(new Event('change', { bubbles: true }));
  await settle();
  expect(document.documentElement.dataset.theme).toBe('dark');
  i18n.global.locale.value = 'en';
});

test('a machine on an encrypted disk asks for the passphrase; a wrong one can be tried again', async () => {
  const { manager } = await open('/machines');
  const start = manager.handlers['vm.start'];
  const locked = new Error('locked');
  const otherwise = manager.toError.bind(manager);
  let reason = '';
  manager.toError = (error) =>
    error === locked ? { kind: 'unauthorized', message: 'the passphrase does not open disk.qcow2', context: { reason } } : otherwise(error);
  manager.handlers['vm.start'] = async (params) => {
    if (params.passphrase === 'right') return start(params);
    reason = params.passphrase === undefined ? 'passphrase-missing' : 'passphrase-wrong';
    throw locked;
  };
  await press(get('start-button', card('FreeDOS 1.3')));
  expect(get('unlock-dialog').textContent).toContain('FreeDOS 1.3');
  await fill('unlock-passphrase', 'wrong');
  await press(get('unlock-start'));
  expect(get('unlock-dialog').textContent).toContain('not the passphrase');
  await fill('unlock-passphrase', 'right');
  await press(get('unlock-start'));
  await vi.advanceTimersByTimeAsync(400);
  await settle();
  expect(document.querySelector('[data-testid="unlock-dialog"]')).toBeNull();
  expect(card('FreeDOS 1.3').dataset.state).toBe('running');
});

test('who may only look sees what changes something disabled, and reads why', async () => {
  const { router } = await open('/machines');
  const off = (ids: string[]) =>
    ids.filter((id) => get(id).getAttribute('aria-disabled') !== 'true' || !get(id).getAttribute('aria-description'));
  const to = async (path: string) => {
    await router.push(path);
    await settle();
  };
  const makers = ['new-machine', 'import-machine', 'nav-new', 'folder-new'];
  expect(off(makers)).toEqual(makers);
  useAccess().me = { ...ownerCaller('page'), role: 'operate' };
  await settle();
  expect(off(makers)).toEqual([]);
  await press(get('new-machine'));
  expect(router.currentRoute.value.name).toBe('machines');
  // An address, a key or a dropped file leads there all the same.
  await to('/new');
  await vi.waitFor(() => expect(get('wizard-refused').textContent).toContain('another role'), { timeout: 20_000 });
  const blank = get('source-blank') as HTMLInputElement;
  blank.checked = true;
  blank.dispatchEvent(new Event('change'));
  await settle();
  await press(get('wizard-next'));
  expect(get('wizard').dataset.step).toBe('source');
  expect(off(['wizard-next', 'wizard-skip'])).toEqual([]);
  const { id } = [...useMachines().byId.values()].find(({ name }) => name === 'Debian 12 live')!;
  await to(`/machines/${id}`);
  await vi.waitFor(() => expect(off(['rename-button'])).toEqual([]), { timeout: 20_000 });
  await press(get('rename-button'));
  expect(document.querySelector('[data-testid="rename-field"]')).toBeNull();
  expect(get('description').closest('fieldset')!.disabled).toBe(true);
  expect(get('machine-folder').closest('fieldset')!.disabled).toBe(true);
  expect(get('locked-fields').textContent).toContain('Operate');
  await to('/storage');
  await vi.waitFor(() => expect(off(['new-volume', 'import-volume', 'add-pool'])).toEqual([]), { timeout: 20_000 });
  await press(get('add-pool'));
  await press(get('new-volume'));
  expect(document.querySelector('[role="dialog"]')).toBeNull();
  await press(get('volume-more'));
  await vi.waitFor(() => expect(get('volume-menu-check').getAttribute('title')).toContain('another role'));
  await press(document.body);
  await to('/trash');
  await vi.waitFor(() => expect(off(['trash-empty'])).toEqual([]), { timeout: 20_000 });
  await to('/settings');
  await vi.waitFor(() => expect((get('setting-disk').closest('fieldset') as HTMLFieldSetElement).disabled).toBe(true), { timeout: 20_000 });
  // What a console is like is everybody's own.
  expect(get('setting-viewerName').closest('fieldset')).toBeNull();
  await press(get('nav-activity'));
  expect(get('tasks-clear').getAttribute('aria-description')).toContain('another role');
  useAccess().me = ownerCaller('page');
  await settle();
  expect((get('setting-disk').closest('fieldset') as HTMLFieldSetElement).disabled).toBe(false);
});
