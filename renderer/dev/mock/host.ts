import { hostMetrics } from '../../../core/contract/history.ts';
import type { PciFunction } from '../../../core/contract/hostdevices.ts';
import type { Handlers } from '../../../core/contract/server.ts';
import { MockError } from './error.ts';

const graphics: PciFunction = {
  address: '0000:00:02.0',
  vendorId: '8086',
  deviceId: '3e92',
  classId: '030000',
  vendor: 'Intel Corporation',
  device: 'UHD Graphics 630',
  className: 'VGA compatible controller',
  driver: 'i915',
  iommuGroup: 1,
  bootVga: true,
  virtualFunctions: null,
  physicalFunction: null,
};

/** Five minutes of waves. */
export function mockSeries<M extends string>(metrics: readonly M[]): Record<M, (number | null)[]> {
  const wave = (phase: number) => Array.from({ length: 300 }, (_, i) => (i < 40 ? null : 0.5 + 0.4 * Math.sin(i / 20 + phase)));
  return Object.fromEntries(metrics.map((metric, phase) => [metric, wave(phase)])) as Record<M, (number | null)[]>;
}

/** An invented computer with one thing to mend. `machines`: how many there are. */
export function mockHost(machines: () => number) {
  let mended = false;
  return {
    'host.info': async () => ({
      version: '0.1.0',
      hostname: 'workstation',
      platform: 'Debian GNU/Linux 12, x86-64',
      cpuCount: 8,
      cpuModel: 'AMD Ryzen 7 5700U',
      memoryBytes: 16 * 1024 ** 3,
      freeMemoryBytes: 2 * 1024 ** 3,
      libraryFreeBytes: 84 * 1024 ** 3,
      libraryFolder: '/home/user/Hypervue',
      libraryChange: { available: true, reason: 'While no machine is on.' },
      configFolder: '/home/user/.config/hypervue',
      engines: [
        { id: 'builtin', name: 'Hypervue', available: true, reason: 'Built in; runs everywhere.' },
        { id: 'kvm', name: 'KVM', available: false, reason: 'The device /dev/kvm does not exist on this host.' },
      ],
      limits: { maxMemoryMiB: 3072, maxVcpus: 1 },
      capabilities: { saveState: true, liveSnapshots: true },
      mode: 'headless',
      firmware: { available: true, reason: 'SeaBIOS 1.16.2 from the system’s packages.' },
      uefi: { available: true, reason: 'OVMF from the system’s packages.' },
      sample: { available: true, reason: 'Built with this version.' },
    }),
    'host.diagnose': async () => [
      { id: 'runtime', state: 'ok', message: 'Node.js 24.1.0, linux x64', fixable: false },
      {
        id: 'uefi',
        state: 'warning',
        message: 'OVMF: none of /usr/share/ovmf/OVMF.fd is there',
        how: 'Install OVMF (apt-get install ovmf).',
        fixable: false,
      },
      {
        id: 'library',
        state: mended ? 'ok' : 'error',
        message: mended ? '/home/user/Hypervue' : '/home/user/Hypervue, for machines, does not exist',
        ...(mended ? {} : { how: 'Make the folder, or let Hypervue do it.' }),
        fixable: !mended,
      },
      { id: 'kvm', state: 'info', message: 'there is no /dev/kvm; the built-in engine does without', fixable: false },
    ],
    'host.fix': async ({ id }) => {
      mended = true;
      return { id, state: 'ok', message: '/home/user/Hypervue', fixable: false };
    },
    'host.passthrough': async ({ address }) => ({
      device: { ...graphics, address },
      along: [{ ...graphics, address: '0000:00:02.1', device: 'UHD Graphics audio', driver: 'snd_hda_intel', bootVga: false }],
      checks: [
        { id: 'iommu', ok: true, severity: 'info', message: 'The IOMMU is on; the function is in group 1', commands: [] },
        {
          id: 'display',
          ok: false,
          severity: 'warning',
          message: 'This computer shows its start on it',
          fix: 'Its screen stays dark.',
          commands: [],
        },
        {
          id: 'driver',
          ok: false,
          severity: 'error',
          message: 'Not with the driver vfio-pci yet: 0000:00:02.0 (i915)',
          fix: 'As root, until the next restart:',
          commands: ['modprobe vfio-pci', 'echo 0000:00:02.0 > /sys/bus/pci/drivers_probe'],
        },
        { id: 'engine', ok: false, severity: 'error', message: 'The built-in engine has no way to it', commands: [] },
      ],
    }),
    'host.devices': async () => ({
      pci: [graphics],
      usb: [
        {
          vendorId: '1d6b',
          productId: '0002',
          bus: 1,
          port: null,
          device: 1,
          vendor: 'Linux Foundation',
          product: 'xHCI Host Controller',
          serial: '',
          speedMbps: 480,
          hub: true,
          drivers: ['hub'],
        },
        {
          vendorId: '0951',
          productId: '1666',
          bus: 1,
          port: '4.2',
          device: 7,
          vendor: 'Kingston',
          product: 'DataTraveler 3.0',
          serial: '60A44C41',
          speedMbps: 5000,
          hub: false,
          drivers: ['usb-storage'],
        },
      ],
      block: [
        {
          name: 'nvme0n1',
          path: '/dev/nvme0n1',
          number: '259:0',
          stablePaths: ['/dev/disk/by-id/nvme-Samsung_990'],
          kind: 'disk',
          parent: null,
          sizeBytes: 10 ** 12,
          model: 'Samsung SSD 990 PRO',
          serial: 'S6Z1',
          readOnly: false,
          removable: false,
          usb: null,
          backingFile: '',
          mounts: [],
          swap: false,
          holders: [],
          system: true,
        },
        {
          name: 'sdb',
          path: '/dev/sdb',
          number: '8:16',
          stablePaths: ['/dev/disk/by-id/usb-Kingston_DataTraveler_60A44C41-0:0'],
          kind: 'disk',
          parent: null,
          sizeBytes: 31 * 10 ** 9,
          model: 'DataTraveler 3.0',
          serial: '60A44C41',
          readOnly: false,
          removable: true,
          usb: '1-4.2',
          backingFile: '',
          mounts: [],
          swap: false,
          holders: [],
          system: false,
        },
      ],
      given: [],
    }),
    'host.history': async () => ({ stepSeconds: 1, endsAt: new Date().toISOString(), series: mockSeries(hostMetrics) }),
    'host.planLibrary': async ({ path }) => {
      if (path.includes('machine'))
        throw new MockError({
          kind: 'invalid-argument',
          message: `${path} is the folder of one machine`,
          context: { path },
          fix: 'Choose the folder that it lies in.',
        });
      return {
        folder: path,
        missing: path.includes('new'),
        machines: path.includes('new') ? 0 : 3,
        freeBytes: 84 * 1024 ** 3,
        left: machines(),
      };
    },
    'host.setLibrary': async () => null,
    'host.planMove': async ({ path }) => ({
      folder: path,
      missing: true,
      sameDisk: false,
      machines: machines(),
      sizeBytes: 42 * 1024 ** 3,
      freeBytes: 84 * 1024 ** 3,
      outside: ['/srv/images/debian.iso'],
      refusal: null,
    }),
    'host.moveLibrary': async () => null,
    'host.systems': async () => ({ systems: [], problem: 'The table of systems was not built.' }),
    'host.browse': async ({ path }) => ({
      path: path ?? '/srv/images',
      parent: path === '/' ? null : '/',
      entries: [
        { name: 'old', path: '/srv/images/old', kind: 'folder', sizeBytes: 0, modifiedAt: '2026-11-01T09:00:00.000Z' },
        ...['debian-12.5.0-i386-netinst.iso', 'freedos.iso', 'grub-rescue.iso'].map((name, i) => ({
          name,
          path: `/srv/images/${name}`,
          kind: 'file' as const,
          sizeBytes: (i + 1) * 210_000_000,
          modifiedAt: '2026-11-01T09:00:00.000Z',
        })),
        { name: 'disk.img', path: '/srv/images/disk.img', kind: 'file', sizeBytes: 2_000_000_000, modifiedAt: '2026-11-02T09:00:00.000Z' },
      ],
    }),
    'host.inspectMedia': async ({ path }) => {
      if (path.includes('missing'))
        throw new MockError({ kind: 'not-found', message: `${path} does not exist`, context: { path }, fix: 'Check the path.' });
      const iso = path.endsWith('.iso');
      return {
        path,
        kind: iso ? 'iso' : path.endsWith('.img') ? 'disk' : 'unknown',
        sizeBytes: 658_505_728,
        bootable: iso,
        label: iso ? 'Debian 12.5.0 i386 n' : '',
        os: iso ? 'Debian GNU/Linux 12' : '',
        problems: iso ? [] : [{ severity: 'warning', message: 'There is no boot sector on it.', fix: 'Choose a bootable image.' }],
      };
    },
  } satisfies Partial<Handlers>;
}
