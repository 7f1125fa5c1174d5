const storageKey = 'hypervue.token';

/**
 * The access token of headless mode. `hypervue serve` prints a link that ends in `#token=…`: the token is moved from there to this tab's
 * session storage, and the hash is removed so that it does not stay in the address bar or in bookmarks.
 */
export function takeToken(location: Location, history: History, storage: Storage): string {
  const match = /^#\/?token=([^&]+)/.exec(location.hash);
  if (match?.[1]) {
    storage.setItem(storageKey, safeDecode(match[1]));
    history.replaceState(history.state, '', `${location.pathname}${location.search}#/`);
  }
  return storage.getItem(storageKey) ?? '';
}

/** The printed link pasted into an open tab changes only the hash: start over with its token. */
export function reloadOnTokenLink(target: Window): void {
  target.addEventListener('hashchange', () => {
    if (/^#\/?token=/.test(target.location.hash)) target.location.reload();
  });
}

export function storeToken(storage: Storage, token: string): void {
  storage.setItem(storageKey, token);
}

/** Subprotocol names allow only token characters (RFC 7230 3.2.6), so the access token travels as base64url of its UTF-8 bytes. */
export function base64Url(text: string): string {
  let binary = '';
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
