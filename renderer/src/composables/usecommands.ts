import {
  Activity,
  Bookmark,
  Camera,
  Folder,
  Gauge,
  HardDrive,
  Info,
  Keyboard,
  Languages,
  Monitor,
  Network,
  Palette,
  Play,
  Plus,
  Settings2,
  Stethoscope,
  Tag,
  Trash2,
  Usb,
  X,
} from '@lucide/vue';
import type { Component } from 'vue';
import { useI18n } from 'vue-i18n';
import { useRouter } from 'vue-router';
import { consoleScalings } from '../../../core/contract/consolesettings.ts';
import type { Settings } from '../../../core/contract/host.ts';
import type { VmSummary } from '../../../core/contract/vm.ts';
import { useAccess } from '../stores/access.ts';
import { useRight } from './useright.ts';
import { useHost } from '../stores/host.ts';
import { useLibrary } from '../stores/library.ts';
import { useMachines } from '../stores/machines.ts';
import { useSettings } from '../stores/settings.ts';
import { useTasks } from '../stores/tasks.ts';
import { useTransfer } from '../stores/transfer.ts';
import { useSaid } from './usesaid.ts';
import { settingRows } from './settingrows.ts';
import { useVerbs } from './useverbs.ts';
import { isLive, type Verb, verbNames, verbReason } from './verbs.ts';

export interface Command {
  id: string;
  /** Key under `palette.group`. */
  group: 'machine' | 'verb' | 'place' | 'setting' | 'task' | 'view';
  label: string;
  /** Found by these words too. */
  words: string;
  icon: Component;
  /** Why it can't be used now. */
  reason: string | null;
  /** Keys that do the same. */
  keys?: string;
  run: () => void;
}

