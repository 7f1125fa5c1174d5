import { expect, test, vi } from 'vitest';
import { ownerCaller } from '../../../core/contract/access.ts';
import type { UsbSelector } from '../../../core/contract/usb.ts';
import { useAccess } from '../stores/access.ts';
import { useMachines } from '../stores/machines.ts';
import { calls, fill, get, open, press, settle } from './testing/openpage.ts';

vi.mock('../../dev/mock/screen.ts', () => ({ drawScreen: () => ({ width: 720, height: 400 }), pngOf: () => 'iVBORw0KGgo=' }));

const stick = { vendorId: '0951', productId: '1666', bus: 1, port: '4.2', serial: '60A44C41' };
const all = (id: string) => [...document.querySelectorAll<HTMLElement>(`[data-testid="${id}"]`)];
const row = (id: string) => all('host-usb-device').find((each) => each.dataset.id === id)!;

/** A look that events ask for comes a little after them. */
const looked = async () => {
  await vi.advanceTimersByTimeAsync(200);
  await settle();
};

/** The place, which loads in real time, with its list. */
async function openDevices() {
  const opened = await open('/host-devices');
  await vi.waitFor(() => get('host-usb'), { timeout: 20_000 });
  await settle();
  return opened;
}

test('USB devices, disks and PCI functions by group are listed with what they are used for; a search keeps what matches', async () => {
  await openDevices();
  expect(row('0951:1666').textContent).toContain('Kingston DataTraveler 3.0');
  expect(row('0951:1666').textContent).toContain('Bus 1, port 4.2');
  expect(row('0951:1666').querySelector('[data-testid="host-device-uses"]')).toBeNull();
  expect(get('host-device-uses', get('host-block-device')).textContent).toBe('This computer runs from it');
  expect(get('host-pci-group').textContent).toContain('IOMMU group 1');
  expect(get('host-pci-function').textContent).toContain('Shows this computer’s start');
  await fill('host-devices-search', ' DATA  kingston ');
  expect([all('host-usb-device').length, all('host-block-device').length, all('host-pci-function').length]).toEqual([1, 0, 0]);
  await fill('host-devices-search', 'no such thing');
  expect(get('host-devices-nothing').textContent).toContain('No device matches');
});

/** A machine that is on, now with a USB controller, and what it has of this computer. */
async function addTaker(manager: Awaited<ReturnType<typeof openDevices>>['manager']) {
  const usb = { has: [] as UsbSelector[] };
  manager.handlers['vm.usb.list'] = async () => usb.has;
  const { id } = useMachines().sorted.find(({ state }) => state === 'running')!;
  const taker = await manager.handlers['vm.update']({ id, patch: { usb: { tablet: false } } });
  await looked();
  return { taker, usb };
}

test('a USB device is given to a machine that is on and has a controller, and taken back; without one it says what is missing', async () => {
  const { manager } = await openDevices();
  const give = () => get('host-usb-give', row('0951:1666'));
  expect(give().getAttribute('aria-description')).toContain('No machine that is on has a USB controller');
  expect(get('host-usb-give', row('1d6b:0002')).getAttribute('aria-description')).toContain('hub');
  const { taker, usb } = await addTaker(manager);
  const attach = manager.handlers['vm.usb.attach'];
  manager.handlers['vm.usb.attach'] = (params) => {
    usb.has = [params.device];
    return attach(params);
  };
  await press(give());
  await press(all('n-dropdown-option')[0] ?? document.querySelector<HTMLElement>('.n-dropdown-option-body')!);
  expect(calls.filter(({ method }) => method === 'vm.usb.attach').map(({ params }) => params)).toEqual([{ id: taker.id, device: stick }]);
  expect(get('host-device-uses', row('0951:1666')).textContent).toContain(`Given to ${taker.name}`);
  usb.has = [];
  await press(get('host-usb-back'));
  expect(calls.filter(({ method }) => method === 'vm.usb.detach').map(({ params }) => params)).toEqual([{ id: taker.id, device: stick }]);
  expect(row('0951:1666').textContent).not.toContain('Given to');
});

