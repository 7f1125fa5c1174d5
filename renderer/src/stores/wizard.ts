import { defineStore } from 'pinia';
import { computed, ref, watch } from 'vue';
import type { CpuModel } from '../../../core/contract/cpumodels.ts';
import { defaultBus } from '../../../core/contract/defaultbus.ts';
import { defaultNic } from '../../../core/contract/defaultnic.ts';
import type { DriveBus } from '../../../core/contract/drives.ts';
import type { ErrorDto } from '../../../core/contract/errors.ts';
import type { MediaInfo } from '../../../core/contract/host.ts';
import { DEFAULT_NETWORK, type NicModel } from '../../../core/contract/networks.ts';
import type { FirmwareKind, Remedy, VmCreate } from '../../../core/contract/vm.ts';
import { type FileSource, isFileSource, type SourceType } from '../composables/media.ts';
import { useNameCheck } from '../composables/usenamecheck.ts';
import { type NewPassphrase, noPassphrase, passphraseProblem } from '../composables/passphrase.ts';
import { useHost } from './host.ts';
import { type DiskDraft, freshDisk, missingOfDisk, requestedDisks } from './wizarddisks.ts';
import { useSettings } from './settings.ts';
import { useSystems } from './systems.ts';

export const wizardSteps = ['source', 'system', 'resources', 'disk', 'summary'] as const;
export type WizardStep = (typeof wizardSteps)[number];

export interface WizardDraft {
  source: SourceType;
  /** One path a source, so that switching back and forth loses nothing. */
  paths: Record<FileSource, string>;
  initrd: string;
  cmdline: string;
  copy: boolean;
  readOnly: boolean;
  name: string;
  /** True once the person typed a name: suggestions then stay away. */
  nameTouched: boolean;
  os: string;
  /** True once the person named the system: what the medium says then no longer counts. */
  osTouched: boolean;
  memoryMiB: number;
  cpuModel: CpuModel;
  firmware: FirmwareKind;
  memoryTouched: boolean;
  firmwareTouched: boolean;
  /** The first is always there, maybe as none. */
  disks: DiskDraft[];
  diskTouched: boolean;
  sizeTouched: boolean;
  bus: DriveBus;
  /** True once the person chose: what the system knows then no longer counts. */
  busTouched: boolean;
  /** Where the cable of its card leads; null for a machine without a card. */
  network: string | null;
  networkTouched: boolean;
  /** Null: what the system has a driver for. */
  nic: NicModel | null;
  /** Of all new disks: a machine asks for one passphrase. Never leaves this page but for the call that creates them. */
  encryption: NewPassphrase;
}

const sampleMemoryMiB = 32;
/** As the size field shows them, to three places. */
const gibibytes = (bytes: number) => Math.max(0.001, Math.round((bytes / 1024 ** 3) * 1000) / 1000);

