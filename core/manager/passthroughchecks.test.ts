import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { passthroughSchema } from '../contract/passthrough.ts';
import { defaultInterfaces } from '../platform/hostdevices/passthrough.ts';
import { passthrough } from './passthroughchecks.ts';

const CARD = '0000:01:00.0';
const AUDIO = '0000:01:00.1';
const BRIDGE = '0000:00:01.0';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'hv-pt-'));
  put('proc', { cpuinfo: 'vendor_id\t: AuthenticAMD', cmdline: 'root=/dev/sda1 quiet' });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Files below `folder`; what begins with -> is a link, from the root. */
function put(folder: string, files: Record<string, string>): void {
  for (const [name, value] of Object.entries(files)) {
    const file = path.join(root, folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    if (value.startsWith('->')) symlinkSync(path.join(root, value.slice(2)), file);
    else writeFileSync(file, `${value}\n`);
  }
}

/** A function as the kernel has it: its folder below /sys/devices, and a link from the bus. */
function pci(
  address: string,
  classId: string,
  { group, driver, ...more }: { group?: number; driver?: string; [name: string]: string | number | undefined } = {},
) {
  const of = `sys/devices/pci0000:00/${address}`;
  put(of, { vendor: '0x10de', device: '0x1234', class: `0x${classId}`, ...(more as Record<string, string>) });
  put('sys/bus/pci/devices', { [address]: `->${of}` });
  if (group !== undefined) put(of, { iommu_group: `->sys/kernel/iommu_groups/${group}` });
  if (driver) {
    mkdirSync(path.join(root, 'sys/bus/pci/drivers', driver), { recursive: true });
    put(of, { driver: `->sys/bus/pci/drivers/${driver}` });
  }
  return of;
}

const look = async (address = CARD) =>
  passthroughSchema.parse(await passthrough(address, { id: 'builtin', name: 'Built-in' }, root, 'linux'));
const check = async (id: string) => (await look()).checks.find((each) => each.id === id);

describe('a function', () => {
  it('that everything is ready for lacks an engine only', async () => {
    pci(CARD, '030000', { group: 7, driver: 'vfio-pci' });
    put('dev/vfio', { 7: '' });
    const { checks, along } = await look();
    expect(along).toEqual([]);
    expect(checks.map(({ id, ok }) => [id, ok])).toEqual([
      ['iommu', true],
      ['group', true],
      ['unused', true],
      ['driver', true],
      ['rights', true],
      ['engine', false],
    ]);
    expect(checks.flatMap(({ commands }) => commands)).toEqual([]);
  });

  it('takes the others of its group along, but no bridge, and says how they get to the driver', async () => {
    pci(BRIDGE, '060400', { group: 7, driver: 'pcieport' });
    pci(CARD, '030000', { group: 7, driver: 'nouveau' });
    pci(AUDIO, '040300', { group: 7 });
    const { along, checks } = await look();
    expect(along.map(({ address }) => address)).toEqual([AUDIO]);
    const found = Object.fromEntries(checks.map((each) => [each.id, each]));
    expect(found.group).toMatchObject({ ok: false, severity: 'warning', message: expect.stringContaining(AUDIO) });
    expect(found.driver!.message).toContain(`${CARD} (nouveau), ${AUDIO}`);
    expect(found.driver!.commands).toEqual([
      'modprobe vfio-pci',
      `echo vfio-pci > /sys/bus/pci/devices/${CARD}/driver_override`,
      `echo ${CARD} > /sys/bus/pci/devices/${CARD}/driver/unbind`,
      `echo ${CARD} > /sys/bus/pci/drivers_probe`,
      `echo vfio-pci > /sys/bus/pci/devices/${AUDIO}/driver_override`,
      `echo ${AUDIO} > /sys/bus/pci/drivers_probe`,
    ]);
    expect(found.rights!.message).toContain('/dev/vfio/7 is not there before');
  });

  it('with a disk that is mounted is not to be taken away: no commands for the driver', async () => {
    const of = pci(CARD, '010802', { group: 3, driver: 'nvme' });
    put(`${of}/nvme/nvme0/nvme0n1`, { size: '2048', dev: '259:0' });
    put('sys/class/block', { nvme0n1: `->${of}/nvme/nvme0/nvme0n1` });
    put('proc/self', { mountinfo: '30 1 259:0 / /data rw - ext4 /dev/nvme0n1 rw' });
    expect(await check('disks')).toMatchObject({ ok: false, severity: 'error', message: expect.stringContaining('/dev/nvme0n1 /data') });
    expect(await check('driver')).toMatchObject({ ok: false, commands: [], fix: expect.stringContaining('First mend') });
  });

  it('that the way to the network leads through is not to be taken away', async () => {
    const of = pci(CARD, '020000', { group: 3, driver: 'virtio-pci' });
    put(`${of}/virtio0/net/eth0`, { address: '02:00:00:00:00:01' });
    put('sys/class/net', { eth0: `->${of}/virtio0/net/eth0` });
    put('proc/net', { route: 'Iface\tDestination\tGateway\neth0\t00000000\t0101A8C0' });
    expect(await check('route')).toMatchObject({ ok: false, severity: 'error', message: expect.stringContaining('eth0') });
    expect((await check('driver'))!.commands).toEqual([]);
  });

  it('that shows the start, or of a group that may not be opened, says so', async () => {
    pci(CARD, '030000', { group: 7, driver: 'vfio-pci', boot_vga: '1' });
    expect(await check('display')).toMatchObject({ ok: false, severity: 'warning' });
    expect(await check('unused')).toBeUndefined();
  });

  it.each([
    ['GenuineIntel', 'quiet', 'intel_iommu=on'],
    ['AuthenticAMD', 'quiet', 'AMD-Vi'],
    ['CentaurHauls', 'quiet', 'where the processor has one'],
    ['GenuineIntel', 'intel_iommu=on,off', 'Remove'],
    ['AuthenticAMD', 'iommu=off', 'Remove'],
  ])('without an IOMMU, on %s with "%s", is told how to turn it on', async (vendor, cmdline, fix) => {
    put('proc', { cpuinfo: `vendor_id : ${vendor}`, cmdline });
    pci(CARD, '030000');
    const { checks } = await look();
    expect(checks.map(({ id, ok }) => [id, ok])).toEqual([
      ['iommu', false],
      ['engine', false],
    ]);
    expect(checks[0]!.fix).toContain(fix);
  });

  it('outside all groups, where others have one, can not be separated', async () => {
    pci(CARD, '030000');
    pci(BRIDGE, '060400', { group: 1 });
    expect((await check('iommu'))!.message).toContain('in no IOMMU group');
  });

  it('that is not there, or not on Linux, is an error that names it', async () => {
    await expect(look('0000:05:00.0')).rejects.toMatchObject({ kind: 'not-found', message: expect.stringContaining('0000:05:00.0') });
    await expect(passthrough(CARD, { id: 'builtin', name: '' }, root, 'darwin')).rejects.toMatchObject({ kind: 'unsupported' });
  });
});

it('default routes of both protocols are found, the kernel’s own for nothing is not', () => {
  const none = '0'.repeat(32);
  const row = (network: string, length: string, name: string) =>
    `${network} ${length} ${none} 00 ${none} 00000400 00000001 00000000 00000003 ${name}`;
  expect(
    defaultInterfaces(
      'Iface Destination\neth0\t00000000\t01\neth1\t0000A8C0\t00',
      [row(none, '00', 'wlan0'), row(none, '00', 'lo'), row(none, '40', 'eth2')].join('\n'),
    ),
  ).toEqual(['eth0', 'wlan0']);
  expect(defaultInterfaces('', 'nonsense')).toEqual([]);
});
