import type { App, Session, WebContents } from 'electron';

/** Nothing but the app's own files, and no eval: the same policy as headless mode sends as a header. */
export const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Permissions the app's own pages have: fullscreen console, keyboard lock, pointer lock, the clipboard for copy buttons and for pasting into a guest. */
const ALLOWED_PERMISSIONS = new Set(['fullscreen', 'keyboardLock', 'pointerLock', 'clipboard-sanitized-write', 'clipboard-read']);

/** What a page may load: the app's own files, and what it made itself. Nothing ever comes from the network. */
const LOADABLE = ['app:', 'blob:', 'data:', 'devtools:'];

/** Locks navigation, new windows and permissions of every window of the app. `origin` is where the app's pages come from. */
export function lockDown(
  app: Pick<App, 'on'>,
  session: Pick<Session, 'setPermissionRequestHandler' | 'setPermissionCheckHandler' | 'setDevicePermissionHandler' | 'webRequest'>,
  origin: string,
): void {
  session.setPermissionRequestHandler((_contents, permission, decide, { requestingUrl }) =>
    decide(ALLOWED_PERMISSIONS.has(permission) && isOwnPage(requestingUrl, origin)),
  );
  session.setPermissionCheckHandler(
    (_contents, permission, requestingOrigin) => ALLOWED_PERMISSIONS.has(permission) && isOwnPage(requestingOrigin, origin),
  );
  session.setDevicePermissionHandler(() => false);
  session.webRequest.onBeforeRequest(({ url }, decide) => decide({ cancel: !LOADABLE.includes(URL.parse(url)?.protocol ?? '') }));
  app.on('web-contents-created', (_event, contents: WebContents) => {
    // Of frames too, and where a redirect would lead.
    for (const name of ['will-navigate', 'will-frame-navigate', 'will-redirect'] as const)
      contents.on(name as 'will-navigate', (event) => {
        if (!isOwnPage(event.url, origin)) event.preventDefault();
      });
    contents.on('will-attach-webview', (event) => event.preventDefault());
    // Windows that may open others say so themselves.
    contents.setWindowOpenHandler(() => ({ action: 'deny' }));
  });
}

export function isOwnPage(url: string, origin: string): boolean {
  return url === origin || url.startsWith(`${origin}/`);
}
