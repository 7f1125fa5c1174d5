import type { Manager } from '../../core/manager/manager.ts';
import { asHypervueError } from '../../core/util/errors.ts';
import type { Logger } from '../../core/util/logger.ts';
import type { ElectronParts } from './electronparts.ts';
import type { Texts } from './texts.ts';

/** Guests that were asked to shut down have this long before the question comes again. */
const SHUTDOWN_MS = 90_000;
const POLL_MS = 250;
/** The question lists no more machines than a dialog has room for. */
const MAX_NAMES = 8;

export type QuitChoice = 'save' | 'shutdown' | 'force-off' | 'cancel';
const CHOICES: readonly QuitChoice[] = ['save', 'shutdown', 'force-off', 'cancel'];
type QuitManager = Pick<Manager, 'running' | 'saveAll' | 'close'> & { handlers: Pick<Manager['handlers'], 'vm.resume' | 'vm.shutdown'> };

/** Asks what becomes of running machines. */
export async function askAboutRunning(
  electron: Pick<ElectronParts, 'dialog'>,
  texts: Texts,
  names: string[],
  problems: string[] = [],
): Promise<QuitChoice> {
  const listed = names.length > MAX_NAMES ? [...names.slice(0, MAX_NAMES), texts.andMore(names.length - MAX_NAMES)] : names;
  const { response } = await electron.dialog.showMessageBox({
    type: 'warning',
    title: 'Hypervue',
    message: names.length === 1 ? texts.oneRuns(names[0]!) : texts.manyRun(names.length),
    detail: [
      ...(names.length === 1 ? [] : [listed.join('\n')]),
      ...(problems.length ? [[texts.notSaved, ...problems.slice(0, MAX_NAMES)].join('\n')] : []),
      texts.quitDetail,
    ].join('\n\n'),
    buttons: [texts.saveAndQuit, texts.shutDownAndQuit, texts.forceOffAndQuit, texts.cancel],
    defaultId: CHOICES.indexOf('cancel'),
    cancelId: CHOICES.indexOf('cancel'),
    noLink: true,
  });
  return CHOICES[response] ?? 'cancel';
}

/** Presses every power button and waits until the guests are off, `timeoutMs` are over or `again` says that the user asks once more. */
export async function shutDownAll(manager: QuitManager, log: Logger, timeoutMs: number, again: () => boolean): Promise<void> {
  for (const { id, name, state } of manager.running())
    try {
      // A paused guest can't react.
      if (state === 'paused') await manager.handlers['vm.resume']({ id });
      await manager.handlers['vm.shutdown']({ id });
    } catch (error) {
      log.warn(`${name}: ${asHypervueError(error).message}`);
    }
  const deadline = Date.now() + timeoutMs;
  while (manager.running().length && Date.now() < deadline && !again()) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

/** Quitting asks about running machines first, then turns off what is left and flushes disks. `stay` is called when the program goes on after all. */
export function quitProperly(
  electron: Pick<ElectronParts, 'app' | 'dialog'>,
  manager: QuitManager,
  log: Logger,
  texts: () => Texts,
  stay: () => void,
  timeoutMs = SHUTDOWN_MS,
): void {
  const { app, dialog } = electron;
  let state: 'running' | 'asking' | 'waiting' | 'closing' | 'closed' = 'running';
  let again = false;
  let problems: string[] = [];

  /** Whether the program may quit now: nothing runs any more, or the user lets it go. */
  const mayQuit = async (): Promise<boolean> => {
    for (;;) {
      state = 'asking';
      const names = manager.running().map(({ name }) => name);
      if (!names.length) return true;
      const choice = await askAboutRunning({ dialog }, texts(), names, problems);
      problems = [];
      if (choice === 'cancel') return false;
      if (choice === 'force-off') return true;
      state = 'waiting';
      again = false;
      if (choice === 'save') {
        // What could not be saved brings the question back, with the reasons.
        problems = (await manager.saveAll()).map(({ name, reason }) => `${name}: ${reason}`);
        continue;
      }
      // Guests that ignored the button bring the question back with their names.
      await shutDownAll(manager, log, timeoutMs, () => again);
    }
  };

  const quit = async (): Promise<void> => {
    if (!(await mayQuit())) {
      state = 'running';
      // The question may have come from closing the last window.
      stay();
      return;
    }
    state = 'closing';
    await manager.close();
    state = 'closed';
    app.quit();
  };

  app.on('before-quit', (event) => {
    if (state === 'closed') return;
    event.preventDefault();
    // Who quits again while guests shut down does not want to wait any longer.
    if (state === 'waiting') again = true;
    if (state !== 'running') return;
    quit().catch((error) => {
      log.error(`quitting: ${asHypervueError(error).message}`);
      state = 'running';
      stay();
    });
  });
  app.on('window-all-closed', () => {
    // Who closed the window while guests shut down has been asked.
    if (process.platform !== 'darwin' && state !== 'waiting') app.quit();
  });
}
