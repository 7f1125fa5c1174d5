import type { Manager } from '../../core/manager/manager.ts';
import type { Logger } from '../../core/util/logger.ts';
import type { ElectronParts } from './electronparts.ts';

/** Guests that were asked to shut down have this long before the question comes again. */
const SHUTDOWN_MS = 90_000;
const POLL_MS = 250;

export type QuitChoice = 'shutdown' | 'force-off' | 'cancel';

/** Asks what becomes of running machines. */
export async function askAboutRunning(electron: Pick<ElectronParts, 'dialog'>, names: string[]): Promise<QuitChoice> {
  const listed = names.length > 8 ? [...names.slice(0, 8), `and ${names.length - 8} more`] : names;
  const { response } = await electron.dialog.showMessageBox({
    type: 'warning',
    title: 'Hypervue',
    message: names.length === 1 ? `${names[0]} is running` : `${names.length} machines are running`,
    detail: `${names.length === 1 ? '' : `${listed.join('\n')}\n\n`}Machines run inside Hypervue, so they stop when it quits. Forcing them off loses what their guests have not written to disk.`,
    buttons: ['Shut down and quit', 'Force off and quit', 'Cancel'],
    defaultId: 2,
    cancelId: 2,
    noLink: true,
  });
  return (['shutdown', 'force-off', 'cancel'] as const)[response] ?? 'cancel';
}

/** Presses every power button and waits for the guests. Resolves with the names of machines that still run. */
export async function shutDownAll(manager: Manager, log: Logger, timeoutMs = SHUTDOWN_MS): Promise<string[]> {
  for (const { id, name, state } of manager.running())
    try {
      // A paused guest can't react.
      if (state === 'paused') await manager.handlers['vm.resume']({ id });
      await manager.handlers['vm.shutdown']({ id });
    } catch (error) {
      log.warn(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  const deadline = Date.now() + timeoutMs;
  while (manager.running().length && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  return manager.running().map(({ name }) => name);
}

/** Whether the program may quit now: nothing runs any more, or the user lets it go. */
export async function mayQuit(
  electron: Pick<ElectronParts, 'dialog'>,
  manager: Manager,
  log: Logger,
  timeoutMs?: number,
): Promise<boolean> {
  for (;;) {
    const names = manager.running().map(({ name }) => name);
    if (!names.length) return true;
    const choice = await askAboutRunning(electron, names);
    if (choice === 'cancel') return false;
    if (choice === 'force-off') return true;
    // Guests that ignored the button bring the question back with their names.
    await shutDownAll(manager, log, timeoutMs);
  }
}
