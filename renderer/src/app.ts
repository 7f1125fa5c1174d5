import './theme/tokens.css';
import { createPinia } from 'pinia';
import { createApp } from 'vue';
import App from './App.vue';
import type { Link } from './connection/link.ts';
import { i18n } from './i18n/index.ts';
import { makeRouter } from './router.ts';
import { useConnection } from './stores/connection.ts';

/** Mounts the application over a link; the link is all that differs between desktop, headless and the development mock. */
export function startApp(link: Link, element = '#app') {
  const app = createApp(App);
  const router = makeRouter();
  app.use(createPinia()).use(i18n).use(router);
  const connection = useConnection();
  app.mount(element);
  void connection.start(link);
  return { app, router, connection };
}
