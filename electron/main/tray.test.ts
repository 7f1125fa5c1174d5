import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { VmSummary } from '../../core/contract/vm.ts';
import { nullLogger } from '../../core/util/logger.ts';
import { textsFor } from './texts.ts';
import { AppTray, type TrayManager, trayTemplate } from './tray.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const machine = (name: string, state: VmSummary['state'] = 'running') => ({ id: name, name, state }) as VmSummary;
type Item = { label?: string; enabled?: boolean; click?: () => void; submenu?: Item[] };

function menu(running: VmSummary[], language: 'en' | 'zh-CN' = 'en') {
  const done: string[] = [];
  const items = trayTemplate(
    textsFor(language, []),
    running,
    { show: (hash = '') => done.push(`show ${hash}`), quit: () => done.push('quit') },
    (verb, { name }) => done.push(`${verb} ${name}`),
  ) as Item[];
  const find = (label: string, list = items): Item =>
    list.flatMap((item) => [item, ...(item.submenu ?? [])]).find((item) => item.label === label)!;
  return { items, done, find };
}

test('each running machine has what can be done with it now', () => {
  const { items, find, done } = menu([machine('web & db'), machine('old', 'paused'), machine('new', 'starting')]);
  const of = (label: string) => find(label).submenu!;
  expect(items.map(({ label }) => label)).toEqual([
    'Open Hypervue',
    'New machine',
    undefined,
    'web && db – running',
    'old – paused',
    'new – starting',
    undefined,
    'Quit',
  ]);
  for (const item of of('web && db – running')) item.click!();
  expect(done).toEqual(['show #/machines/web & db/console', 'vm.pause web & db', 'vm.shutdown web & db', 'vm.saveState web & db']);
  expect(of('old – paused').map(({ label, enabled }) => [label, enabled])).toEqual([
    ['Open console', undefined],
    ['Resume', undefined],
    ['Shut down', false],
    ['Save state', true],
  ]);
  expect(of('new – starting').map(({ enabled }) => enabled)).toEqual([undefined, false, false, false]);
});

test('it says when nothing runs, in both languages, and does not list a hundred machines', () => {
  expect(menu([]).find('No machine is running').enabled).toBe(false);
  expect(menu([], 'zh-CN').find('没有正在运行的虚拟机')).toBeDefined();
  const { items, find } = menu(Array.from({ length: 100 }, (_, i) => machine(`vm${i}`)));
  expect(items.length).toBeLessThan(25);
  expect(find('and 85 more')).toBeDefined();
  expect(menu([machine('x'.repeat(500))]).items[3]!.label!.length).toBeLessThan(100);
});

function tray(fails = false) {
  const state = { images: [] as string[], menus: [] as Item[][], tips: [] as string[], destroyed: false };
  class Tray extends EventEmitter {
    constructor(image: string) {
      super();
      if (fails) throw new Error('no tray here');
      state.images.push(image);
    }
    setImage = (image: string) => void state.images.push(image);
    setToolTip = (tip: string) => void state.tips.push(tip);
    setContextMenu = (items: Item[]) => void state.menus.push(items);
    isDestroyed = () => state.destroyed;
    destroy = () => {
      state.destroyed = true;
    };
  }
  let running: VmSummary[] = [];
  const shown: (string | undefined)[] = [];
  const failing = async () => {
    throw new Error('the guest is busy');
  };
  const app = new AppTray(
    { Tray, Menu: { buildFromTemplate: (items: Item[]) => items } } as never,
    { idle: 'idle.png', running: 'running.png' },
    { running: () => running, handlers: { 'vm.pause': failing } } as unknown as TrayManager,
    () => textsFor('en', []),
    { show: (hash) => shown.push(hash), quit: () => {} },
    nullLogger,
  );
  app.open();
  return { app, state, shown, run: (list: VmSummary[]) => (running = list) };
}

test('its icon and tool tip say whether machines run; a menu is made anew only when something else is in it', () => {
  const { app, state, run } = tray();
  run([machine('web')]);
  for (let i = 0; i < 50; i++) app.changed();
  vi.advanceTimersByTime(200);
  expect([state.images.at(-1), state.tips.at(-1), state.menus.length]).toEqual(['running.png', 'web is running', 2]);
  app.changed();
  vi.advanceTimersByTime(200);
  expect(state.menus).toHaveLength(2);
  run([]);
  app.changed();
  vi.advanceTimersByTime(200);
  expect(state.images.at(-1)).toBe('idle.png');
});

test('a verb that fails opens the machine, which says why', async () => {
  const { app, state, shown, run } = tray();
  run([machine('web')]);
  app.changed();
  vi.advanceTimersByTime(200);
  state.menus.at(-1)![3]!.submenu!.find(({ label }) => label === 'Pause')!.click!();
  await vi.advanceTimersByTimeAsync(0);
  expect(shown).toEqual(['#/machines/web']);
});

test('where the system has no tray nothing hides there', () => {
  const { app } = tray(true);
  expect(app.available).toBe(false);
  app.changed();
  vi.advanceTimersByTime(200);
  app.close();
});
