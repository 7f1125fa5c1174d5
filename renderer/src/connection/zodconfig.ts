import { config } from 'zod';
import * as locales from 'zod/locales';

/** zod otherwise probes `new Function`, which the page's Content-Security-Policy reports as a violation. Import before any schema. */
config({ jitless: true });

/** The language of what zod says of a text that does not fit a schema, as in the editor of vm.json. */
export function setSchemaLocale(locale: 'en' | 'zh-CN'): void {
  config(locale === 'zh-CN' ? locales.zhCN() : locales.en());
}
