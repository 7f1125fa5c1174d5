import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { QuitAction } from '../../core/contract/desktopsettings.ts';
import type { Said } from '../../core/contract/said.ts';
import { nullLogger } from '../../core/util/logger.ts';
import { quitProperly } from './quitting.ts';
import { textsFor } from './texts.ts';

const SAVE = 0;
const SHUT_DOWN = 1;
const FORCE_OFF = 2;
const TRAY = 3;
const CANCEL = 4;

/** A manager whose guests obey the power button, or don't. */
function desktop(
  machines: { name: string; state?: string; deaf?: boolean; full?: boolean }[],
  language: 'en' | 'zh-CN' = 'en',
  action: QuitAction = 'ask',
) {
  const left = new Map(
    machines.map(({ name, state = 'running', deaf = false, full = false }) => [name, { id: name, name, state, deaf, full }]),
  );
  const calls: string[] = [];
  const asked: { message: string; detail: string; buttons: string[] }[] = [];
  const answers: ((response: number, checkboxChecked: boolean) => void)[] = [];
  const kept: QuitAction[] = [];
  let hides = 0;
  let quits = 0;
  let stays = 0;
  const app = Object.assign(new EventEmitter(), {
    quit() {
      let prevented = false;
      app.emit('before-quit', { preventDefault: () => (prevented = true) });
      if (!prevented) quits++;
    },
  });
  const manager = {
    running: () => [...left.values()],
    saveAll: async () => {
      const failed: { name: string; reason: string; said: Said }[] = [];
      for (const { name, full } of [...left.values()]) {
        calls.push(`save ${name}`);
        if (full) failed.push({ name, reason: 'the disk is full', said: { key: 'fileENOSPC', params: { path: '/vms' } } });
        else left.delete(name);
      }
      return failed;
    },
    close: async () => {
      calls.push('close');
      left.clear();
      return [];
    },
    handlers: {
      'vm.resume': async ({ id }: { id: string }) => void calls.push(`resume ${id}`),
      'vm.shutdown': async ({ id }: { id: string }) => {
        calls.push(`shutdown ${id}`);
        if (!left.get(id)!.deaf) setTimeout(() => left.delete(id), 1000);
      },
    },
  };
  const dialog = {
    showMessageBox: (question: (typeof asked)[number]) => {
      asked.push(question);
      return new Promise((resolve) => answers.push((response, checkboxChecked) => resolve({ response, checkboxChecked })));
    },
  };
  const quitting = quitProperly({ app, dialog } as never, manager as never, nullLogger, {
    texts: () => textsFor(language, []),
    stay: () => stays++,
    hide: () => {
      hides++;
      return false;
    },
    remembered: () => kept.at(-1) ?? action,
    remember: (choice) => kept.push(choice),
    timeoutMs: 5000,
  });
  return {
    app,
    asked,
    calls,
    left,
    kept,
    quitting,
    hides: () => hides,
    counts: () => ({ quits, stays }),
    answer: async (response: number, checkbox = false) => {
      answers.shift()!(response, checkbox);
      await vi.advanceTimersByTimeAsync(0);
    },
  };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('without running machines it just quits, after the manager has closed', async () => {
  const { app, asked, calls, counts } = desktop([]);
  app.quit();
  expect(counts().quits).toBe(0);
  await vi.advanceTimersByTimeAsync(0);
  expect(counts()).toEqual({ quits: 1, stays: 0 });
  expect(calls).toEqual(['close']);
  expect(asked).toEqual([]);
});

test('cancelling leaves everything as it was, and the question comes again the next time', async () => {
  const { app, asked, calls, counts, answer } = desktop([{ name: 'a' }]);
  app.quit();
  app.quit();
  await answer(CANCEL);
  expect(asked).toHaveLength(1);
  expect(counts()).toEqual({ quits: 0, stays: 1 });
  expect(calls).toEqual([]);
  app.quit();
  expect(asked).toHaveLength(2);
});

test('shutting down waits for every guest and wakes paused ones', async () => {
  const { app, calls, counts, answer } = desktop([{ name: 'a' }, { name: 'b', state: 'paused' }]);
  app.quit();
  await answer(SHUT_DOWN);
  expect(calls).toEqual(['shutdown a', 'resume b', 'shutdown b']);
  await vi.advanceTimersByTimeAsync(900);
  expect(counts().quits).toBe(0);
  await vi.advanceTimersByTimeAsync(400);
  expect(counts().quits).toBe(1);
  expect(calls.at(-1)).toBe('close');
});

test('guests that ignore the button bring the question back, with their names only', async () => {
  const { app, asked, calls, counts, answer } = desktop([{ name: 'good' }, { name: 'deaf', deaf: true }]);
  app.quit();
  expect(asked[0]!.message).toBe('2 machines are running');
  await answer(SHUT_DOWN);
  await vi.advanceTimersByTimeAsync(6000);
  expect(asked[1]!.message).toBe('deaf is running');
  expect(counts().quits).toBe(0);
  await answer(FORCE_OFF);
  expect(calls.at(-1)).toBe('close');
  expect(counts().quits).toBe(1);
});

test('quitting again while guests shut down asks at once; closing the window meanwhile does not', async () => {
  const { app, asked, answer } = desktop([{ name: 'deaf', deaf: true }]);
  app.quit();
  await answer(SHUT_DOWN);
  app.emit('window-all-closed');
  await vi.advanceTimersByTimeAsync(1000);
  expect(asked).toHaveLength(1);
  app.quit();
  await vi.advanceTimersByTimeAsync(300);
  expect(asked).toHaveLength(2);
});

test('states are saved, and what could not be brings the question back with the reason', async () => {
  const { app, asked, calls, counts, answer, left } = desktop([{ name: 'a' }, { name: 'b', full: true }, { name: 'c', state: 'paused' }]);
  app.quit();
  await answer(SAVE);
  expect(calls).toEqual(['save a', 'save b', 'save c']);
  expect(counts().quits).toBe(0);
  expect(asked[1]!.message).toBe('b is running');
  expect(asked[1]!.detail).toContain('b: the disk is full');
  left.get('b')!.full = false;
  await answer(SAVE);
  expect(calls.slice(3)).toEqual(['save b', 'close']);
  expect(counts()).toEqual({ quits: 1, stays: 0 });
});

test('a long list of machines is cut', async () => {
  const { app, asked } = desktop(Array.from({ length: 12 }, (_, i) => ({ name: `vm${i}` })));
  app.quit();
  expect(asked[0]!.detail).toContain('and 4 more');
  expect(asked[0]!.detail).not.toContain('vm8');
});

test('the question comes in the language of the settings', () => {
  const { app, asked } = desktop([{ name: 'Debian' }], 'zh-CN');
  app.quit();
  expect(asked[0]!.message).toBe('“Debian”正在运行');
});

test('keeping in the tray leaves the machines alone; the next close asks again', async () => {
  const { app, asked, calls, counts, hides, answer } = desktop([{ name: 'a' }]);
  app.emit('window-all-closed');
  await answer(TRAY);
  expect([hides(), counts(), calls]).toEqual([1, { quits: 0, stays: 0 }, []]);
  app.emit('window-all-closed');
  expect(asked).toHaveLength(2);
});

test('quitting from the tray does not offer the tray', async () => {
  const { asked, counts, quitting, answer } = desktop([{ name: 'a' }], 'en', 'tray');
  quitting.quitFromTray();
  expect(asked[0]!.buttons).toEqual(['Save state and quit', 'Shut down and quit', 'Force off and quit', 'Cancel']);
  await answer(2);
  expect(counts().quits).toBe(1);
});

test('a choice that is to be remembered is made without asking the next time', async () => {
  const { app, asked, kept, hides, answer } = desktop([{ name: 'a' }]);
  app.quit();
  await answer(TRAY, true);
  expect(kept).toEqual(['tray']);
  app.quit();
  await vi.advanceTimersByTimeAsync(0);
  expect([asked.length, hides()]).toEqual([1, 2]);
});

test('forcing off and cancelling are never remembered', async () => {
  const { app, kept, answer } = desktop([{ name: 'a' }]);
  app.quit();
  await answer(CANCEL, true);
  app.quit();
  await answer(FORCE_OFF, true);
  expect(kept).toEqual([]);
});

test('what the settings say is tried once; what it could not do brings the question', async () => {
  const { app, asked, calls, counts, left, answer } = desktop([{ name: 'a' }, { name: 'b', full: true }], 'en', 'save');
  app.quit();
  await vi.advanceTimersByTimeAsync(0);
  expect(calls).toEqual(['save a', 'save b']);
  expect(asked[0]!.detail).toContain('the disk is full');
  left.get('b')!.full = false;
  await answer(SAVE);
  expect(counts().quits).toBe(1);
});

test('why a state could not be saved is said in the language of the settings', async () => {
  const { app, asked } = desktop([{ name: 'a', full: true }], 'zh-CN', 'save');
  app.quit();
  await vi.advanceTimersByTimeAsync(0);
  expect(asked[0]!.detail).toContain('a: /vms 无法增大：本机磁盘已满');
});
