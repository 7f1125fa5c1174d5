import { fileURLToPath } from 'node:url';
import {
  app,
  BrowserWindow,
  dialog,
  ipcMain,
  Menu,
  MessageChannelMain,
  Notification,
  protocol,
  safeStorage,
  screen,
  session,
  shell,
  Tray,
  utilityProcess,
} from 'electron';
import { startDesktop } from './desktop.ts';

// Not awaited: Electron becomes ready only after this module has been evaluated, and startDesktop waits for that (electron/electron#40719).
void startDesktop(
  {
    app,
    BrowserWindow,
    dialog,
    ipcMain,
    Menu,
    MessageChannelMain,
    Notification,
    protocol,
    safeStorage,
    screen,
    session,
    shell,
    Tray,
    utilityProcess,
  },
  { entry: import.meta.url, outFolder: fileURLToPath(new URL('..', import.meta.url)) },
);
