/** Which remote server a page of the desktop app shows stands in its address, so that every window keeps its own. */
const parameter = 'server';

/** Id of the remote server; null for this computer. */
export const shownServer = (search: string = window.location.search): string | null => {
  const id = new URLSearchParams(search).get(parameter);
  return id !== null && /^[0-9a-f-]{36}$/.test(id) ? id : null;
};

/** Address of a page of a server, or of this computer. Going there loads the app anew: nothing of the one before stays. */
export const addressOf = (server: string | null, hash = '#/machines'): string =>
  `${window.location.pathname}${server === null ? '' : `?${parameter}=${server}`}${hash}`;
