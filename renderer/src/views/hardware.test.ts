import { expect, test, vi } from 'vitest';
import { ownerCaller } from '../../../core/contract/access.ts';
import { useAccess } from '../stores/access.ts';
import { useMachines } from '../stores/machines.ts';
import { arrive, calls, get, open, press, settle } from './testing/openpage.ts';

vi.mock('../../dev/mock/screen.ts', () => ({ drawScreen: () => ({ width: 720, height: 400 }), pngOf: () => 'iVBORw0KGgo=' }));

const running = '00000000-0000-4000-8000-000000000000';
const off = '00000000-0000-4000-8000-000000000002';
const at = (device: string, id = running) => open(`/machines/${id}/hardware?device=${device}`);
const choose = async (id: string, value: string) => {
  const field = get(id) as HTMLSelectElement;
  field.value = value;
  field.dispatchEvent(new Event('change'));
  await settle();
};
const type = async (id: string, value: string) => {
  const field = get(id) as HTMLInputElement;
  field.value = value;
  field.dispatchEvent(new Event('input'));
  await settle();
};
const there = (id: string) => document.querySelector(`[data-testid="${id}"]`) !== null;
const apply = () => press(get('hardware-save'));
const patch = () => (calls.find((each) => each.method === 'vm.update')!.params as { patch: object }).patch;

test('every part of the machine has a page, and a change is sent as a patch of what changed only', async () => {
  await at('cpu');
  const parts = [...get('hardware-list').querySelectorAll('[data-testid^="device-"]')].map((each) => each.getAttribute('data-testid'));
  expect(parts).toEqual(
    [
      'machine',
      'cpu',
      'memory',
      'boot',
      'display',
      'ide0',
      'ide2',
      'controller-ide',
      'net0',
      'serial0',
      'serial1',
      'input',
      'clock',
      'chipset',
      'debug',
      'config',
      'explain',
      'add',
    ].map((id) => `device-${id}`),
  );
  expect((get('cpu-model') as HTMLSelectElement).value).toBe('i686');
  await choose('cpu-model', 'x86-64');
  await choose('accel', 'interp');
  expect(get('accel-text').textContent).toContain('slow');
  await press(get('paravirt'));
  await apply();
  expect(patch()).toEqual({ cpu: { model: 'x86-64', count: 1, accel: 'interp' }, paravirt: false });
});

test('every page opens, and says of each field when it applies', async () => {
  const { router } = await at('machine');
  for (const id of [
    'machine',
    'cpu',
    'memory',
    'boot',
    'display',
    'ide0',
    'ide2',
    'controller-ide',
    'serial0',
    'input',
    'clock',
    'chipset',
    'debug',
    'explain',
  ]) {
    await press(get(`device-${id}`));
    await vi.waitFor(() => expect(document.querySelector(`[data-device="${id}"] h2`)?.textContent).toBeTruthy(), { timeout: 20_000 });
    expect(router.currentRoute.value.query.device).toBe(id);
  }
  await vi.waitFor(() => expect(there('explain-command')).toBe(true), { timeout: 20_000 });
  expect(get('explain-command').textContent).toContain('qemu-system-x86_64');
});

test('a network card is put into the boot order, where its network and what is tried before it can be seen', async () => {
  await at('boot');
  const card = get('boot-net0') as HTMLInputElement;
  expect(card.checked).toBe(false);
  expect(document.querySelector('[data-place="net0"]')!.textContent).toMatch(/Network card 1\s*Default/);
  card.checked = true;
  card.dispatchEvent(new Event('change'));
  await settle();
  await press(get('boot-net0-up'));
  await apply();
  expect(patch()).toMatchObject({ boot: { order: ['ide2', 'net0', 'ide0'] } });
});

test('the boot order is changed with buttons and keys, a drive is left out, and the menu waits as long as it is told', async () => {
  await at('boot');
  const lines = () => [...get('boot-order').querySelectorAll<HTMLElement>('[data-place]')].map((line) => line.dataset.place);
  // The card is not in the order, and last.
  expect(lines()).toEqual(['ide2', 'ide0', 'net0']);
  await press(get('boot-ide0-up'));
  expect(lines()).toEqual(['ide0', 'ide2', 'net0']);
  const first = document.querySelector<HTMLElement>('[data-place="ide0"]')!;
  first.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown', altKey: true, bubbles: true, cancelable: true }));
  await settle();
  expect(lines()).toEqual(['ide2', 'ide0', 'net0']);
  expect(document.activeElement?.getAttribute('data-place')).toBe('ide0');
  const cd = get('boot-ide2') as HTMLInputElement;
  cd.checked = false;
  cd.dispatchEvent(new Event('change'));
  await settle();
  // It keeps its place in the list.
  expect(lines()).toEqual(['ide2', 'ide0', 'net0']);
  await press(get('boot-menu'));
  const seconds = get('boot-menu-seconds') as HTMLInputElement;
  seconds.value = '7';
  seconds.dispatchEvent(new Event('change'));
  await apply();
  expect(patch()).toEqual({ boot: { order: ['ide0'], menu: true, menuSeconds: 7, kernel: null } });
});