/** Everything that the command palette offers, as things are at this moment. */
export function useCommands(show: { shortcuts: () => void }) {
  const { t, te } = useI18n();
  const say = useSaid();
  const router = useRouter();
  const machines = useMachines();
  const library = useLibrary();
  const settings = useSettings();
  const tasks = useTasks();
  const transfer = useTransfer();
  const access = useAccess();
  const right = useRight();
  const host = useHost();
  const verbs = useVerbs();

  const go = (name: string, params: Record<string, string> = {}, query: Record<string, string> = {}) =>
    void router.push({ name, params, query });
  const verbLabel = (verb: Verb, vm: VmSummary) => {
    if (verb === 'clone') return t(vm.config?.template ? 'transfer.fromTemplate' : 'transfer.clone');
    if (verb === 'template') return t(vm.config?.template ? 'transfer.unmakeTemplate' : 'transfer.makeTemplate');
    return verb === 'export' ? t('transfer.export') : t(`verbs.${verb}`);
  };

  function places(): Command[] {
    const place = (name: string, label: string, icon: Component, keys?: string): Command => ({
      id: `place:${name}`,
      group: 'place',
      label,
      words: '',
      icon,
      reason: null,
      ...(keys ? { keys } : {}),
      run: () => go(name),
    });
    return [
      place('machines', t('nav.machines'), Monitor, 'M'),
      { ...place('new', t('nav.new'), Plus, 'N'), reason: right('vm.create') },
      place('storage', t('nav.storage'), HardDrive),
      place('networks', t('nav.networks'), Network),
      { ...place('new-network', t('networks.new'), Network), reason: right('network.create'), run: () => go('networks', {}, { new: '1' }) },
      {
        ...place('host-devices', t('hostDevices.title'), Usb),
        reason: access.may('host.devices') ? null : t('hostDevices.reason'),
      },
      place('trash', t('nav.trash'), Trash2),
      place('host', t('nav.host'), Gauge),
      place('settings', t('nav.settings'), Settings2, ','),
      place('diagnostics', t('nav.diagnostics'), Stethoscope),
      place('about', t('nav.about'), Info),
      { ...place('import', t('transfer.import'), Plus), reason: right('vm.import'), run: () => transfer.openImport() },
      {
        ...place('sample', t('empty.sample'), Play),
        reason: right('vm.create') ?? (host.info?.sample.available === false ? say(host.info.sample.reason, host.info.sample.said) : null),
        run: () => void verbs.trySample(t('empty.sampleName')),
      },
      { ...place('activity', t('nav.activity'), Activity), run: () => (tasks.panelOpen = true) },
      { ...place('shortcuts', t('nav.shortcuts'), Keyboard, '?'), run: show.shortcuts },
    ];
  }

  const machineCommands = (): Command[] =>
    machines.sorted.map((vm) => ({
      id: `machine:${vm.id}`,
      group: 'machine',
      label: vm.name,
      words: [t(`state.${vm.state}`), vm.config?.os ?? '', ...(vm.config?.tags ?? [])].join(' '),
      icon: Monitor,
      reason: null,
      run: () => go(isLive(vm.state) ? 'console' : 'machine', { id: vm.id }),
    }));

  const tabs = ['console', 'serial', 'hardware', 'snapshots', 'performance', 'log'] as const;
  /** What can be done with machines. So many that they are only made for a search. */
  const machineVerbs = (): Command[] =>
    machines.sorted.flatMap((vm) => [
      ...verbNames.map((verb): Command => {
        const reason = verbReason(verb, vm, host.info?.capabilities);
        return {
          id: `verb:${verb}:${vm.id}`,
          group: 'verb',
          label: t('palette.verb', { verb: verbLabel(verb, vm).replace(/…$/, ''), name: vm.name }),
          words: '',
          icon: Play,
          reason: reason === null ? null : t(`verbs.reason.${reason}`),
          run: () => void verbs.run(verb, vm),
        };
      }),
      ...tabs.map(
        (tab): Command => ({
          id: `tab:${tab}:${vm.id}`,
          group: 'machine',
          label: t('palette.verb', { verb: t(`tabs.${tab}`), name: vm.name }),
          words: '',
          icon: tab === 'snapshots' ? Camera : Monitor,
          reason: null,
          run: () => go(tab, { id: vm.id }),
        }),
      ),
    ]);

  function settingCommands(): Command[] {
    const choices = [
      { key: 'theme', icon: Palette, values: ['system', 'light', 'dark'], name: 'settings.theme.name', text: 'settings.theme' },
      { key: 'language', icon: Languages, values: ['system', 'en', 'zh-CN'], name: 'settings.language.name', text: 'settings.language' },
      { key: 'machinesView', icon: Monitor, values: ['grid', 'table'], name: 'settings.machinesView.name', text: 'settings.machinesView' },
      { key: 'consoleScaling', icon: Monitor, values: consoleScalings, name: 'console.scale.title', text: 'console.scale' },
    ] as const;
    const direct = choices.flatMap(({ key, icon, values, name, text }) =>
      values.map(
        (value): Command => ({
          id: `setting:${key}:${value}`,
          group: 'setting',
          label: t('palette.setting', { name: t(name), value: t(`${text}.${value}`) }),
          words: '',
          icon,
          reason: settings.current[key] === value ? t('palette.already') : null,
          run: () => void settings.change({ [key]: value } as Partial<Settings>),
        }),
      ),
    );
    const rows = settingRows.map(
      ({ id, title }): Command => ({
        id: `row:${id}`,
        group: 'setting',
        label: t('palette.setting', { name: t('nav.settings'), value: t(title) }),
        words: te(`${title}Text`) ? t(`${title}Text`) : '',
        icon: Settings2,
        reason: null,
        run: () => go('settings', {}, { show: id }),
      }),
    );
    return [...direct, ...rows];
  }

  const taskCommands = (): Command[] =>
    tasks.running.map((task) => {
      const key = `task.kind.${task.kind.replaceAll('.', '_')}`;
      return {
        id: `task:${task.id}`,
        group: 'task',
        label: t('palette.cancelTask', { task: te(key) ? t(key) : task.kind, object: task.object }),
        words: '',
        icon: X,
        reason: null,
        run: () => void tasks.cancel(task.id),
      };
    });

  function viewCommands(): Command[] {
    const show = (id: string, label: string, icon: Component, set: () => void): Command => ({
      id,
      group: 'view',
      label,
      words: '',
      icon,
      reason: null,
      run: () => {
        set();
        go('machines');
      },
    });
    const only = (change: () => void) => () => {
      library.clear();
      change();
    };
    return [
      ...library.order.views.map((view) =>
        show(`view:${view.id}`, t('palette.view', { name: view.name }), Bookmark, () => library.apply(view)),
      ),
      ...library.order.groups.map((path) =>
        show(
          `folder:${path}`,
          t('palette.folder', { name: path }),
          Folder,
          only(() => (library.group = path)),
        ),
      ),
      ...library.order.tags.map(({ name }) =>
        show(
          `tag:${name}`,
          t('palette.tag', { name }),
          Tag,
          only(() => (library.tags = [name])),
        ),
      ),
    ];
  }

  /** `searching`: with what can be done to each machine. */
  return (searching: boolean): Command[] => [
    ...taskCommands(),
    ...machineCommands(),
    ...places(),
    ...viewCommands(),
    ...(searching ? [...machineVerbs(), ...settingCommands()] : []),
  ];
}
