import type { MenuItemConstructorOptions } from 'electron';
import type { ElectronParts } from './electronparts.ts';

export interface MenuActions {
  newMachine(): void;
  showMain(): void;
  about(): void;
  showLog(): void;
}

/**
 * The application menu. Its keys are those of its roles, which a page gets first: the console keeps all keys from it (`preventDefault`) while the guest
 * has them. For the same reason no item has a key of its own, and on Linux and Windows the menu shows only with Alt.
 */
export function menuTemplate(platform: NodeJS.Platform, name: string, actions: MenuActions): MenuItemConstructorOptions[] {
  const mac = platform === 'darwin';
  const template: MenuItemConstructorOptions[] = [];
  if (mac)
    template.push({
      label: name,
      submenu: [
        { label: `About ${name}`, click: actions.about },
        { type: 'separator' },
        { role: 'hide' },
        { role: 'hideOthers' },
        { role: 'unhide' },
        { type: 'separator' },
        { role: 'quit' },
      ],
    });
  template.push(
    {
      label: 'File',
      submenu: [
        { label: 'New machine', click: actions.newMachine },
        { label: 'Machines', click: actions.showMain },
        { type: 'separator' },
        { role: mac ? 'close' : 'quit' },
      ],
    },
    // Without the Edit roles macOS has no copy and paste in text fields.
    {
      label: 'Edit',
      submenu: [
        { role: 'undo' },
        { role: 'redo' },
        { type: 'separator' },
        { role: 'cut' },
        { role: 'copy' },
        { role: 'paste' },
        { role: 'selectAll' },
      ],
    },
    {
      label: 'View',
      submenu: [
        { role: 'resetZoom' },
        { role: 'zoomIn' },
        { role: 'zoomOut' },
        { type: 'separator' },
        { role: 'togglefullscreen' },
        { role: 'toggleDevTools' },
      ],
    },
    { label: 'Window', submenu: [{ role: 'minimize' }, { role: 'close' }] },
    {
      label: 'Help',
      role: 'help',
      submenu: [
        { label: 'Show log file', click: actions.showLog },
        ...(mac ? [] : [{ type: 'separator' as const }, { label: `About ${name}`, click: actions.about }]),
      ],
    },
  );
  return template;
}

export function installMenu(electron: Pick<ElectronParts, 'Menu'>, actions: MenuActions): void {
  electron.Menu.setApplicationMenu(electron.Menu.buildFromTemplate(menuTemplate(process.platform, 'Hypervue', actions)));
}
