import { expect, test, vi } from 'vitest';
import { ownerCaller } from '../../../core/contract/access.ts';
import { ContractError } from '../../../core/contract/client.ts';
import type { NetworkStatus } from '../../../core/contract/networks.ts';
import { useAccess } from '../stores/access.ts';
import { useNetworks } from '../stores/networks.ts';
import { arrive, calls, card, fill, get, open, press, settle } from './testing/openpage.ts';

vi.mock('../../dev/mock/screen.ts', () => ({ drawScreen: () => ({ width: 720, height: 400 }), pngOf: () => 'iVBORw0KGgo=' }));

const running = '00000000-0000-4000-8000-000000000000';
const off = '00000000-0000-4000-8000-000000000002';
const there = (id: string) => document.querySelector(`[data-testid="${id}"]`) !== null;
const row = (name: string) => {
  const found = document.querySelector<HTMLElement>(`[data-testid="network-row"][data-name="${name}"]`);
  if (!found) throw new Error(`no network ${name} in the list`);
  return found;
};
const show = (name: string) => press(get('network-open', row(name)));
const reasonOf = (id: string) => get(id).getAttribute('aria-description');
const set = async (id: string, value: string) => {
  const field = get(id) as HTMLInputElement | HTMLSelectElement;
  field.value = value;
  field.dispatchEvent(new Event(field instanceof HTMLSelectElement ? 'change' : 'input', { bubbles: true }));
  await settle();
};
const last = (method: string) => calls.filter((each) => each.method === method).at(-1)?.params;

/** The place of its own, which loads in real time, with its list. */
const openNetworks = async (query = '') => {
  const opened = await open(`/networks${query}`);
  await vi.waitFor(() => row('Default'), { timeout: 20_000 });
  await settle();
  return opened;
};

test('each network is listed with its kind, addresses, machines and state; the details tell who is on it and what can’t be done', async () => {
  await openNetworks();
  expect([...document.querySelectorAll('[data-testid="network-row"]')].map((each) => each.getAttribute('data-name'))).toEqual([
    'Default',
    'Lab',
  ]);
  expect(row('Default').textContent).toContain('NAT');
  expect(row('Default').textContent).toContain('192.168.100.0/24');
  expect(get('network-state', row('Default')).dataset.state).toBe('active');
  expect(get('network-state', row('Lab')).textContent).toContain('Not in use');
  await show('Default');
  expect(get('network-fact-dhcp').textContent).toBe('192.168.100.128 to 192.168.100.254');
  const members = [...document.querySelectorAll<HTMLElement>('[data-testid="network-member"]')];
  expect(members.map((each) => [each.dataset.name, get('member-address', each).textContent])).toEqual([
    ['Debian 12 live', '192.168.100.128'],
    ['FreeDOS 1.3', 'off'],
    ['memtest86+', 'off'],
  ]);
  expect(reasonOf('network-delete')).toContain('always there');
  await show('Lab');
  expect(get('network-members-none').textContent).toContain('Hardware page');
  // Only NAT leads in from outside.
  expect(there('forward-add')).toBe(false);
  expect(reasonOf('network-delete')).toBeNull();
});

test('a network is made with addresses of its own, which are checked while they are typed; kinds that can’t be had say why', async () => {
  const { manager } = await openNetworks();
  const kinds = manager.handlers['network.kinds'];
  Object.assign(manager.handlers, {
    'network.kinds': async () =>
      (await kinds({}, ownerCaller('test'))).map((each) =>
        each.kind === 'bridged'
          ? { ...each, available: false, reason: { key: 'plain', params: { text: 'A bridge can’t make here' } } }
          : each,
      ),
  });
  await useNetworks().load();
  await press(get('new-network'));
  expect(reasonOf('dialog-submit')).toBe('A network needs a name');
  expect((get('network-kind-bridged') as HTMLInputElement).disabled).toBe(true);
  expect(get('network-dialog').textContent).toContain('can’t make here');
  const value = (id: string) => get(id).querySelector('input')!.value;
  expect([value('network-subnet'), value('network-from'), value('network-to')]).toEqual([
    '192.168.101.0/24',
    '192.168.101.128',
    '192.168.101.254',
  ]);
  await fill('network-name', 'Office');
  await fill('network-subnet', '10.7.0.5/16');
  expect(get('subnet-problem').textContent).toContain('10.7.0.0/16');
  await fill('network-subnet', '10.7.0.0/16');
  // What DHCP gives out follows until somebody changes it.
  expect([value('network-from'), value('network-to')]).toEqual(['10.7.128.0', '10.7.255.254']);
  await fill('network-to', '10.8.0.1');
  expect(get('dhcp-problem').textContent).toContain('inside the network');
  expect(reasonOf('dialog-submit')).toContain('inside the network');
  await fill('network-to', '10.7.200.0');
  await press(get('dialog-submit'));
  expect(last('network.create')).toEqual({
    name: 'Office',
    kind: 'nat',
    description: '',
    subnet: '10.7.0.0/16',
    dhcp: { from: '10.7.128.0', to: '10.7.200.0' },
    bridge: null,
    forwards: [],
    boot: null,
  });
  // It is shown at once.
  expect(get('network-details').textContent).toContain('Office');
});

