import { createPinia, setActivePinia } from 'pinia';
import { beforeEach, expect, test } from 'vitest';
import { nextTick } from 'vue';
import type { HostInfo } from '../../../core/contract/host.ts';
import { vmCreateSchema } from '../../../core/contract/vm.ts';
import { sourceTypes } from '../composables/media.ts';
import { useHost } from './host.ts';
import { useSystems } from './systems.ts';
import { useWizard } from './wizard.ts';

beforeEach(() => setActivePinia(createPinia()));

test('every source makes a request that the contract accepts', () => {
  const wizard = useWizard();
  wizard.draft.name = ' Test ';
  for (const source of sourceTypes) {
    wizard.choose(source);
    if (source !== 'blank' && source !== 'sample') wizard.draft.paths[source] = `/images/${source}`;
    const parsed = vmCreateSchema.safeParse(wizard.request);
    expect(parsed.error?.issues ?? [], source).toEqual([]);
    expect(parsed.data?.name).toBe('Test');
  }
});

test('changing the source and back keeps each path', () => {
  const wizard = useWizard();
  wizard.draft.paths.iso = '/a.iso';
  wizard.choose('kernel');
  wizard.draft.paths.kernel = '/bzImage';
  expect(wizard.path).toBe('/bzImage');
  wizard.choose('iso');
  expect(wizard.path).toBe('/a.iso');
});

test('a source brings its usual disk and memory, but never over a decision', () => {
  const wizard = useWizard();
  wizard.choose('sample');
  expect([wizard.draft.disk, wizard.draft.memoryMiB]).toEqual(['none', 32]);
  wizard.choose('iso');
  expect([wizard.draft.disk, wizard.draft.memoryMiB]).toEqual(['new', 512]);
  Object.assign(wizard.draft, { disk: 'none', diskTouched: true, memoryMiB: 64, memoryTouched: true });
  wizard.choose('blank');
  expect([wizard.draft.disk, wizard.draft.memoryMiB]).toEqual(['none', 64]);
});

test('a step says what it still needs', () => {
  const wizard = useWizard();
  expect(wizard.missing('source')).toBe('path');
  wizard.choose('blank');
  expect(wizard.missing('source')).toBeNull();
  // Leaving the first step suggests a name; from then on there has to be one.
  expect(wizard.missing('system')).toBeNull();
  wizard.step = 'system';
  expect(wizard.missing('system')).toBe('name');
  wizard.step = 'source';
  wizard.draft.nameTouched = true;
  expect(wizard.missing('system')).toBe('name');
  wizard.draft.diskGiB = 0;
  expect(wizard.missing('disk')).toBe('size');
  wizard.reset();
  expect(wizard.draft.source).toBe('iso');
});

test('the new disk is a whole number of sectors', () => {
  const wizard = useWizard();
  wizard.draft.disk = 'new';
  wizard.draft.diskGiB = 0.333;
  expect(wizard.request.newDisk!.sizeBytes % 512).toBe(0);
  // Snapshots need it.
  expect(wizard.request.newDisk!.format).toBe('qcow2');
  wizard.draft.diskFormat = 'raw';
  expect(wizard.request.newDisk!.format).toBe('raw');
});

const debian = {
  id: 'debian12',
  name: 'Debian 12',
  family: 'linux',
  released: '2023-06-10',
  endOfLife: '',
  minimum: { memoryBytes: 256 * 1024 ** 2, diskBytes: 10 * 1024 ** 3 },
  recommended: { memoryBytes: 1024 ** 3 },
  bus: 'virtio' as const,
  uefiOnly: false,
};
const medium = (more: object) => ({
  path: '/d.iso',
  kind: 'iso' as const,
  sizeBytes: 1,
  bootable: true,
  label: '',
  problems: [],
  os: 'Debian GNU/Linux 13',
  ...more,
});
const disc = { bios: true, uefi: true, architectures: [], live: false };

test('the system on the medium suggests memory and disk, the one named by hand wins over it, and decisions stay', async () => {
  const wizard = useWizard();
  const systems = useSystems();
  systems.table = {
    problem: '',
    systems: [debian, { ...debian, id: 'small', name: 'Small 1', minimum: {}, recommended: { memoryBytes: 64 * 1024 ** 2 } }],
  };
  wizard.inspected(medium({ disc: { ...disc, systemId: 'debian12', like: 'Debian 12' } }));
  await nextTick();
  expect(wizard.draft).toMatchObject({ os: 'Debian GNU/Linux 13', memoryMiB: 1024, diskGiB: 20, firmware: 'bios' });
  Object.assign(wizard.draft, { os: ' small 1', osTouched: true });
  await nextTick();
  expect(wizard.draft.memoryMiB).toBe(64);
  wizard.draft.memoryMiB = 96;
  wizard.draft.memoryTouched = true;
  Object.assign(wizard.draft, { os: 'Debian 12' });
  await nextTick();
  expect(wizard.draft.memoryMiB).toBe(96);
});

test('a disc that starts under UEFI only brings UEFI where there is one, and the next disc takes it back', () => {
  const wizard = useWizard();
  const host = useHost();
  const withUefi = (available: boolean) => {
    host.info = { uefi: { available, reason: '' }, limits: { maxMemoryMiB: 3072, maxVcpus: 1 } } as HostInfo;
  };
  withUefi(true);
  wizard.inspected(medium({ disc: { ...disc, bios: false } }));
  expect(wizard.draft.firmware).toBe('uefi');
  wizard.inspected(medium({ disc }));
  expect(wizard.draft.firmware).toBe('bios');
  withUefi(false);
  wizard.inspected(medium({ disc: { ...disc, bios: false } }));
  expect(wizard.draft.firmware).toBe('bios');
});
