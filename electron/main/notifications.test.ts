import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import type { Task } from '../../core/contract/host.ts';
import type { VmSummary } from '../../core/contract/vm.ts';
import { say } from '../../core/util/say.ts';
import { ManagerWatch } from './managerwatch.ts';
import { notifyOf } from './notifications.ts';
import { textsFor } from './texts.ts';

const task = (state: Task['state'], seconds: number, error: Task['error'] = null) =>
  ({
    id: 't',
    kind: 'vm.clone',
    object: 'Debian',
    state,
    startedAt: '2026-01-01T00:00:00Z',
    finishedAt: new Date(Date.UTC(2026, 0, 1, 0, 0, seconds)).toISOString(),
    error,
  }) as Task;
const vm = (state: VmSummary['state'], problem: string | null = null) =>
  ({ id: 'a', name: 'Debian', state, problem: problem === null ? null : { message: problem } }) as VmSummary;

function desk({ focused = false, wanted = true, supported = true, language = 'en' as 'en' | 'zh-CN' } = {}) {
  let emit!: (event: string, payload: unknown) => void;
  const watch = new ManagerWatch({
    connect: (transport) => {
      emit = (event, payload) => transport.send({ type: 'event', event, payload });
    },
  });
  const shown: { title: string; body: string; click: () => void }[] = [];
  class Notification extends EventEmitter {
    static isSupported = () => supported;
    private readonly texts: { title: string; body: string };
    constructor(texts: { title: string; body: string }) {
      super();
      this.texts = texts;
    }
    show = () => void shown.push({ ...this.texts, click: () => this.emit('click') });
  }
  const pages: string[] = [];
  notifyOf({ Notification, BrowserWindow: { getFocusedWindow: () => (focused ? {} : null) } } as never, watch, {
    texts: () => textsFor(language, []),
    wanted: () => wanted,
    machines: [vm('running')],
    show: (page) => pages.push(page),
  });
  return { emit, shown, pages, titles: () => shown.map(({ title }) => title) };
}

test('long tasks, failures and crashes are told, and a click opens what they are about', () => {
  const { emit, shown, pages, titles } = desk();
  emit('task.changed', task('done', 60));
  emit('task.changed', task('failed', 1, { kind: 'no-space', message: 'the disk is full' }));
  emit('vm.changed', vm('crashed', 'the guest stopped itself'));
  expect(titles()).toEqual(['Done: Debian', 'Failed: Debian', 'Debian crashed']);
  expect(shown[1]!.body).toBe('the disk is full');
  for (const { click } of shown) click();
  expect(pages).toEqual(['#/activity', '#/activity', '#/machines/a']);
});

test('what is quick, what was cancelled, and what somebody did by hand is no news', () => {
  const { emit, shown } = desk();
  emit('task.changed', task('done', 1));
  emit('task.changed', task('running', 60));
  emit('task.changed', task('cancelled', 60));
  emit('vm.changed', vm('paused'));
  emit('vm.changed', vm('running'));
  emit('vm.changed', vm('stopping'));
  emit('vm.changed', vm('off'));
  expect(shown).toEqual([]);
});

test('a machine that the host had to pause is told with the reason, once', () => {
  const { emit, shown } = desk();
  emit('vm.changed', vm('paused', 'there is no room on the disk'));
  emit('vm.changed', vm('paused', 'there is no room on the disk'));
  expect(shown).toMatchObject([{ title: 'Debian was paused', body: 'there is no room on the disk' }]);
});

test('the state a machine is first seen in is no change', () => {
  const { emit, shown } = desk();
  emit('vm.changed', { ...vm('crashed'), id: 'other' });
  expect(shown).toEqual([]);
});

test.each([{ focused: true }, { wanted: false }, { supported: false }])('with %j nothing is shown', (state) => {
  const { emit, shown } = desk(state);
  emit('vm.changed', vm('crashed'));
  expect(shown).toEqual([]);
});

test('why something failed is said in the language of the settings, also what stands within it', () => {
  const { emit, shown } = desk({ language: 'zh-CN' });
  const path = say('inUse', { path: '/a.img', holder: 'Web' });
  const problem = say('automaticFailed', { problem: path });
  emit('task.changed', task('failed', 1, { kind: 'in-use', message: problem.text, said: problem.said }));
  emit('vm.changed', { ...vm('paused'), problem: { message: 'words of an older program' } });
  const space = say('spaceLeft', { folder: '/vms', freeBytes: 3 << 20 });
  emit('vm.changed', { ...vm('crashed'), problem: { message: space.text, said: space.said } });
  expect(shown.map(({ body }) => body)).toEqual([
    '没有更改任何内容：之前的自动快照失败（/a.img 正被 Web 使用）',
    'words of an older program',
    '/vms 只剩 3 MiB',
  ]);
});