test('changes that were not applied hold back another part, another tab and another page until it is said what becomes of them', async () => {
  const { router } = await at('clock');
  await choose('clock', 'localtime');
  await press(get('device-memory'));
  expect(get('confirm-dialog').textContent).toContain('not applied');
  await press(get('confirm-cancel'));
  expect(router.currentRoute.value.query.device).toBe('clock');
  expect((get('clock') as HTMLSelectElement).value).toBe('localtime');
  await press(get('tab-log'));
  await press(get('confirm-other'));
  await arrive(router, 'log');
  expect(calls.some((each) => each.method === 'vm.update')).toBe(false);
  await router.push(`/machines/${running}/hardware?device=clock`);
  await settle();
  expect((get('clock') as HTMLSelectElement).value).toBe('utc');
  await choose('timekeeping', 'instructions');
  await press(get('device-cpu'));
  await press(get('confirm-ok'));
  await vi.waitFor(() => expect(router.currentRoute.value.query.device).toBe('cpu'), { timeout: 20_000 });
  expect(patch()).toEqual({ timekeeping: 'instructions' });
  const unload = new Event('beforeunload', { cancelable: true });
  window.dispatchEvent(unload);
  expect(unload.defaultPrevented).toBe(false);
  await choose('accel', 'interp');
  window.dispatchEvent(unload);
  expect(unload.defaultPrevented).toBe(true);
});

test('how a disk is served applies at once, where it is attached at the next start', async () => {
  await at('ide0');
  await choose('drive-cache', 'unsafe');
  await choose('drive-write-errors', 'report');
  await type('drive-bandwidth', '20');
  await apply();
  expect(calls.find((each) => each.method === 'vm.setDrivePolicy')?.params).toMatchObject({
    drive: 'ide0',
    policy: { cache: 'unsafe', writeErrors: 'report', limits: { bytesPerSecond: 20 * 1024 * 1024 } },
  });
  expect(calls.some((each) => each.method === 'vm.update' || each.method === 'vm.growDisk')).toBe(false);
  await choose('drive-bus', 'virtio');
  await apply();
  expect(patch()).toMatchObject({ drives: [{ id: 'virtio0', cache: 'unsafe' }, { id: 'ide2' }] });
});

test('a medium changes at once, a drive is taken out after a question', async () => {
  await at('ide2');
  await press(get('eject-ide2'));
  expect(calls.find((each) => each.method === 'vm.changeMedium')?.params).toMatchObject({ drive: 'ide2', path: null });
  expect(get('drive-medium').textContent).toContain('Empty');
  await press(get('drive-remove'));
  expect(get('confirm-dialog').textContent).toContain('CD/DVD drive');
  await press(get('confirm-ok'));
  expect(patch()).toMatchObject({ drives: [{ id: 'ide0' }], boot: { order: ['cdrom', 'disk'] } });
  expect(there('device-ide2')).toBe(false);
});

test('the question that can also move a disk to the trash says how large its file is', async () => {
  const { manager } = await at('ide0', off);
  const plan = vi.fn(async (..._: unknown[]) => ({ bytes: 1.5 * 1024 ** 3, refusal: null }));
  Object.assign(manager.handlers, { 'storage.planDelete': plan });
  await press(get('drive-remove'));
  const { folder } = await manager.handlers['vm.get']({ id: off });
  expect(plan.mock.lastCall?.at(0)).toEqual({ path: `${folder}/disk.img` });
  expect(get('confirm-dialog').textContent).toContain('disk.img (1.5 GiB)');
  expect(there('confirm-other')).toBe(true);
});

test('a new disk and a port are added; what can’t be added says why', async () => {
  const { router } = await at('machine', off);
  await press(get('device-add'));
  expect((get('add-serial') as HTMLInputElement).disabled).toBe(true);
  expect(get('add-device').textContent).toContain('two serial ports at most');
  await type('add-size', '2');
  await press(get('add-device-ok'));
  expect(calls.find((each) => each.method === 'vm.addDisk')?.params).toMatchObject({
    sizeBytes: 2 * 1024 ** 3,
    format: 'qcow2',
    bus: 'ide',
  });
  expect(router.currentRoute.value.query.device).toBe('ide1');
});

