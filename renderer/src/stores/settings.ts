import { defineStore } from 'pinia';
import { computed, ref, watch } from 'vue';
import { type Accent, accents, type Settings, settingsPatchSchema, settingsSchema } from '../../../core/contract/host.ts';
import { consoleSettingFields } from '../../../core/contract/consolesettings.ts';
import { ownRole } from '../composables/verbs.ts';
import { useConnection } from './connection.ts';
import { useNotices } from './notices.ts';

const appearanceKey = 'hypervue.appearance';

const defaults: Settings = settingsSchema.parse({});

/** What somebody who may not manage changes for this browser alone: how things look and consoles behave, not how machines are. */
const personalKeys: readonly (keyof Settings)[] = [
  'theme',
  'language',
  'accent',
  'machinesView',
  ...(Object.keys(consoleSettingFields) as (keyof typeof consoleSettingFields)[]),
];
const personalKey = 'hypervue.personal';

/** The manager's settings. Theme and language are also remembered here, so that the first paint has the right ones. */
export const useSettings = defineStore('settings', () => {
  const connection = useConnection();
  const notices = useNotices();
  const current = ref<Settings>({ ...defaults, ...remembered() });
  const loaded = ref(false);

  const darkQuery = window.matchMedia('(prefers-color-scheme: dark)');
  const systemDark = ref(darkQuery.matches);
  darkQuery.addEventListener('change', (event) => (systemDark.value = event.matches));
  const isDark = computed(() => (current.value.theme === 'system' ? systemDark.value : current.value.theme === 'dark'));

  function accept(received: Settings): void {
    const settings = ownRole.value === 'manage' ? received : { ...received, ...personal() };
    current.value = settings;
    loaded.value = true;
    localStorage.setItem(appearanceKey, JSON.stringify({ theme: settings.theme, language: settings.language, accent: settings.accent }));
  }

  /** Shows the change at once, takes it back when the manager refuses. */
  async function change(patch: Partial<Settings>): Promise<void> {
    const before = current.value;
    current.value = { ...before, ...patch };
    if (ownRole.value !== 'manage' && (Object.keys(patch) as (keyof Settings)[]).every((key) => personalKeys.includes(key))) {
      localStorage.setItem(personalKey, JSON.stringify({ ...personal(), ...patch }));
      accept(current.value);
      return;
    }
    try {
      accept(await connection.call('settings.set', patch));
    } catch (error) {
      current.value = before;
      notices.showError('settings', '', error);
    }
  }

  connection.on('settings.changed', accept);
  // Who we are is told after the settings came.
  watch(ownRole, () => accept(current.value));
  connection.onReady(() => void connection.call('settings.get', {}).then(accept, () => undefined));
  return { current, loaded, isDark, change };
});

/** Of this browser; whatever makes no sense is left out. */
function personal(): Partial<Settings> {
  try {
    const kept = settingsPatchSchema.parse(JSON.parse(localStorage.getItem(personalKey) ?? '{}'));
    return Object.fromEntries(Object.entries(kept).filter(([key]) => (personalKeys as readonly string[]).includes(key)));
  } catch {
    return {};
  }
}

function remembered(): Partial<Settings> {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(appearanceKey) ?? '{}');
    if (typeof value !== 'object' || value === null) return {};
    const { theme, language, accent } = value as { theme?: unknown; language?: unknown; accent?: unknown };
    return {
      ...(theme === 'light' || theme === 'dark' || theme === 'system' ? { theme } : {}),
      ...(language === 'en' || language === 'zh-CN' || language === 'system' ? { language } : {}),
      ...((accents as readonly unknown[]).includes(accent) ? { accent: accent as Accent } : {}),
    };
  } catch {
    return {};
  }
}
