import { flushPromises, mount, type VueWrapper } from '@vue/test-utils';
import { createPinia, setActivePinia } from 'pinia';
import { afterEach, beforeEach, expect, type MockInstance, vi } from 'vitest';
import { createMemoryHistory, type Router } from 'vue-router';
import { ownerCaller } from '../../../../core/contract/access.ts';
import type { MethodName } from '../../../../core/contract/methods.ts';
import { ContractServer } from '../../../../core/contract/server.ts';
import { transportPair } from '../../../dev/mock/link.ts';
import { MockManager } from '../../../dev/mock/manager.ts';
import App from '../../App.vue';
import { i18n } from '../../i18n/index.ts';
import { makeRouter } from '../../router.ts';
import { useConnection } from '../../stores/connection.ts';

/** The whole application on invented machines, for tests of its pages. A test file that uses it mocks `dev/mock/screen.ts`, for want of a canvas. */
let app: VueWrapper;
let warnings: MockInstance<typeof console.warn>;
export let calls: { method: string; params: unknown }[];

export async function open(path: string, machines = 6) {
  const pinia = createPinia();
  setActivePinia(pinia);
  const manager = new MockManager({ machines, theme: 'light', language: 'en' });
  calls = [];
  for (const [method, handler] of Object.entries(manager.handlers))
    (manager.handlers as Record<string, unknown>)[method as MethodName] = (params: unknown) => {
      calls.push({ method, params });
      return (handler as (p: unknown) => unknown)(params);
    };
  const router = makeRouter(createMemoryHistory());
  await router.push(path);
  app = mount(App, { global: { plugins: [pinia, i18n, router] }, attachTo: document.body });
  await useConnection().start({
    async connect() {
      const [client, server] = transportPair();
      manager.attach(
        new ContractServer(server, { caller: ownerCaller('page'), handlers: manager.handlers, toError: (error) => manager.toError(error) }),
      );
      return client;
    },
    openChannel: () => Promise.reject(new Error('no channels here')),
    chooseFile: null,
    httpUrl: null,
    setToken: null,
  });
  await settle();
  return { router, manager };
}

export const settle = async () => {
  for (let i = 0; i < 5; i++) {
    await flushPromises();
    await vi.advanceTimersByTimeAsync(20);
  }
};
/** Lazy pages load in real time. */
export const arrive = async (router: Router, name: string) => {
  await vi.waitFor(() => expect(router.currentRoute.value.name).toBe(name), { timeout: 20_000 });
};
export const get = (id: string, root: ParentNode = document) => {
  const found = root.querySelector<HTMLElement>(`[data-testid="${id}"]`);
  if (!found) throw new Error(`no ${id} on the page`);
  return found;
};
export const card = (name: string) => {
  const found = document.querySelector<HTMLElement>(`[data-testid="machine-card"][data-name="${name}"]`);
  if (!found) throw new Error(`no card of ${name}`);
  return found;
};
export const fill = async (id: string, text: string) => {
  const field = get(id).querySelector('input');
  if (!field) throw new Error(`${id} has no field`);
  field.value = text;
  field.dispatchEvent(new Event('input', { bubbles: true }));
  await vi.advanceTimersByTimeAsync(400);
  await settle();
};
export const press = async (element: HTMLElement) => {
  element.click();
  await settle();
};

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] });
  localStorage.clear();
  warnings = vi.spyOn(console, 'warn').mockImplementation(() => {});
});
afterEach(() => {
  // An unresolved component, a missing message or a wrong prop shows as a warning only.
  expect(
    warnings.mock.calls.map(([text]) => String(text)).filter((text) => /Failed to resolve|Invalid prop|Not found|Extraneous/.test(text)),
  ).toEqual([]);
  warnings.mockRestore();
  app.unmount();
  document.body.innerHTML = '';
  vi.useRealTimers();
});
