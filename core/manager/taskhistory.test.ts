import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { failureOf, Harness } from './testing/harness.ts';

test('what was done is told after a restart, what was cut off as failed, and a file that makes no sense is set aside', async () => {
  const h = await Harness.open();
  try {
    await h.create('One');
    await failureOf(h.call('vm.importOva', { file: h.medium('no.ova') }));
    const before = await h.call('task.list', {});
    expect(before.map(({ kind, state }) => `${kind} ${state}`)).toContain('vm.create done');
    await h.reopen();
    expect(await h.call('task.list', {})).toEqual(before);
    // As a manager that was killed leaves it.
    const file = path.join(h.root, 'config', 'tasks.json');
    const kept = JSON.parse(readFileSync(file, 'utf8'));
    kept.tasks[0] = { ...kept.tasks[0], state: 'running', finishedAt: null, progress: 0.5 };
    await h.manager.close();
    writeFileSync(file, JSON.stringify(kept));
    await h.reopen();
    expect((await h.call('task.list', {}))[0]).toMatchObject({
      state: 'failed',
      error: { message: expect.stringContaining('ended before') },
    });
    await h.manager.close();
    writeFileSync(file, '{"tasks": 7');
    await h.reopen();
    expect(await h.call('task.list', {})).toEqual([]);
    expect(readFileSync(`${file}.unreadable`, 'utf8')).toBe('{"tasks": 7');
  } finally {
    await h.close();
  }
});
