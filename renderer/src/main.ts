import './connection/zodconfig.ts';
import { startApp } from './app.ts';
import { desktopLink, webSocketLink } from './connection/links.ts';
import { shownServer } from './connection/shownserver.ts';
import { reloadOnTokenLink } from './connection/token.ts';

startApp(
  window.hypervue ? desktopLink(window.hypervue, shownServer()) : webSocketLink(window.location, window.history, window.sessionStorage),
);
if (!window.hypervue) reloadOnTokenLink(window);
