import { createPinia, setActivePinia } from 'pinia';
import { beforeEach, expect, test } from 'vitest';
import { vmCreateSchema } from '../../../core/contract/vm.ts';
import { sourceTypes } from '../composables/media.ts';
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