test('a bridged network is put on a bridge of this computer; the interface of one is set up, with what is run shown before', async () => {
  await openNetworks('?new=1');
  await fill('network-name', 'Office');
  await press(get('network-kind-bridged'));
  await settle();
  expect(there('network-subnet') || there('network-dhcp')).toBe(false);
  expect((get('network-bridge') as HTMLSelectElement).value).toBe('br0');
  await press(get('dialog-submit'));
  expect(last('network.create')).toMatchObject({ kind: 'bridged', subnet: null, dhcp: null, bridge: 'br0' });
  expect(row('Office').textContent).toContain('br0');
  expect(get('network-fact-bridge').textContent).toBe('br0');
  expect(there('network-fact-subnet')).toBe(false);
  await vi.waitFor(() => expect(get('device-commands').textContent).toContain('ip tuntap add dev hv0a1b2c3d mode tap user 1000\n'));
  await press(get('device-set-up'));
  expect(get('device-text').textContent).toBe('hv0a1b2c3d is set up.');
  expect(there('device-commands')).toBe(false);
});

test('what the manager refuses stays in the dialog with every answer', async () => {
  await openNetworks('?new=1');
  await fill('network-name', 'Lab');
  await press(get('dialog-submit'));
  expect(get('network-dialog').textContent).toContain('There is a network “Lab” already');
  expect(get('network-dialog').textContent).toContain('Choose another name');
  await fill('network-name', 'Lab 2');
  await press(get('dialog-submit'));
  expect(there('network-dialog')).toBe(false);
  expect(row('Lab 2')).toBeTruthy();
});

test('while a machine is on it a network keeps its addresses and can have another name', async () => {
  await openNetworks('?show=default');
  await press(get('network-edit'));
  expect(get('network-subnet').querySelector('input')!.disabled).toBe(true);
  expect(get('network-dialog').textContent).toContain('Debian 12 live is on it');
  await fill('network-name', 'House');
  await press(get('dialog-submit'));
  expect(last('network.update')).toEqual({ id: 'default', patch: { name: 'House', description: '' } });
  expect(row('House')).toBeTruthy();
});

test('what machines start from is set in the dialog, checked while it is typed, shown, and taken back, also while one is on it', async () => {
  await openNetworks('?show=default');
  expect(there('network-fact-boot')).toBe(false);
  await press(get('network-edit'));
  await fill('network-boot-file', 'boot.ipxe');
  expect(reasonOf('dialog-submit')).toContain('A file is in a folder');
  expect(get('boot-problem').textContent).toContain('A file is in a folder');
  await fill('network-boot-folder-path', '/srv/tftp');
  await press(get('dialog-submit'));
  expect(last('network.update')).toEqual({
    id: 'default',
    patch: { name: 'Default', description: '', boot: { file: 'boot.ipxe', folder: '/srv/tftp' } },
  });
  expect(get('network-fact-boot').textContent).toBe('boot.ipxe in /srv/tftp');
  await press(get('network-edit'));
  await fill('network-boot-uefi', 'grubx64.efi');
  await press(get('dialog-submit'));
  expect(last('network.update')).toMatchObject({ patch: { boot: { file: 'boot.ipxe', uefiFile: 'grubx64.efi', folder: '/srv/tftp' } } });
  expect(get('network-fact-boot').textContent).toBe('boot.ipxe (UEFI: grubx64.efi) in /srv/tftp');
  await press(get('network-edit'));
  await fill('network-boot-uefi', '');
  await fill('network-boot-file', '');
  expect(reasonOf('dialog-submit')).toContain('leave the folder out');
  await fill('network-boot-file', 'http://boot.example.org/menu.ipxe');
  await fill('network-boot-folder-path', '');
  await press(get('dialog-submit'));
  expect(get('network-fact-boot').textContent).toBe('http://boot.example.org/menu.ipxe');
  await press(get('network-edit'));
  await fill('network-boot-file', '');
  await press(get('dialog-submit'));
  expect(last('network.update')).toEqual({ id: 'default', patch: { name: 'Default', description: '', boot: null } });
  expect(there('network-fact-boot')).toBe(false);
  // Other kinds have nothing to set.
  await show('Lab');
  await press(get('network-edit'));
  expect(there('network-boot')).toBe(false);
});

