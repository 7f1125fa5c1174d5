import { rm } from 'node:fs/promises';
import type { Manager } from '../../core/manager/manager.ts';
import { chosenLibraryFile } from '../../core/platform/chosenlibrary.ts';
import { type AppFolders, appFolders } from '../../core/platform/folders.ts';
import { asHypervueError } from '../../core/util/errors.ts';
import type { ElectronParts } from './electronparts.ts';
import type { Texts } from './texts.ts';

/**
 * Opens the library. When the one that was chosen is away (a drive that is not connected), it asks whether to try again or to go back to the usual folder; undefined for neither.
 * Rejects when it can't be opened for another reason.
 */
export async function openLibrary(
  { dialog }: Pick<ElectronParts, 'dialog'>,
  texts: Texts,
  folders: AppFolders,
  open: (folders: AppFolders) => Promise<Manager>,
): Promise<Manager | undefined> {
  for (let now = folders; ; now = appFolders())
    try {
      return await open(now);
    } catch (cause) {
      const error = asHypervueError(cause);
      if (error.context.reason !== 'library-away') throw cause;
      const { response } = await dialog.showMessageBox({
        type: 'error',
        title: 'Hypervue',
        message: texts.noLibrary,
        detail: texts.say(error.message, error.said),
        buttons: [texts.tryAgain, texts.usualLibrary, texts.quit],
        defaultId: 0,
        cancelId: 2,
        noLink: true,
      });
      if (response === 2) return undefined;
      if (response === 1) await rm(chosenLibraryFile(now.config), { force: true });
    }
}
