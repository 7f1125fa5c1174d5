import { createPinia, setActivePinia } from 'pinia';
import { beforeEach, expect, test } from 'vitest';
import { nextTick } from 'vue';
import type { HostInfo } from '../../../core/contract/host.ts';
import { type VmSummary, vmCreateSchema } from '../../../core/contract/vm.ts';
import { isFileSource, sourceTypes } from '../composables/media.ts';
import { useHost } from './host.ts';
import { useMachines } from './machines.ts';
import { useSystems } from './systems.ts';
import { useWizard } from './wizard.ts';

beforeEach(() => setActivePinia(createPinia()));

test('every source makes a request that the contract accepts', () => {
  const wizard = useWizard();
  wizard.draft.name = ' Test ';
  for (const source of sourceTypes) {
    wizard.choose(source);
    if (isFileSource(source)) wizard.draft.paths[source] = `/images/${source}`;
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
  expect([wizard.draft.disks[0]!.kind, wizard.draft.memoryMiB]).toEqual(['none', 32]);
  wizard.choose('iso');
  expect([wizard.draft.disks[0]!.kind, wizard.draft.memoryMiB]).toEqual(['new', 512]);
  Object.assign(wizard.draft, { diskTouched: true, memoryMiB: 64, memoryTouched: true });
  wizard.draft.disks[0]!.kind = 'none';
  wizard.choose('blank');
  expect([wizard.draft.disks[0]!.kind, wizard.draft.memoryMiB]).toEqual(['none', 64]);
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
  // A name of another machine, whatever its case; one that was suggested is free as long as nobody took it meanwhile.
  useMachines().byId.set('a', { id: 'a', name: 'Web' } as VmSummary);
  wizard.draft.name = ' web ';
  expect(wizard.missing('system')).toBe('nameTaken');
  wizard.draft.name = '\u200b \u2060';
  expect(wizard.missing('system')).toBe('name');
  wizard.draft.name = 'a\tb';
  expect(wizard.missing('system')).toBe('nameControl');
  wizard.draft.name = 'Web';
  wizard.draft.nameTouched = false;
  expect(wizard.missing('system')).toBeNull();
  wizard.draft.disks[0]!.sizeGiB = 0;
  expect(wizard.missing('disk')).toBe('size');
  wizard.reset();
  expect(wizard.draft.source).toBe('iso');
});

test('the new disk is a whole number of sectors', () => {
  const wizard = useWizard();
  Object.assign(wizard.draft.disks[0]!, { kind: 'new', sizeGiB: 0.333 });
  expect(wizard.request.newDisk!.sizeBytes % 512).toBe(0);
  // Snapshots need it.
  expect(wizard.request.newDisk!.format).toBe('qcow2');
  wizard.draft.disks[0]!.format = 'raw';
  expect(wizard.request.newDisk!.format).toBe('raw');
});

test('a machine can have several disks, new ones and ones that are there, each where it was asked for', () => {
  const wizard = useWizard();
  wizard.draft.name = 'Disks';
  wizard.choose('blank');
  Object.assign(wizard.draft.disks[0]!, { kind: 'existing', path: ' /old.qcow2 ', readOnly: true });
  wizard.addDisk();
  Object.assign(wizard.draft.disks[1]!, { pool: 'default', sizeGiB: 1 });
  wizard.addDisk();
  expect(wizard.missing('disk')).toBeNull();
  wizard.draft.disks[2]!.kind = 'existing';
  expect(wizard.missing('disk')).toBe('path');
  wizard.removeDisk(wizard.draft.disks[2]!.key);
  Object.assign(wizard.draft.encryption, { on: true, first: 'secret', second: 'secret' });
  expect(vmCreateSchema.parse(wizard.request)).toMatchObject({
    newDisk: null,
    attach: { path: '/old.qcow2', copy: false, readOnly: true },
    moreDisks: [{ type: 'new', sizeBytes: 1024 ** 3, pool: 'default', passphrase: 'secret' }],
  });
  // None at all, and then one again.
  wizard.removeDisk(wizard.draft.disks[1]!.key);
  wizard.draft.disks[0]!.kind = 'none';
  expect(vmCreateSchema.parse(wizard.request)).toMatchObject({ newDisk: null });
  wizard.addDisk();
  expect(wizard.draft.disks).toMatchObject([{ kind: 'new' }]);
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
  wizard.inspected(medium({ content: { ...disc, systemId: 'debian12', like: 'Debian 12' } }));
  await nextTick();
  expect(wizard.draft).toMatchObject({ os: 'Debian GNU/Linux 13', memoryMiB: 1024, disks: [{ sizeGiB: 20 }], firmware: 'bios' });
  Object.assign(wizard.draft, { os: ' small 1', osTouched: true });
  await nextTick();
  expect(wizard.draft.memoryMiB).toBe(64);
  wizard.draft.memoryMiB = 96;
  wizard.draft.memoryTouched = true;
  Object.assign(wizard.draft, { os: 'Debian 12' });
  await nextTick();
  expect(wizard.draft.memoryMiB).toBe(96);
});

test('a check of the firmware is mended either way, and the next medium does not take it back', () => {
  const wizard = useWizard();
  for (const firmware of ['uefi', 'bios'] as const) {
    wizard.mend({ do: firmware });
    wizard.inspected(null);
    expect(wizard.draft.firmware).toBe(firmware);
  }
});

test('a disc that starts under UEFI only brings UEFI where there is one, and the next disc takes it back', () => {
  const wizard = useWizard();
  const host = useHost();
  const withUefi = (available: boolean) => {
    host.info = { uefi: { available, reason: '' }, limits: { maxMemoryMiB: 3072, maxVcpus: 1 } } as HostInfo;
  };
  withUefi(true);
  wizard.inspected(medium({ content: { ...disc, bios: false } }));
  expect(wizard.draft.firmware).toBe('uefi');
  wizard.inspected(medium({ disc }));
  expect(wizard.draft.firmware).toBe('bios');
  withUefi(false);
  wizard.inspected(medium({ content: { ...disc, bios: false } }));
  expect(wizard.draft.firmware).toBe('bios');
});

test('a start from the network needs one, which is the network of its card, and brings an empty disk', () => {
  const wizard = useWizard();
  wizard.draft.name = 'Net';
  wizard.choose('network');
  expect(wizard.missing('source')).toBeNull();
  expect(wizard.request).toMatchObject({ source: { type: 'network' }, network: [{ id: 'net0', network: 'default' }], newDisk: {} });
  expect(wizard.path).toBe('');
  wizard.draft.network = null;
  expect(wizard.missing('source')).toBe('network');
  // Another source can do without.
  wizard.choose('blank');
  expect(wizard.missing('source')).toBeNull();
  wizard.draft.network = 'lab';
  wizard.choose('network');
  expect(wizard.request.network).toMatchObject([{ network: 'lab' }]);
});
