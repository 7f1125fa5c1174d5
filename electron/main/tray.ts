import type { MenuItemConstructorOptions, Tray as TrayClass } from 'electron';
import type { VmSummary } from '../../core/contract/vm.ts';
import type { Manager } from '../../core/manager/manager.ts';
import { asHypervueError } from '../../core/util/errors.ts';
import type { Logger } from '../../core/util/logger.ts';
import type { ElectronParts } from './electronparts.ts';
import type { Texts } from './texts.ts';

/** A menu holds no more machines than one can look over; the window has the rest. */
const MAX_MACHINES = 15;
const MAX_NAME = 60;
/** Machines say much while they start; the menu is made anew at most so often, ms. */
const SETTLE_MS = 200;

export interface TrayActions {
  /** Shows the window, at a page of its own when `hash` names one. */
  show(hash?: string): void;
  quit(): void;
}

type TrayHandlers = Pick<Manager['handlers'], 'vm.pause' | 'vm.resume' | 'vm.shutdown' | 'vm.saveState'>;
export type TrayManager = Pick<Manager, 'running'> & { handlers: TrayHandlers };

/** In menus of Windows and Linux an ampersand marks a key. */
const label = (name: string) => (name.length > MAX_NAME ? `${name.slice(0, MAX_NAME)}…` : name).replaceAll('&', '&&');

/** What the tray's menu offers: the window, each running machine with what can be done now, and the end of the program. */
export function trayTemplate(
  texts: Texts,
  running: readonly VmSummary[],
  actions: TrayActions,
  act: (verb: keyof TrayHandlers, vm: VmSummary) => void,
): MenuItemConstructorOptions[] {
  const separator = { type: 'separator' } as const;
  const machines = running.slice(0, MAX_MACHINES).map((vm): MenuItemConstructorOptions => {
    const paused = vm.state === 'paused';
    const on = paused || vm.state === 'running';
    return {
      label: `${label(vm.name)} – ${texts.state[vm.state]}`,
      submenu: [
        { label: texts.openConsole, click: () => actions.show(`#/machines/${vm.id}/console`) },
        paused
          ? { label: texts.resume, click: () => act('vm.resume', vm) }
          : { label: texts.pause, enabled: vm.state === 'running', click: () => act('vm.pause', vm) },
        { label: texts.shutDown, enabled: vm.state === 'running', click: () => act('vm.shutdown', vm) },
        { label: texts.saveState, enabled: on, click: () => act('vm.saveState', vm) },
      ],
    };
  });
  const more = running.length - MAX_MACHINES;
  return [
    { label: texts.openApp, click: () => actions.show() },
    { label: texts.newMachine, click: () => actions.show('#/new') },
    separator,
    ...(machines.length ? machines : [{ label: texts.noneRuns, enabled: false }]),
    ...(more > 0 ? [{ label: texts.andMore(more), click: () => actions.show() }] : []),
    separator,
    { label: texts.quit, click: actions.quit },
  ];
}

/** The icon in the system's tray: whether machines run, and a menu. */
export class AppTray {
  private readonly electron: Pick<ElectronParts, 'Tray' | 'Menu'>;
  private readonly icons: { idle: string; running: string };
  private readonly manager: TrayManager;
  private readonly texts: () => Texts;
  private readonly actions: TrayActions;
  private readonly log: Logger;
  private tray: TrayClass | undefined;
  private shown = '';
  private timer: NodeJS.Timeout | undefined;

  constructor(
    electron: Pick<ElectronParts, 'Tray' | 'Menu'>,
    icons: { idle: string; running: string },
    manager: TrayManager,
    texts: () => Texts,
    actions: TrayActions,
    log: Logger,
  ) {
    this.electron = electron;
    this.icons = icons;
    this.manager = manager;
    this.texts = texts;
    this.actions = actions;
    this.log = log;
  }

  /** False when there is no tray: nothing may hide behind it then. */
  get available(): boolean {
    return this.tray !== undefined;
  }

  open(): void {
    try {
      this.tray = new this.electron.Tray(this.icons.idle);
      this.tray.on('click', () => this.actions.show());
      this.refresh();
    } catch (error) {
      this.tray = undefined;
      this.log.warn(`there is no tray: ${asHypervueError(error).message}`);
    }
  }

  /** A machine changed, or the language. */
  changed(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.refresh();
    }, SETTLE_MS).unref();
  }

  close(): void {
    clearTimeout(this.timer);
    this.tray?.destroy();
    this.tray = undefined;
  }

  private refresh(): void {
    const { tray } = this;
    if (!tray || tray.isDestroyed()) return;
    const texts = this.texts();
    const running = this.manager.running();
    // On Linux a new menu closes the one that is open: only when something else would be in it.
    const shows = JSON.stringify([texts.quit, running.map(({ id, name, state }) => [id, name, state])]);
    if (shows === this.shown) return;
    this.shown = shows;
    tray.setImage(running.length ? this.icons.running : this.icons.idle);
    tray.setToolTip(
      running.length === 0 ? 'Hypervue' : running.length === 1 ? texts.oneRuns(running[0]!.name) : texts.manyRun(running.length),
    );
    tray.setContextMenu(
      this.electron.Menu.buildFromTemplate(trayTemplate(texts, running, this.actions, (verb, vm) => void this.act(verb, vm))),
    );
  }

  private async act(verb: keyof TrayHandlers, { id, name }: VmSummary): Promise<void> {
    try {
      await this.manager.handlers[verb]({ id });
    } catch (error) {
      // The page of the machine says what is the matter with it.
      this.log.warn(`${name}: ${asHypervueError(error).message}`);
      this.actions.show(`#/machines/${id}`);
    }
  }
}