test('a network is deleted after a question; a refusal is told', async () => {
  const { manager } = await openNetworks('?show=lab');
  const remove = manager.handlers['network.delete'];
  Object.assign(manager.handlers, {
    'network.delete': async () => {
      throw new ContractError({
        kind: 'in-use',
        message: 'the network is in use',
        context: { object: 'Lab' },
        fix: 'Choose another network for it.',
      });
    },
  });
  vi.spyOn(manager, 'toError').mockImplementation((error) => (error as ContractError).dto);
  await press(get('network-delete'));
  await press(get('confirm-ok'));
  expect(get('error-dialog').textContent).toContain('Could not delete the network “Lab”');
  await press(get('error-close'));
  Object.assign(manager.handlers, { 'network.delete': remove });
  await press(get('network-delete'));
  await press(get('confirm-ok'));
  expect(there('network-details')).toBe(false);
  expect(document.querySelectorAll('[data-testid="network-row"]')).toHaveLength(1);
});

test('a port is forwarded to a machine on the network, changed, refused where another has it, removed and put back', async () => {
  await openNetworks('?show=default');
  await press(get('forward-add'));
  expect([...get('forward-machine').querySelectorAll('option')].map((each) => each.textContent)).toEqual([
    'Debian 12 live, card 1',
    'FreeDOS 1.3, card 1',
    'memtest86+, card 1',
  ]);
  await set('forward-host-port', '2222');
  await set('forward-guest-port', '22');
  await press(get('dialog-submit'));
  const first = {
    id: 'forward1',
    protocol: 'tcp',
    hostAddress: '127.0.0.1',
    hostPort: 2222,
    vm: running,
    card: 'net0',
    guestPort: 22,
    description: '',
  };
  expect(last('network.update')).toEqual({ id: 'default', patch: { forwards: [first] } });
  expect(get('network-forwards').textContent).toContain('TCP 127.0.0.1:2222');
  expect(get('network-forwards').textContent).toContain('Debian 12 live, port 22');

  await press(get('forward-add'));
  await set('forward-host-port', '2222');
  await set('forward-guest-port', '80');
  await set('forward-who', 'all');
  expect(get('forward-problem-text').textContent).toContain('has this port');
  expect(get('forward-dialog').textContent).toContain('Whoever reaches this computer');
  await set('forward-host-port', '70000');
  expect(get('forward-problem-text').textContent).toContain('1 to 65535');
  await set('forward-protocol', 'udp');
  await set('forward-host-port', '2222');
  await press(get('dialog-submit'));
  expect(document.querySelectorAll('[data-testid="network-forward"]')).toHaveLength(2);

  await press(get('forward-edit'));
  await set('forward-guest-port', '2022');
  await press(get('dialog-submit'));
  expect(last('network.update')).toMatchObject({ patch: { forwards: [{ ...first, guestPort: 2022 }, { id: 'forward2' }] } });
  await press(get('forward-remove'));
  expect(last('network.update')).toMatchObject({ patch: { forwards: [{ id: 'forward2' }] } });
  await press(get('toast-action'));
  expect(document.querySelectorAll('[data-testid="network-forward"]')).toHaveLength(2);
});

