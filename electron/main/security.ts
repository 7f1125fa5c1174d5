import type { App, Session, WebContents } from 'electron';

/** Nothing but the app's own files, and no eval: the same policy as headless mode sends as a header. */
export const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Permissions the window may have: fullscreen console, keyboard lock, pointer lock, clipboard for copy buttons. */
const ALLOWED_PERMISSIONS = new Set(['fullscreen', 'keyboardLock', 'pointerLock', 'clipboard-sanitized-write']);

/** Locks navigation, new windows and permissions of every window of the app. `origin` is where the app's pages come from. */
export function lockDown(
  app: Pick<App, 'on'>,
  session: Pick<Session, 'setPermissionRequestHandler' | 'setPermissionCheckHandler'>,
  origin: string,
): void {
  session.setPermissionRequestHandler((_contents, permission, decide) => decide(ALLOWED_PERMISSIONS.has(permission)));
  session.setPermissionCheckHandler((_contents, permission) => ALLOWED_PERMISSIONS.has(permission));
  app.on('web-contents-created', (_event, contents: WebContents) => {
    contents.on('will-navigate', (event) => {
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
