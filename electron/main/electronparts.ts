import type * as ElectronModule from 'electron';

/** The parts of Electron that the main process uses: what a stand-in has to offer. */
export type ElectronParts = Pick<
  typeof ElectronModule,
  | 'app'
  | 'BrowserWindow'
  | 'Menu'
  | 'MessageChannelMain'
  | 'Notification'
  | 'Tray'
  | 'dialog'
  | 'ipcMain'
  | 'protocol'
  | 'safeStorage'
  | 'screen'
  | 'session'
  | 'shell'
  | 'utilityProcess'
>;