test('a network that failed and a forward that does not work say why', async () => {
  const { manager } = await openNetworks();
  const [first] = (await manager.handlers['network.list']({})) as NetworkStatus[];
  const error = { kind: 'in-use' as const, message: 'port 2222 of 127.0.0.1 is taken', context: {}, fix: 'Choose another port.' };
  const forward = {
    id: 'a',
    protocol: 'tcp' as const,
    hostAddress: '127.0.0.1',
    hostPort: 2222,
    vm: 'gone',
    card: 'net0' as const,
    guestPort: 22,
    description: '',
  };
  Object.assign(manager.handlers, {
    'network.list': async () => [
      {
        ...first!,
        state: 'failed',
        error: { ...error, message: 'its process could not start' },
        forwards: [forward],
        forwardProblems: [{ id: 'a', error }],
      },
    ],
  });
  (manager as unknown as { emit(event: string, payload: object): void }).emit('network.changed', {});
  await vi.advanceTimersByTimeAsync(300);
  await settle();
  await show('Default');
  expect(get('network-error').textContent).toContain('Its process could not start');
  expect(get('forward-problem').textContent).toContain('port 2222 of 127.0.0.1 is taken');
  expect(get('network-forwards').textContent).toContain('a machine that is gone');
});

test('a list that can’t be had says why, and one that nothing matches leads back', async () => {
  await openNetworks();
  await fill('network-search', 'debian live');
  expect(document.querySelectorAll('[data-testid="network-row"]')).toHaveLength(1);
  await fill('network-search', 'nothing like it');
  await press(get('networks-no-match').querySelector('button')!);
  expect(document.querySelectorAll('[data-testid="network-row"]')).toHaveLength(2);
});

test('who may only look sees networks and can change none', async () => {
  await openNetworks('?show=lab');
  useAccess().me = { ...ownerCaller('page'), role: 'view' };
  await settle();
  for (const id of ['new-network', 'network-edit', 'network-delete']) expect(reasonOf(id)).toContain('role');
});

test('a card is added, plugged elsewhere and pulled out, gets another address, and is removed after a question', async () => {
  const { router } = await open(`/machines/${off}/hardware?device=net0`);
  expect(get('card-address').textContent).toContain('None yet');
  await set('card-network', 'lab');
  await press(get('card-connected'));
  await set('card-model', 'virtio');
  await fill('card-mac', '52:54:00:zz');
  expect(get('card-mac-text').textContent).toContain('second digit is even');
  await fill('card-mac', '52:54:00:AB:CD:EF');
  await press(get('hardware-save'));
  expect(last('vm.update')).toEqual({
    id: off,
    patch: { network: [{ id: 'net0', model: 'virtio', mac: '52:54:00:ab:cd:ef', network: 'lab', connected: false }] },
  });
  await press(get('device-add'));
  await press(get('add-network'));
  await set('add-network-choice', '');
  await press(get('add-device-ok'));
  expect(router.currentRoute.value.query.device).toBe('net1');
  expect(last('vm.update')).toMatchObject({
    patch: { network: [{ id: 'net0' }, { id: 'net1', model: 'virtio', network: null, connected: true }] },
  });
  await press(get('card-remove'));
  expect(get('confirm-dialog').textContent).toContain('network card 2');
  await press(get('confirm-ok'));
  expect(there('device-net1')).toBe(false);
  expect(there('device-net0')).toBe(true);
});

test('a card on a network that is gone says so, and where time counts instructions it says what that means', async () => {
  const { manager } = await open(`/machines/${off}/hardware?device=net0`);
  const vm = await manager.handlers['vm.get']({ id: off });
  const config = { ...vm.config!, timekeeping: 'instructions' as const, network: [{ ...vm.config!.network[0]!, network: 'old' }] };
  (manager as unknown as { put(next: typeof vm): void }).put({ ...vm, config });
  await settle();
  expect(get('card-network-text').textContent).toContain('does not start until');
  expect((get('card-network') as HTMLSelectElement).value).toBe('old');
  expect(get('hardware-form').textContent).toContain('no two runs are the same');
});

test('a card that stands in the way of a start leads to its page', async () => {
  const { manager, router } = await open('/machines');
  const check = {
    id: 'net0',
    ok: false,
    severity: 'error' as const,
    message: 'net0: there is no network old',
    fix: 'Choose another one under Hardware.',
  };
  Object.assign(manager.handlers, {
    'vm.check': async () => [{ id: off, name: 'FreeDOS 1.3', checks: [check], error: null }],
  });
  await press(get('start-button', card('FreeDOS 1.3')));
  // The dialog loads in real time.
  await vi.waitFor(() => expect(get('start-checks').textContent).toContain('there is no network old'), { timeout: 20_000 });
  await press(get('edit-net0'));
  await arrive(router, 'hardware');
  expect(router.currentRoute.value.query.device).toBe('net0');
});

