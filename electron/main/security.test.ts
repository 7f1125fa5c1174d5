import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { CONTENT_SECURITY_POLICY, isOwnPage, lockDown } from './security.ts';
import { APP_ORIGIN, isConsolePage, windowOptions } from './windows.ts';

function lockedDown() {
  const app = new EventEmitter();
  let request:
    | ((contents: unknown, permission: string, decide: (allowed: boolean) => void, details: { requestingUrl: string }) => void)
    | undefined;
  let check: ((contents: unknown, permission: string, requestingOrigin: string) => boolean) | undefined;
  let device: (() => boolean) | undefined;
  let load: ((details: { url: string }, decide: (answer: { cancel: boolean }) => void) => void) | undefined;
  const session = {
    setPermissionRequestHandler: (handler: typeof request) => {
      request = handler;
    },
    setPermissionCheckHandler: (handler: typeof check) => {
      check = handler;
    },
    setDevicePermissionHandler: (handler: () => boolean) => {
      device = handler;
    },
    webRequest: {
      onBeforeRequest: (handler: typeof load) => {
        load = handler;
      },
    },
  };
  lockDown(app as never, session as never, APP_ORIGIN);
  let open: ((details: { url: string }) => { action: string }) | undefined;
  const contents = Object.assign(new EventEmitter(), {
    setWindowOpenHandler: (handler: typeof open) => {
      open = handler;
    },
  });
  app.emit('web-contents-created', {}, contents);
  const prevented = (event: string, url: string) => {
    let stopped = false;
    contents.emit(event, { url, preventDefault: () => (stopped = true) });
    return stopped;
  };
  const allowed = (permission: string, origin = APP_ORIGIN) => {
    let answer: boolean | undefined;
    request!(contents, permission, (decided) => (answer = decided), { requestingUrl: `${origin}/index.html` });
    expect(check!(contents, permission, `${origin}/`)).toBe(answer);
    return answer;
  };
  const loads = (url: string) => {
    let answer: boolean | undefined;
    load!({ url }, ({ cancel }) => (answer = !cancel));
    return answer;
  };
  return { device: () => device!(), loads, prevented, allowed, open: (url: string) => open!({ url }).action };
}

test('only what a console needs is permitted', () => {
  const { allowed } = lockedDown();
  for (const permission of ['fullscreen', 'keyboardLock', 'pointerLock', 'clipboard-sanitized-write', 'clipboard-read'])
    expect(allowed(permission)).toBe(true);
  for (const permission of ['media', 'geolocation', 'notifications', 'openExternal', 'display-capture', 'usb', 'hid', 'serial', 'midi'])
    expect(allowed(permission), permission).toBe(false);
});

test('a foreign frame is permitted nothing, and no device is given to anybody', () => {
  const { allowed, device } = lockedDown();
  for (const permission of ['fullscreen', 'clipboard-read']) expect(allowed(permission, 'https://example.org'), permission).toBe(false);
  expect(device()).toBe(false);
});

test('nothing is loaded from the network or from files', () => {
  const { loads } = lockedDown();
  for (const url of [`${APP_ORIGIN}/index.html`, 'blob:app://hypervue/x', 'data:image/png;base64,AA', 'devtools://devtools/x'])
    expect(loads(url), url).toBe(true);
  for (const url of ['https://example.org/x.js', 'http://127.0.0.1/', 'ws://127.0.0.1/', 'file:///etc/passwd', 'ftp://x/', 'nonsense'])
    expect(loads(url), url).toBe(false);
});

test('no page leads out of the app', () => {
  const { prevented, open } = lockedDown();
  expect(prevented('will-navigate', `${APP_ORIGIN}/index.html#/machines`)).toBe(false);
  for (const url of [
    'https://example.org/',
    'file:///etc/passwd',
    'app://hypervue.evil/',
    'app://other/',
    'javascript:alert(1)',
    'data:text/html,x',
  ])
    for (const event of ['will-navigate', 'will-frame-navigate', 'will-redirect']) expect(prevented(event, url), url).toBe(true);
  expect(prevented('will-attach-webview', APP_ORIGIN)).toBe(true);
  expect(open(`${APP_ORIGIN}/index.html`)).toBe('deny');
});

test('own pages are told by their whole origin', () => {
  expect(isOwnPage(`${APP_ORIGIN}/index.html`, APP_ORIGIN)).toBe(true);
  for (const url of ['', 'about:blank', `${APP_ORIGIN}.evil/`, `${APP_ORIGIN}@evil/`, `https://x/?${APP_ORIGIN}/`])
    expect(isOwnPage(url, APP_ORIGIN), url).toBe(false);
});

test('only a console may be opened as a window', () => {
  const id = '6f1c0e9a-1111-4222-8333-444455556666';
  expect(isConsolePage(`${APP_ORIGIN}/index.html#/console/${id}`)).toBe(true);
  expect(isConsolePage(`${APP_ORIGIN}/#/console/${id}`)).toBe(true);
  for (const url of [
    `${APP_ORIGIN}/index.html`,
    `${APP_ORIGIN}/index.html#/settings`,
    `${APP_ORIGIN}/index.html#/console/`,
    `${APP_ORIGIN}/index.html#/console/${id}/../../settings`,
    `${APP_ORIGIN}/other.html#/console/${id}`,
    `https://example.org/#/console/${id}`,
    `https://example.org/?${APP_ORIGIN}/index.html#/console/${id}`,
    'about:blank',
  ])
    expect(isConsolePage(url), url).toBe(false);
});

test('windows are sandboxed and have no Node', () => {
  expect(windowOptions('/preload.cjs').webPreferences).toMatchObject({
    preload: '/preload.cjs',
    sandbox: true,
    contextIsolation: true,
    nodeIntegration: false,
    webviewTag: false,
  });
});

test('the policy has no eval, no inline script and no foreign source', () => {
  const directives = new Map(CONTENT_SECURITY_POLICY.split('; ').map((part) => [part.split(' ')[0]!, part.split(' ').slice(1)]));
  expect(directives.get('default-src')).toEqual(["'none'"]);
  expect(directives.get('script-src')).toEqual(["'self'"]);
  expect(CONTENT_SECURITY_POLICY).not.toMatch(/unsafe-eval|https?:|\*/);
});