/** Answers of the create wizard. They live outside the pages: Back, a look elsewhere or a failure loses none of them. */
export const useWizard = defineStore('wizard', () => {
  const nameProblem = useNameCheck();
  const settings = useSettings();
  const step = ref<WizardStep>('source');
  const draft = ref<WizardDraft>(fresh());
  const systems = useSystems();
  const host = useHost();
  /** What the medium of the source says of itself. */
  const content = ref<MediaInfo['content']>();
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
      osTouched: false,
      memoryMiB: settings.current.defaultMemoryMiB,
      cpuModel: settings.current.defaultCpuModel,
      firmware: 'bios',
      memoryTouched: false,
      firmwareTouched: false,
      disks: [freshDisk(gibibytes(settings.current.defaultDiskBytes), settings.current.defaultDiskFormat)],
      diskTouched: false,
      sizeTouched: false,
      bus: 'ide',
      busTouched: false,
      network: DEFAULT_NETWORK,
      networkTouched: false,
      nic: null,
      encryption: noPassphrase(),
    };
  }

  function reset(): void {
    draft.value = fresh();
    content.value = undefined;
    step.value = 'source';
    failure.value = null;
  }

  /** The source's image path; '' where the source has none. */
  const path = computed(() => {
    const { source, paths } = draft.value;
    return isFileSource(source) ? paths[source] : '';
  });

  /** Chooses a source and what usually goes with it, unless the person decided already. */
  function choose(source: SourceType): void {
    const d = draft.value;
    d.source = source;
    if (!d.diskTouched) d.disks[0]!.kind = source === 'iso' || source === 'blank' || source === 'network' ? 'new' : 'none';
    suggest();
  }

  /** The system in the table that the machine is for, or the one that stands in for it. */
  const system = computed(() => {
    const { os, osTouched } = draft.value;
    const named = systems.byName.get(os.trim().toLowerCase());
    return named ?? (osTouched || !content.value?.systemId ? undefined : systems.byId.get(content.value.systemId));
  });

  /** Memory, disk and firmware that go with the source and the system, where the person decided nothing. */
  function suggest(): void {
    const d = draft.value;
    const needs = system.value && { ...system.value.minimum, ...system.value.recommended };
    if (!d.memoryTouched) {
      const wanted = needs?.memoryBytes ? Math.ceil(needs.memoryBytes / 1024 ** 2) : settings.current.defaultMemoryMiB;
      d.memoryMiB = d.source === 'sample' ? sampleMemoryMiB : Math.min(wanted, host.info?.limits.maxMemoryMiB ?? wanted);
    }
    if (!d.sizeTouched) d.disks[0]!.sizeGiB = gibibytes(Math.max(needs?.diskBytes ?? 0, settings.current.defaultDiskBytes));
    const uefi = system.value?.uefiOnly || (content.value?.uefi && !content.value.bios);
    if (!d.firmwareTouched) d.firmware = uefi && d.cpuModel !== 'i686' && host.info?.uefi.available ? 'uefi' : 'bios';
  }
  watch(system, suggest);

  /** Takes what the medium says: an empty `os` when it says nothing. */
  function inspected(info: MediaInfo | null): void {
    content.value = info?.content;
    if (!draft.value.osTouched) draft.value.os = info?.os.slice(0, 128) ?? '';
    if (content.value) void systems.load();
    suggest();
  }

  /** What disks are attached to: what the person chose, else what the system knows. */
  const bus = computed<DriveBus>({
    get: () => (draft.value.busTouched ? draft.value.bus : defaultBus(draft.value.os, draft.value.source, system.value?.bus)),
    set: (chosen) => {
      draft.value.bus = chosen;
      draft.value.busTouched = true;
    },
  });
  /** The card that its system has a driver for, when nobody chose another. */
  const usualNic = computed(() => defaultNic(draft.value.os));
  /** Its network card; null for none. The check image has no use for one. */
  const card = computed(() => {
    const { network, nic, source } = draft.value;
    return network === null || source === 'sample' ? null : { network, model: nic ?? usualNic.value };
  });

  /** New disks that can be encrypted. */
  const sealable = computed(() => draft.value.disks.filter(({ kind, format }) => kind === 'new' && format === 'qcow2'));
  /** Of the new disks; null when they are not encrypted. */
  const passphrase = computed(() => {
    const { encryption } = draft.value;
    return sealable.value.length && encryption.on ? encryption.first : null;
  });

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
      bus: bus.value,
      network: card.value ? [{ id: 'net0' as const, ...card.value, connected: true }] : [],
      // The check image brings its disk.
      ...(d.source === 'sample' ? { newDisk: null } : requestedDisks(d.disks, passphrase.value)),
    };
  });

  /** The steps that the source needs: the check image brings its disk. */
  const steps = computed(() => wizardSteps.filter((each) => each !== 'disk' || draft.value.source !== 'sample'));

  /** True once there is something that leaving would lose. */
  const begun = computed(() => {
    const { paths, initrd, encryption, ...d } = draft.value;
    const decided =
      d.nic !== null ||
      d.nameTouched ||
      d.osTouched ||
      d.memoryTouched ||
      d.firmwareTouched ||
      d.diskTouched ||
      d.sizeTouched ||
      d.busTouched ||
      d.networkTouched;
    return decided || encryption.on || initrd !== '' || Object.values(paths).some((path) => path !== '');
  });

  /** One more disk; the first of them when there was none. */
  function addDisk(): void {
    const d = draft.value;
    d.diskTouched = true;
    const [first] = d.disks;
    if (d.disks.length === 1 && first!.kind === 'none') first!.kind = 'new';
    else d.disks.push(freshDisk(gibibytes(settings.current.defaultDiskBytes), settings.current.defaultDiskFormat));
  }

  function removeDisk(key: number): void {
    const d = draft.value;
    if (d.disks.length > 1) d.disks = d.disks.filter((disk) => disk.key !== key);
  }

  /** Makes a failed check good. A free name is asked for elsewhere. */
  function mend(remedy: Remedy): void {
    const d = draft.value;
    switch (remedy.do) {
      case 'memory':
        Object.assign(d, { memoryMiB: remedy.memoryMiB, memoryTouched: true });
        break;
      case 'bios':
      case 'uefi':
        Object.assign(d, { firmware: remedy.do, firmwareTouched: true });
        break;
      case 'qcow2':
        for (const disk of d.disks) disk.format = 'qcow2';
        break;
      case 'bus':
        bus.value = remedy.bus;
        break;
      case 'copy':
      case 'in-place':
        d.copy = remedy.do === 'copy';
        break;
      case 'read-only':
        Object.assign(d, { copy: false, readOnly: true });
        break;
      case 'disk-size':
        for (const disk of d.disks) if (disk.kind === 'new') disk.sizeGiB = gibibytes(remedy.sizeBytes);
        d.sizeTouched = true;
        break;
      case 'source': {
        const file = path.value;
        choose(remedy.source);
        if (isFileSource(remedy.source)) d.paths[remedy.source] = file;
        break;
      }
      case 'name':
        break;
    }
  }

  /** Key under `wizard.missing.*` of what the step still needs; null when it is complete. */
  function missing(of: WizardStep): string | null {
    const d = draft.value;
    if (of === 'source' && isFileSource(d.source) && path.value.trim() === '') return 'path';
    if (of === 'source' && d.source === 'network' && d.network === null) return 'network';
    // A name that nobody touched is suggested when the first step is left.
    if (of === 'system') {
      const problem = nameProblem(d.name);
      if (problem === 'empty' && (d.nameTouched || step.value === 'system')) return 'name';
      if (problem === 'control') return 'nameControl';
      if (problem === 'taken' && d.nameTouched) return 'nameTaken';
    }
    if (of === 'resources' && d.cpuModel === 'i686' && d.firmware === 'uefi' && d.source !== 'kernel') return 'uefiCpu';
    if (of === 'disk') {
      const lacking = d.disks.map(missingOfDisk).find((each) => each !== null);
      if (lacking) return lacking;
      if (sealable.value.length && passphraseProblem(d.encryption)) return 'passphrase';
    }
    return null;
  }

  return {
    step,
    steps,
    begun,
    mend,
    draft,
    failure,
    system,
    content,
    path,
    bus,
    usualNic,
    card,
    sealable,
    passphrase,
    request,
    reset,
    choose,
    addDisk,
    removeDisk,
    inspected,
    missing,
  };
});