test('a USB controller is added with its tablet, changed, and removed when no disk is on it', async () => {
  const { router, manager } = await at('cpu', off);
  await press(get('device-add'));
  await press(get('add-usb'));
  expect((get('add-tablet') as HTMLInputElement).checked).toBe(true);
  await press(get('add-device-ok'));
  expect(patch()).toEqual({ usb: { tablet: true } });
  await vi.waitFor(() => expect(router.currentRoute.value.query.device).toBe('usb'), { timeout: 20_000 });
  await vi.waitFor(() => expect(there('usb-tablet')).toBe(true), { timeout: 20_000 });
  calls.length = 0;
  await press(get('usb-tablet'));
  await apply();
  expect(patch()).toEqual({ usb: { tablet: false } });
  await press(get('device-add'));
  expect((get('add-usb') as HTMLInputElement).disabled).toBe(true);
  expect(document.body.textContent).toContain('has its USB controller already');
  await press(document.querySelector<HTMLElement>('[data-testid="add-device"] button')!);
  const vm = await manager.handlers['vm.get']({ id: off });
  const disk = { id: 'usb0' as const, kind: 'disk' as const, path: 'stick.img', format: 'raw' as const, readOnly: false };
  const put = (config: typeof vm.config) => (manager as unknown as { put(next: typeof vm): void }).put({ ...vm, config });
  put({ ...vm.config!, drives: [...vm.config!.drives, disk] });
  await settle();
  expect((get('usb-remove') as HTMLButtonElement).disabled).toBe(true);
  put(vm.config);
  await settle();
  calls.length = 0;
  await press(get('usb-remove'));
  await press(get('confirm-ok'));
  expect(patch()).toEqual({ usb: null });
  await vi.waitFor(() => expect(there('device-usb')).toBe(false), { timeout: 20_000 });
});

test('what waits for the next start is shown as it is and as it will be, and can be taken back', async () => {
  const { manager } = await at('memory');
  const vm = await manager.handlers['vm.get']({ id: running });
  const config = { ...vm.config!, memoryMiB: 2048 };
  (manager as unknown as { put(next: typeof vm): void }).put({ ...vm, config, runsWith: vm.config });
  await settle();
  expect(get('pending').textContent).toMatch(/Memory\s*now\s*1 GiB\s*→\s*then\s*2 GiB/);
  expect(get('device-memory').querySelector('[role="img"]')?.getAttribute('aria-label')).toContain('next start');
  await press(get('pending-revert'));
  await press(get('confirm-ok'));
  expect(there('pending')).toBe(false);
});

test('UEFI settings are reset after a question, and only while the machine is off', async () => {
  await at('cpu', off);
  await choose('cpu-model', 'x86-64-v2');
  await apply();
  await press(get('device-boot'));
  await vi.waitFor(() => expect(there('firmware')).toBe(true), { timeout: 20_000 });
  await choose('firmware', 'uefi');
  expect(there('firmware-reset')).toBe(false);
  await apply();
  await press(get('firmware-reset'));
  await press(get('confirm-ok'));
  expect(calls.find((each) => each.method === 'vm.resetFirmware')?.params).toEqual({ id: off });
  expect(document.body.textContent).toContain('nvram.2026');
});

test('gdb gets a port and may be waited for', async () => {
  await at('debug');
  expect(there('gdb-port')).toBe(false);
  await press(get('gdb'));
  const port = get('gdb-port') as HTMLInputElement;
  port.value = '2345';
  port.dispatchEvent(new Event('change'));
  await settle();
  await press(get('gdb-wait'));
  await apply();
  expect(patch()).toEqual({ debug: { gdb: { type: 'tcp', port: 2345 }, wait: true } });
});

test('a machine that was made to be customized is started or discarded from here', async () => {
  const { router } = await open(`/machines/${off}/hardware?first=1`);
  expect(get('first-start').textContent).toContain('not started yet');
  await press(get('first-start-button'));
  await arrive(router, 'console');
  expect(calls.find((each) => each.method === 'vm.start')?.params).toMatchObject({ id: off });
});

test('who may only look sees every field disabled, and reads why', async () => {
  await at('boot');
  expect(there('hardware-locked')).toBe(false);
  useAccess().me = { ...ownerCaller('page'), role: 'view' };
  await settle();
  expect(get('hardware-locked').textContent).toContain('your role is “View”');
  const fields = get('hardware-locked').closest('fieldset')!;
  expect(fields.disabled).toBe(true);
  expect([...fields.querySelectorAll('[role=switch]')].every((each) => each.getAttribute('tabindex') !== '0')).toBe(true);
  expect([...fields.querySelectorAll('[data-place]')].map((each) => (each as HTMLElement).draggable)).not.toContain(true);
  expect((get('device-add') as HTMLButtonElement).disabled).toBe(true);
  await press(get('device-explain'));
  expect(there('hardware-locked')).toBe(false);
});

test('a name that another machine has, or none, is told while it is typed', async () => {
  await at('machine');
  const names = [...useMachines().byId.values()].map(({ name }) => name);
  const own = useMachines().get(running)!.name;
  const field = get('hardware-name').querySelector('input')!;
  const write = async (value: string) => {
    field.value = value;
    field.dispatchEvent(new Event('input'));
    await settle();
  };
  expect(there('name-problem')).toBe(false);
  await write(names.find((name) => name !== own)!.toUpperCase());
  expect(get('name-problem').textContent).toContain('Another machine');
  await write('  ');
  expect(get('name-problem').textContent).toContain('name');
  await write(own.toUpperCase());
  expect(there('name-problem')).toBe(false);
});
