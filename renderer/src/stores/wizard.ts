import { defineStore } from 'pinia';
import { computed, ref } from 'vue';
import { type CpuModel, defaultCpuModel } from '../../../core/contract/cpumodels.ts';
import type { DriveBus } from '../../../core/contract/drives.ts';
import type { ErrorDto } from '../../../core/contract/errors.ts';
import type { DiskFormat, FirmwareKind, VmCreate } from '../../../core/contract/vm.ts';
import type { SourceType } from '../composables/media.ts';
import { useSettings } from './settings.ts';

export const wizardSteps = ['source', 'system', 'disk', 'summary'] as const;
export type WizardStep = (typeof wizardSteps)[number];

export interface WizardDraft {
  source: SourceType;
  /** One path a source, so that switching back and forth loses nothing. */
  paths: Record<'iso' | 'floppy' | 'disk' | 'kernel', string>;
  initrd: string;
  cmdline: string;
  copy: boolean;
  readOnly: boolean;
  name: string;
  /** True once the person typed a name: suggestions then stay away. */
  nameTouched: boolean;
  os: string;
  memoryMiB: number;
  cpuModel: CpuModel;
  firmware: FirmwareKind;
  memoryTouched: boolean;
  disk: 'none' | 'new';
  diskTouched: boolean;
  /** GiB, may have a fraction. */
  diskGiB: number;
  diskFormat: DiskFormat;
  bus: DriveBus;
}

const sampleMemoryMiB = 32;

/** Answers of the create wizard. They live outside the pages: Back, a look elsewhere or a failure loses none of them. */
export const useWizard = defineStore('wizard', () => {
  const settings = useSettings();
  const step = ref<WizardStep>('source');
  const draft = ref<WizardDraft>(fresh());
  const failure = ref<ErrorDto | null>(null);

  function fresh(): WizardDraft {
    return {
      source: 'iso',
      paths: { iso: '', floppy: '', disk: '', kernel: '' },
      initrd: '',
      cmdline: 'console=tty0 console=ttyS0',
      copy: true,
      readOnly: false,
      name: '',
      nameTouched: false,
      os: '',
      memoryMiB: settings.current.defaultMemoryMiB,
      cpuModel: defaultCpuModel,
      firmware: 'bios',
      memoryTouched: false,
      disk: 'new',
      diskTouched: false,
      diskGiB: Math.max(0.001, Math.round((settings.current.defaultDiskBytes / 1024 ** 3) * 1000) / 1000),
      diskFormat: 'qcow2',
      bus: 'ide',
    };
  }

  function reset(): void {
    draft.value = fresh();
    step.value = 'source';
    failure.value = null;
  }

  /** The source's image path; '' where the source has none. */
  const path = computed(() => {
    const { source, paths } = draft.value;
    return source === 'blank' || source === 'sample' ? '' : paths[source];
  });

  /** Chooses a source and what usually goes with it, unless the person decided already. */
  function choose(source: SourceType): void {
    const d = draft.value;
    d.source = source;
    if (!d.diskTouched) d.disk = source === 'iso' || source === 'blank' ? 'new' : 'none';
    if (!d.memoryTouched) d.memoryMiB = source === 'sample' ? sampleMemoryMiB : settings.current.defaultMemoryMiB;
  }

  const request = computed<VmCreate>(() => {
    const d = draft.value;
    const source = ((): VmCreate['source'] => {
      switch (d.source) {
        case 'iso':
        case 'floppy':
          return { type: d.source, path: d.paths[d.source].trim() };
        case 'disk':
          return { type: 'disk', path: d.paths.disk.trim(), copy: d.copy, readOnly: !d.copy && d.readOnly };
        case 'kernel':
          return { type: 'kernel', path: d.paths.kernel.trim(), initrd: d.initrd.trim() || null, cmdline: d.cmdline };
        default:
          return { type: d.source };
      }
    })();
    return {
      name: d.name.trim(),
      ...(d.os ? { os: d.os } : {}),
      memoryMiB: d.memoryMiB,
      cpuModel: d.cpuModel,
      // A kernel is booted by the BIOS.
      ...(d.firmware === 'uefi' && d.source !== 'kernel' ? { firmware: d.firmware } : {}),
      source,
      ...(d.bus !== 'ide' ? { bus: d.bus } : {}),
      newDisk: d.disk === 'new' ? { sizeBytes: Math.round((d.diskGiB * 1024 ** 3) / 512) * 512, format: d.diskFormat } : null,
    };
  });

  /** Key under `wizard.missing.*` of what the step still needs; null when it is complete. */
  function missing(of: WizardStep): string | null {
    const d = draft.value;
    if (of === 'source' && d.source !== 'blank' && d.source !== 'sample' && path.value.trim() === '') return 'path';
    if (of === 'system' && d.name.trim() === '') return 'name';
    if (of === 'disk' && d.disk === 'new' && !(d.diskGiB * 1024 >= 1)) return 'size';
    return null;
  }

  return { step, draft, failure, path, request, reset, choose, missing };
});
