import { expect, test } from 'vitest';
import type { Task } from '../contract/host.ts';
import { HypervueError } from '../util/errors.ts';
import { remainingOf, Tasks } from './tasks.ts';

test('a task tells its way from running to done', async () => {
  const told: Task[] = [];
  const tasks = new Tasks((task) => told.push(task));
  const result = await tasks.run('disk.copy', 'Debian', async (control) => {
    control.progress(0.25, 'a');
    control.progress(0.3, 'too soon to tell');
    control.progress(1, 'b');
    return 42;
  });
  expect(result).toBe(42);
  expect(told.map(({ state, progress, detail }) => [state, progress, detail])).toEqual([
    ['running', null, ''],
    ['running', 0.25, 'a'],
    ['running', 1, 'b'],
    ['done', 1, 'b'],
  ]);
  expect(tasks.list()).toEqual([told.at(-1)]);
  expect(Date.parse(told.at(-1)!.finishedAt!)).toBeGreaterThanOrEqual(Date.parse(told[0]!.startedAt));
});

test('a task that fails keeps its reason, and one that ended can not be cancelled', async () => {
  const tasks = new Tasks(() => {});
  await expect(tasks.run('x', 'o', () => Promise.reject(new HypervueError('no-space', 'full')))).rejects.toMatchObject({
    kind: 'no-space',
  });
  await expect(tasks.run('x', 'o', () => Promise.reject(new Error('odd')))).rejects.toMatchObject({ kind: 'internal', message: 'odd' });
  expect(tasks.list().map(({ state, error }) => [state, error])).toEqual([
    ['failed', { kind: 'no-space', message: 'full' }],
    ['failed', { kind: 'internal', message: 'odd' }],
  ]);
  expect(() => tasks.cancel(tasks.list()[0]!.id)).toThrow('not running');
});

test('cancelling all waits for each to have cleaned up', async () => {
  const tasks = new Tasks(() => {});
  let cleaned = 0;
  const runs = [1, 2, 3].map(() =>
    tasks
      .run('x', 'o', async ({ signal }) => {
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        await new Promise((resolve) => setImmediate(resolve));
        cleaned++;
        throw signal.reason;
      })
      .catch((error) => error.kind),
  );
  await tasks.cancelAll();
  expect(cleaned).toBe(3);
  expect(await Promise.all(runs)).toEqual(['cancelled', 'cancelled', 'cancelled']);
  expect(tasks.list().every(({ state }) => state === 'cancelled')).toBe(true);
});

test('only the last hundred ended tasks stay listed, and all that run', async () => {
  const tasks = new Tasks(() => {});
  let end!: () => void;
  const running = tasks.run('x', 'running', () => new Promise<void>((resolve) => (end = resolve)));
  for (let i = 0; i < 150; i++) await tasks.run('x', String(i), async () => {});
  const list = tasks.list();
  expect(list).toHaveLength(101);
  expect(list[0]!.object).toBe('running');
  expect(list[1]!.object).toBe('50');
  end();
  await running;
});

test('what is left is told by the share that is done, once that is more than a guess', () => {
  expect(remainingOf(0.25, 10_000)).toBe(30);
  expect([remainingOf(null, 10_000), remainingOf(0.001, 10_000), remainingOf(0.5, 100), remainingOf(2, 10_000)]).toEqual([
    null,
    null,
    null,
    null,
  ]);
});

test('a task keeps what it put into the trash, also what its parts did, and what has ended can be cleared', async () => {
  const kept: string[][] = [];
  const tasks = new Tasks(() => {}, { kept: (list) => kept.push(list.map(({ kind }) => kind)) });
  await tasks.run('bulk', 'all', (whole) =>
    tasks.asPart(whole, () =>
      tasks.run('part', 'one', async (control) => {
        control.undo('a');
        control.undo('b');
      }),
    ),
  );
  expect(tasks.list()).toMatchObject([{ kind: 'bulk', state: 'done', undo: ['a', 'b'] }]);
  let end: () => void = () => {};
  const running = tasks.run('long', 'one', () => new Promise<void>((resolve) => (end = resolve)));
  tasks.clear();
  expect(tasks.list().map(({ kind }) => kind)).toEqual(['long']);
  expect(kept.at(-1)).toEqual(['long']);
  end();
  await running;
});