test('what is looked at while a device is taken back does not hide that it was; what another window does shows after its event', async () => {
  const { manager } = await openDevices();
  const { taker, usb } = await addTaker(manager);
  usb.has = [stick];
  await press(get('host-devices-again'));
  const held = () => row('0951:1666').textContent!.includes('Given to');
  expect(held()).toBe(true);
  // A look that is under way answers what was so before.
  const devices = manager.handlers['host.devices'];
  let answer = () => {};
  manager.handlers['host.devices'] = async (params) => {
    manager.handlers['host.devices'] = devices;
    const slow = new Promise<void>((resolve) => (answer = resolve));
    await slow;
    return devices(params);
  };
  await press(get('host-devices-again'));
  usb.has = [];
  await press(get('host-usb-back'));
  expect(held()).toBe(false);
  manager.handlers['vm.usb.list'] = async () => [stick];
  answer();
  await settle();
  expect(held()).toBe(false);
  // The machine stays one that can have it.
  await manager.handlers['vm.pause']({ id: taker.id });
  await looked();
  expect(held()).toBe(true);
});

const blockRow = (name: string) => all('host-block-device').find((each) => each.dataset.name === name)!;

test('a disk is given to a machine after it was said what that means, shown as given, and taken back; one in use says why not', async () => {
  const { manager } = await openDevices();
  expect(get('host-block-give', blockRow('nvme0n1')).getAttribute('aria-description')).toBe('This computer runs from it');
  await press(get('host-block-give', blockRow('nvme0n1')));
  expect(all('give-device')).toEqual([]);
  await press(get('host-block-give', blockRow('sdb')));
  expect(get('give-device-facts').textContent).toMatch(/\/dev\/sdb · .+ · DataTraveler 3.0 · 60A44C41/);
  expect(get('give-device-warning').textContent).toContain('may be lost');
  expect(get('give-device-when').textContent).toContain('/dev/disk/by-id/usb-Kingston_DataTraveler_60A44C41-0:0');
  const chosen = (get('give-device-machine') as HTMLSelectElement).value;
  const bus = get('give-device-bus') as HTMLSelectElement;
  bus.value = 'sata';
  bus.dispatchEvent(new Event('change'));
  await press(get('give-device-read-only'));
  expect(get('give-device-warning').textContent).toContain('only look');
  const handlers = manager.handlers as Record<string, (params: never) => unknown>;
  const devices = handlers['host.devices']!;
  const drive = 'sata1';
  handlers['host.devices'] = async () => {
    const { config, id, name } = useMachines().byId.get(chosen)!;
    const has = config!.drives.find(({ path }) => path === '/dev/sdb');
    const list = (await devices({} as never)) as object;
    const entry = { device: 'sdb', machine: id, machineName: name, drive, path: '/dev/sdb', own: true, readOnly: true, when: 'now' };
    return { ...list, given: has ? [entry] : [] };
  };
  await press(get('dialog-submit'));
  await settle();
  expect(calls.filter(({ method }) => method === 'vm.giveDevice').map(({ params }) => params)).toEqual([
    { id: chosen, device: '/dev/sdb', bus: 'sata', readOnly: true },
  ]);
  expect(all('give-device')).toEqual([]);
  const { name } = useMachines().byId.get(chosen)!;
  expect(get('host-device-uses', blockRow('sdb')).textContent).toBe(`Disk of ${name} (${drive})`);
  await press(get('host-block-back', blockRow('sdb')));
  await settle();
  expect(
    useMachines()
      .byId.get(chosen)!
      .config!.drives.filter(({ path }) => path === '/dev/sdb'),
  ).toEqual([]);
  expect(get('host-block-give', blockRow('sdb')).getAttribute('aria-disabled')).toBeNull();
});

test('who does not manage the server sees the place in the sidebar with the reason', async () => {
  await open('/machines');
  useAccess().me = { ...ownerCaller('page'), role: 'view' };
  await settle();
  expect(get('nav-host-devices').getAttribute('aria-disabled')).toBe('true');
  expect(get('nav-host-devices').getAttribute('aria-description')).toContain('manages this server');
});

test('a PCI function tells what it takes to hand it to a guest, with the commands', async () => {
  await openDevices();
  await press(get('host-pci-passthrough'));
  await vi.waitFor(() => get('check-driver'));
  const dialog = get('passthrough');
  expect(dialog.textContent).toContain('Intel Corporation UHD Graphics 630');
  expect(calls.filter(({ method }) => method === 'host.passthrough').map(({ params }) => params)).toEqual([{ address: '0000:00:02.0' }]);
  expect(get('passthrough-driver').textContent).toContain('modprobe vfio-pci');
  expect(all('passthrough-display')).toEqual([]);
  await press(get('passthrough-close'));
  expect(all('passthrough')).toEqual([]);
});