test('the overview shows the addresses of a machine and copies them', async () => {
  const copied: string[] = [];
  const write = vi.spyOn(navigator.clipboard, 'writeText').mockImplementation(async (text) => void copied.push(text));
  const { router } = await open(`/machines/${running}`);
  await arrive(router, 'machine');
  await vi.waitFor(() => expect(get('machine-address').textContent).toBe('192.168.100.128'));
  await press(get('machine-address-copy'));
  expect(copied).toEqual(['192.168.100.128']);
  write.mockRestore();
  await router.push(`/machines/00000000-0000-4000-8000-000000000001`);
  await settle();
  expect(get('machine-network').textContent).toContain('no network card');
});

test('the wizard puts a card on the default network, with the model that the system knows, or none', async () => {
  const { router } = await open('/new');
  await fill('source-path', '/srv/images/debian.iso');
  await press(get('wizard-skip'));
  expect(get('summary-network').textContent).toContain('Default · VirtIO');
  expect(get('network-model-text').textContent).toContain('Debian GNU/Linux 12 has a driver for VirtIO');
  const checked = calls.filter((each) => each.method === 'vm.preflight').length;
  await set('network-model', 'e1000');
  await set('network-choice', 'lab');
  expect(get('summary-network').textContent).toContain('Lab · Intel 82540EM');
  // What was looked at was another machine.
  expect(calls.filter((each) => each.method === 'vm.preflight').length).toBeGreaterThan(checked);
  await press(get('wizard-create'));
  await arrive(router, 'machine');
  expect(last('vm.create')).toMatchObject({ network: [{ id: 'net0', model: 'e1000', network: 'lab' }] });
});

test('a machine can be made without a card', async () => {
  const { router } = await open('/new?source=blank');
  await press(get('wizard-skip'));
  await set('network-choice', '');
  expect(get('summary-network').textContent).toContain('No network card');
  expect(there('network-model')).toBe(false);
  await press(get('wizard-create'));
  await arrive(router, 'machine');
  expect(last('vm.create')).toMatchObject({ network: [] });
});

test('a bridge is made of an interface: what is run is shown, it is tried, taken back when nobody keeps it, and kept', async () => {
  await openNetworks();
  await press(get('new-bridge'));
  await vi.waitFor(() => get('uplink-eno2'));
  // The one that leads somewhere is chosen; one that can't be had says why.
  expect((get('uplink-eno2') as HTMLInputElement).checked).toBe(true);
  expect((get('uplink-wlan0') as HTMLInputElement).disabled).toBe(true);
  expect(get('bridge-wizard').textContent).toContain('Wireless networks let one station in');
  await fill('bridge-name', 'a bridge');
  expect(reasonOf('bridge-next')).toContain('At most 15');
  await fill('bridge-name', 'lan0');
  await press(get('bridge-next'));
  expect(last('network.planBridge')).toEqual({ uplink: 'eno2', bridge: 'lan0' });
  expect(get('bridge-commands').textContent).toContain('ip link set dev eno2 master lan0');
  expect(get('bridge-wizard').textContent).toContain('NetworkManager sets eno2 up anew');
  await press(get('bridge-apply'));
  expect(last('network.applyBridge')).toEqual({ uplink: 'eno2', bridge: 'lan0', seconds: 30 });
  expect(get('bridge-left').textContent).toMatch(/Taken back in (30|29) s/);
  // Whoever closes it, or comes back after the connection was lost, finds it again.
  await press(get('dialog-close'));
  await press(get('new-bridge'));
  await vi.waitFor(() => get('bridge-left'));
  await press(get('bridge-drop'));
  await vi.waitFor(() => expect(get('bridge-taken-back').textContent).toContain('lan0 was taken back'));
  await press(get('bridge-next'));
  await press(get('bridge-apply'));
  await press(get('bridge-keep'));
  expect(last('network.keepBridge')).toEqual({});
  expect(there('bridge-wizard')).toBe(false);
});
