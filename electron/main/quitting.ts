import type { QuitAction } from '../../core/contract/desktopsettings.ts';
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

export type QuitChoice = 'tray' | 'save' | 'shutdown' | 'force-off' | 'cancel';
/** As the dialog's buttons stand. */
const CHOICES: readonly QuitChoice[] = ['save', 'shutdown', 'force-off', 'tray', 'cancel'];

export interface QuitOptions {
  texts: () => Texts;
  /** Called when the program goes on after all. */
  stay: () => void;
  /** Closes the windows, and says whether there were any; the program goes on behind its tray icon. Absent where there is no tray. */
  hide?: (() => boolean) | undefined;
  /** What the settings say. */
  remembered: () => QuitAction;
  remember: (choice: QuitAction) => void;
  timeoutMs?: number;
}

export interface Quitting {
  /** From the tray: staying there is no answer then. */
  quitFromTray(): void;
}

type QuitManager = Pick<Manager, 'running' | 'saveAll' | 'close'> & { handlers: Pick<Manager['handlers'], 'vm.resume' | 'vm.shutdown'> };

/** Asks what becomes of running machines, and whether that goes for the next time too. */
export async function askAboutRunning(
  electron: Pick<ElectronParts, 'dialog'>,
  texts: Texts,
  names: string[],
  { problems = [], tray = false }: { problems?: string[]; tray?: boolean } = {},
): Promise<{ choice: QuitChoice; remember: boolean }> {
  const listed = names.length > MAX_NAMES ? [...names.slice(0, MAX_NAMES), texts.andMore(names.length - MAX_NAMES)] : names;
  const choices = CHOICES.filter((choice) => tray || choice !== 'tray');
  const labels: Record<QuitChoice, string> = {
    save: texts.saveAndQuit,
    shutdown: texts.shutDownAndQuit,
    'force-off': texts.forceOffAndQuit,
    tray: texts.keepInTray,
    cancel: texts.cancel,
  };
  const { response, checkboxChecked } = await electron.dialog.showMessageBox({
    type: 'warning',
    title: 'Hypervue',
    message: names.length === 1 ? texts.oneRuns(names[0]!) : texts.manyRun(names.length),
    detail: [
      ...(names.length === 1 ? [] : [listed.join('\n')]),
      ...(problems.length ? [[texts.notSaved, ...problems.slice(0, MAX_NAMES)].join('\n')] : []),
      texts.quitDetail,
    ].join('\n\n'),
    buttons: choices.map((choice) => labels[choice]),
    checkboxLabel: texts.remember,
    defaultId: choices.indexOf('cancel'),
    cancelId: choices.indexOf('cancel'),
    noLink: true,
  });
  return { choice: choices[response] ?? 'cancel', remember: checkboxChecked };
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

/** Quitting asks about running machines first, then turns off what is left and flushes disks. */
export function quitProperly(
  electron: Pick<ElectronParts, 'app' | 'dialog'>,
  manager: QuitManager,
  log: Logger,
  { texts, stay, hide, remembered, remember, timeoutMs = SHUTDOWN_MS }: QuitOptions,
): Quitting {
  const { app, dialog } = electron;
  let state: 'running' | 'asking' | 'waiting' | 'closing' | 'closed' = 'running';
  let again = false;
  let fromTray = false;
  let hidden = false;
  let problems: string[] = [];

  /** What the settings say counts once a time: when it did not get the machines off, the question comes. */
  const choose = async (names: string[], first: boolean): Promise<QuitChoice> => {
    const action = remembered();
    const tray = hide !== undefined && !fromTray;
    if (first && action !== 'ask' && (action !== 'tray' || tray)) return action;
    const answer = await askAboutRunning({ dialog }, texts(), names, { problems, tray });
    // Losing what guests have not written, and doing nothing, are nobody's habit.
    const { choice } = answer;
    if (answer.remember && choice !== 'cancel' && choice !== 'force-off') remember(choice);
    return choice;
  };

  /** Whether the program may quit now: nothing runs any more, or the user lets it go. */
  const mayQuit = async (): Promise<'quit' | 'stay' | 'hide'> => {
    for (let first = true; ; first = false) {
      state = 'asking';
      const names = manager.running().map(({ name }) => name);
      if (!names.length) return 'quit';
      const choice = await choose(names, first);
      problems = [];
      if (choice === 'cancel') return 'stay';
      if (choice === 'tray') return 'hide';
      if (choice === 'force-off') return 'quit';
      state = 'waiting';
      again = false;
      if (choice === 'save') {
        // What could not be saved brings the question back, with the reasons.
        problems = (await manager.saveAll()).map(({ name, reason, said }) => `${name}: ${texts().say(reason, said)}`);
        continue;
      }
      // Guests that ignored the button bring the question back with their names.
      await shutDownAll(manager, log, timeoutMs, () => again);
    }
  };

  const quit = async (): Promise<void> => {
    const end = await mayQuit();
    fromTray = false;
    if (end !== 'quit') {
      state = 'running';
      // Their closing is not another wish to quit.
      hidden = end === 'hide';
      if (end === 'hide') hidden = hide!();
      // The question may have come from closing the last window.
      else stay();
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
    // Hiding in the tray closed them.
    if (hidden) {
      hidden = false;
      return;
    }
    // Who closed the window while guests shut down has been asked.
    if (process.platform !== 'darwin' && state !== 'waiting') app.quit();
  });
  return {
    quitFromTray: () => {
      fromTray = true;
      app.quit();
    },
  };
}
