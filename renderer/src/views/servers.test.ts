import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { BridgeAnswer, DesktopBridge } from '../../../core/contract/desktopbridge.ts';
import type { ErrorDto } from '../../../core/contract/errors.ts';
import type { RemoteServer, ServerProbe } from '../../../core/contract/servers.ts';
import { setLocale } from '../i18n/index.ts';
import { arrive, fill, get, open, press, settle } from './testing/openpage.ts';
// Loaded before the tests' time begins to run: on a busy host that alone takes seconds.
import './ServersView.vue';

vi.mock('../../dev/mock/screen.ts', () => ({ drawScreen: () => ({ width: 720, height: 400 }), pngOf: () => 'iVBORw0KGgo=' }));

/** The page of remote servers over an invented desktop app. */
const changed: ErrorDto = {
  kind: 'permission-denied',
  message: 'the certificate of https://rack:6880 is another one than before',
  context: {},
};
const rack: RemoteServer = {
  id: '00000000-0000-4000-8000-000000000001',
  name: 'Rack 3',
  url: 'https://rack:6880/',
  fingerprint: 'AA',
  state: 'ready',
  problem: null,
  role: 'manage',
  machines: [],
};
let list: RemoteServer[];
let probes: BridgeAnswer<ServerProbe>[];
let adds: BridgeAnswer<RemoteServer>[];
let added: unknown[];

beforeEach(() => {
  list = [];
  added = [];
  window.hypervue = {
    servers: {
      state: async () => ({ result: { servers: list, lasting: true } }),
      probe: async () => probes.shift()!,
      add: async (server) => {
        added.push(server);
        return adds.shift()!;
      },
      remove: async () => ({ result: null }),
      onChange: () => {},
    },
  } as Partial<DesktopBridge> as DesktopBridge;
});
afterEach(async () => {
  delete window.hypervue;
  await setLocale('en');
});

const selfSigned: ServerProbe = { url: rack.url, token: null, certificate: { fingerprint: 'AB:CD', trusted: false } };
const go = async () => {
  const { router } = await open('/servers');
  await arrive(router, 'servers');
  await settle();
};
const fingerprintShown = () => document.querySelector('[data-testid="server-fingerprint"]')?.textContent ?? null;

test('a wrong address and a wrong token leave every entry, and say in Chinese too what to do', async () => {
  const said = { key: 'cantReach', params: { host: 'rack:6880', problem: { key: 'netNoTls', params: {} } } };
  const noTls: ErrorDto = {
    kind: 'io-error',
    message: "can't reach rack:6880",
    context: {},
    said,
    fix: 'x',
    saidFix: { key: 'fixServerPlain', params: {} },
  };
  const wrong: ErrorDto = { kind: 'unauthorized', message: 'rack:6880 refused: the token is wrong', context: {}, fix: 'Ask for another.' };
  probes = [{ error: noTls }, { result: selfSigned }];
  adds = [{ error: wrong }, { result: rack }];
  await go();
  await setLocale('zh-CN');
  await settle();
  expect(get('server-next').hasAttribute('disabled')).toBe(true);
  await fill('server-address', 'rack:6880');
  await fill('server-token', 'not the token');
  await press(get('server-next'));
  expect(get('servers').textContent).toContain('无法连接 rack:6880：该端口不使用 TLS');
  expect(get('servers').textContent).toContain('SSH 隧道');
  await setLocale('en');
  await settle();
  await press(get('server-next'));
  expect(fingerprintShown()).toBe('AB:CD');
  expect(get('server-next').hasAttribute('disabled')).toBe(true);
  await press(get('server-same'));
  await press(get('server-next'));
  expect(get('servers').textContent).toContain('the token is wrong');
  expect(get('server-address').querySelector('input')!.value).toBe('rack:6880');
  // Whose server it is was compared; only the token has to be another.
  await fill('server-token', 'the token');
  await press(get('server-next'));
  expect(added).toEqual(['not the token', 'the token'].map((token) => ({ url: rack.url, token, fingerprint: 'AB:CD', name: '' })));
  expect(get('server-address').querySelector('input')!.value).toBe('');
});

test('another certificate is told as stopped, not as tried again, and wants a new comparison', async () => {
  list = [{ ...rack, state: 'stopped', problem: changed }];
  probes = [{ result: selfSigned }, { result: { ...selfSigned, certificate: { fingerprint: 'EF:01', trusted: false } } }];
  adds = [{ error: changed }];
  await go();
  expect(get('server').textContent).toContain('Stopped, not tried again');
  expect(get('server-again').textContent).toContain('Compare again');
  await press(get('server-again'));
  expect(get('server-address').querySelector('input')!.value).toBe(rack.url);
  await fill('server-token', 'the token');
  await press(get('server-next'));
  await press(get('server-same'));
  await press(get('server-next'));
  // It changed once more: what was compared counts no longer.
  expect(fingerprintShown()).toBeNull();
  await press(get('server-next'));
  expect(fingerprintShown()).toBe('EF:01');
  expect(get('server-next').hasAttribute('disabled')).toBe(true);
});
