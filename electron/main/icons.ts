import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** Icons of the tray, packed beside the app or in its source tree. Electron finds the larger one for dense screens by its name. */
export function trayIcons(entry: string): { idle: string; running: string } {
  const packaged = (process as { resourcesPath?: string }).resourcesPath;
  const own = packaged && path.join(packaged, 'icons');
  const folder = own && existsSync(own) ? own : fileURLToPath(new URL('../../resources/icons', entry));
  return { idle: path.join(folder, 'tray-idle.png'), running: path.join(folder, 'tray-running.png') };
}
