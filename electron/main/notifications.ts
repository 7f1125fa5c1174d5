import type { ErrorDto } from '../../core/contract/errors.ts';
import type { Task } from '../../core/contract/host.ts';
import type { VmStateName, VmSummary } from '../../core/contract/vm.ts';
import type { ElectronParts } from './electronparts.ts';
import type { ManagerWatch } from './managerwatch.ts';
import type { Texts } from './texts.ts';

/** What is done sooner is no news to anybody, ms. */
const LONG_TASK_MS = 4000;
/** Systems cut longer texts anyway. */
const MAX_BODY = 200;
/** Notifications of ours at once: an Electron one lives only as long as something holds it. */
const MAX_OPEN = 20;

export interface Notice {
  title: string;
  body: string;
  /** The page that a click opens. */
  page: string;
}

const words = (texts: Texts, why: Pick<ErrorDto, 'message' | 'said'> | null | undefined) => (why ? texts.say(why.message, why.said) : '');

/** What to say of a task that changed; undefined for nothing. */
export function taskNotice(texts: Texts, task: Task): Notice | undefined {
  const long = task.finishedAt !== null && Date.parse(task.finishedAt) - Date.parse(task.startedAt) >= LONG_TASK_MS;
  const page = '#/activity';
  if (task.state === 'failed') return { title: texts.taskFailed(task.object), body: words(texts, task.error), page };
  return task.state === 'done' && long ? { title: texts.taskDone(task.object), body: texts.taskDoneText, page } : undefined;
}

/** What to say of a machine that was in state `before`. */
export function machineNotice(texts: Texts, vm: VmSummary, before: VmStateName | undefined): Notice | undefined {
  if (before === undefined || before === vm.state) return undefined;
  const page = `#/machines/${vm.id}`;
  const body = words(texts, vm.problem);
  if (vm.state === 'crashed') return { title: texts.crashed(vm.name), body, page };
  // It was not somebody who paused it: the host ran out of room, for one.
  if (vm.state === 'paused' && vm.problem) return { title: texts.stopped(vm.name), body, page };
  return vm.state === 'off' && before === 'running' ? { title: texts.turnedOff(vm.name), body, page } : undefined;
}

/** Tells through the system what happens while no window of ours is in front. A click opens what it is about. */
export function notifyOf(
  electron: Pick<ElectronParts, 'Notification' | 'BrowserWindow'>,
  watch: ManagerWatch,
  options: { texts: () => Texts; wanted: () => boolean; machines: readonly VmSummary[]; show: (page: string) => void },
): void {
  const { Notification, BrowserWindow } = electron;
  if (!Notification.isSupported()) return;
  const states = new Map<string, VmStateName>(options.machines.map(({ id, state }) => [id, state]));
  const open = new Set<InstanceType<typeof Notification>>();
  const tell = (notice: Notice | undefined) => {
    if (!notice || !options.wanted() || BrowserWindow.getFocusedWindow()) return;
    const { title, body, page } = notice;
    const shown = new Notification({ title, body: body.slice(0, MAX_BODY) });
    open.add(shown);
    if (open.size > MAX_OPEN) open.delete(open.values().next().value!);
    shown.on('click', () => {
      open.delete(shown);
      options.show(page);
    });
    shown.on('close', () => open.delete(shown));
    shown.show();
  };
  watch.on('task.changed', (task) => tell(taskNotice(options.texts(), task)));
  watch.on('vm.changed', (vm) => {
    const before = states.get(vm.id);
    states.set(vm.id, vm.state);
    tell(machineNotice(options.texts(), vm, before));
  });
  watch.on('vm.removed', ({ id }) => states.delete(id));
}
