import { defineStore } from 'pinia';
import { computed, ref } from 'vue';
import { type Accent, accents, type Settings, settingsSchema } from '../../../core/contract/host.ts';
import { useConnection } from './connection.ts';
import { useNotices } from './notices.ts';

const appearanceKey = 'hypervue.appearance';

const defaults: Settings = settingsSchema.parse({});

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

  function accept(settings: Settings): void {
    current.value = settings;
    loaded.value = true;
    localStorage.setItem(appearanceKey, JSON.stringify({ theme: settings.theme, language: settings.language, accent: settings.accent }));
  }

  /** Shows the change at once, takes it back when the manager refuses. */
  async function change(patch: Partial<Settings>): Promise<void> {
    const before = current.value;
    current.value = { ...before, ...patch };
    try {
      accept(await connection.call('settings.set', patch));
    } catch (error) {
      current.value = before;
      notices.showError('settings', '', error);
    }
  }

  connection.on('settings.changed', accept);
  connection.onReady(() => void connection.call('settings.get', {}).then(accept, () => undefined));
  return { current, loaded, isDark, change };
});

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
