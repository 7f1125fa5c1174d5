import type { MenuItemConstructorOptions } from 'electron';
import type { Texts } from './texts.ts';

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
export function menuTemplate(platform: NodeJS.Platform, texts: Texts, actions: MenuActions): MenuItemConstructorOptions[] {
  const mac = platform === 'darwin';
  const separator = { type: 'separator' } as const;
  const about = { label: texts.about, click: actions.about };
  const quit = { label: texts.quit, role: 'quit' } as const;
  const close = { label: texts.close, role: 'close' } as const;
  const template: MenuItemConstructorOptions[] = [
    {
      label: texts.file,
      submenu: [
        { label: texts.newMachine, click: actions.newMachine },
        { label: texts.machines, click: actions.showMain },
        separator,
        mac ? close : quit,
      ],
    },
    // Without the Edit roles macOS has no copy and paste in text fields.
    {
      label: texts.edit,
      submenu: [
        { label: texts.undo, role: 'undo' },
        { label: texts.redo, role: 'redo' },
        separator,
        { label: texts.cut, role: 'cut' },
        { label: texts.copy, role: 'copy' },
        { label: texts.paste, role: 'paste' },
        { label: texts.selectAll, role: 'selectAll' },
      ],
    },
    {
      label: texts.view,
      submenu: [
        { label: texts.resetZoom, role: 'resetZoom' },
        { label: texts.zoomIn, role: 'zoomIn' },
        { label: texts.zoomOut, role: 'zoomOut' },
        separator,
        { label: texts.fullscreen, role: 'togglefullscreen' },
        { label: texts.developerTools, role: 'toggleDevTools' },
      ],
    },
    { label: texts.window, submenu: [{ label: texts.minimize, role: 'minimize' }, ...(mac ? [] : [close])] },
    { label: texts.help, role: 'help', submenu: [{ label: texts.showLog, click: actions.showLog }, ...(mac ? [] : [separator, about])] },
  ];
  if (mac)
    template.unshift({
      label: 'Hypervue',
      submenu: [
        about,
        separator,
        { label: texts.hide, role: 'hide' },
        { label: texts.hideOthers, role: 'hideOthers' },
        { label: texts.showAll, role: 'unhide' },
        separator,
        quit,
      ],
    });
  return template;
}
