import { createI18n } from 'vue-i18n';
import { setSchemaLocale } from '../connection/zodconfig.ts';
import { en, type Messages } from './en.ts';

export type Locale = 'en' | 'zh-CN';

/** Embeddings, overrides and isolates: one in a name would turn round what stands behind it in the sentence. */
const TURNING = /[\u202a-\u202e\u2066-\u2069]/g;

export const i18n = createI18n<[Messages], Locale, false>({
  legacy: false,
  locale: 'en',
  fallbackLocale: 'en',
  messages: { en } as never,
  postTranslation: (text) => (typeof text === 'string' ? text.replace(TURNING, '') : text),
});

/** The language that a setting means on this system. */
export function resolveLocale(setting: 'system' | Locale, preferred: readonly string[]): Locale {
  if (setting !== 'system') return setting;
  for (const tag of preferred) {
    const language = tag.toLowerCase();
    if (language.startsWith('zh')) return 'zh-CN';
    if (language.startsWith('en')) return 'en';
  }
  return 'en';
}

/** Loads the messages if needed, then switches the app and the document to the language. */
export async function setLocale(locale: Locale): Promise<void> {
  setSchemaLocale(locale);
  if (locale === 'zh-CN') i18n.global.setLocaleMessage('zh-CN', (await import('./zh-CN.ts')).zhCN as never);
  (i18n.global.locale as unknown as { value: Locale }).value = locale;
  document.documentElement.lang = locale;
}
