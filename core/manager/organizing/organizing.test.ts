import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MAX_TAGS } from '../../contract/library.ts';
import { eventually, failureOf, Harness } from '../testing/harness.ts';
import { ORDER_FILE } from './organizer.ts';

/** Tags, folders, views and verbs for several machines, over the contract, with fake VM processes. */
let h: Harness;
beforeEach(async () => {
  h = await Harness.open();
});
afterEach(() => h.close());

const make = (name: string) => h.fake(name);
const order = () => h.call('library.get', {});
const vm = (id: string) => h.call('vm.get', { id });

test('tags: one spelling, usual and own colours, renamed and removed on every machine, in vm.json and over a restart', async () => {
  const [a, b] = [await make('a'), await make('b')];
  await h.call('vm.update', { id: a.id, patch: { tags: ['Web', 'db', 'WEB'] } });
  await h.call('vm.update', { id: b.id, patch: { tags: ['web'] } });
  expect((await vm(a.id)).config?.tags).toEqual(['Web', 'db']);
  expect((await vm(b.id)).config?.tags).toEqual(['Web']);
  expect((await order()).tags.map(({ name }) => name)).toEqual(['db', 'Web']);

  await h.call('library.setTag', { name: 'web', color: 'red', rename: 'Веб-сервер 🌐' });
  expect((await order()).tags.find(({ name }) => name.startsWith('Веб'))?.color).toBe('red');
  expect((await vm(b.id)).config?.tags).toEqual(['Веб-сервер 🌐']);
  expect(JSON.parse(readFileSync(path.join(b.folder, 'vm.json'), 'utf8')).tags).toEqual(['Веб-сервер 🌐']);
  // Another tag's name makes one of the two.
  await h.call('library.setTag', { name: 'db', rename: 'веб-СЕРВЕР 🌐' });
  expect((await vm(a.id)).config?.tags).toHaveLength(1);
  expect((await order()).tags).toHaveLength(1);

  await h.reopen();
  expect((await vm(a.id)).config?.tags).toHaveLength(1);
  const { tags } = await h.call('library.removeTag', { name: 'веб-сервер 🌐' });
  expect(tags).toEqual([]);
  expect((await vm(a.id)).config?.tags).toEqual([]);
  expect((await failureOf(h.call('library.setTag', { name: 'none', rename: 'x' }))).dto.kind).toBe('not-found');
});

test('folders: nested, moved and removed with what is in them; what makes no sense is refused', async () => {
  const a = await make('a');
  await h.call('library.addGroup', { path: 'servers/web' });
  await h.call('vm.update', { id: a.id, patch: { group: 'servers/web/old' } });
  expect((await order()).groups).toEqual(['servers', 'servers/web', 'servers/web/old']);
  expect((await h.call('library.moveGroup', { path: 'servers/web', to: '机房' })).groups).toEqual(['servers', '机房', '机房/old']);
  expect((await vm(a.id)).config?.group).toBe('机房/old');
  expect((await h.call('library.removeGroup', { path: '机房' })).groups).toEqual(['old', 'servers']);
  expect((await vm(a.id)).config?.group).toBe('old');
  expect((await h.call('library.removeGroup', { path: 'old' })).groups).toEqual(['servers']);
  expect((await vm(a.id)).config?.group).toBe('');

  await h.call('library.addGroup', { path: 'a/b/c' });
  const kinds = await Promise.all(
    [
      h.call('library.addGroup', { path: 'servers' }),
      h.call('library.moveGroup', { path: 'a', to: 'a/b/x' }),
      h
        .call('library.moveGroup', { path: 'a', to: 'servers/x' })
        .then(() => h.call('library.moveGroup', { path: 'servers', to: 'deep/servers' })),
      h.call('library.moveGroup', { path: 'nowhere', to: 'x' }),
      ...['', '/', 'a//b', ' a', 'a/', 'a\nb', 'a/b/c/d/e', 'x'.repeat(65), '../..\0'].map((path) => h.call('library.addGroup', { path })),
    ].map(async (call) => (await failureOf(call)).dto.kind),
  );
  expect(kinds.slice(0, 4)).toEqual(['already-exists', 'invalid-argument', 'invalid-argument', 'not-found']);
  expect(new Set(kinds.slice(4))).toEqual(new Set(['invalid-argument']));
});

test('views: saved, replaced, removed, told to others, kept over a restart', async () => {
  const saved = await h.call('library.saveView', { name: 'Night “shift”', query: 'db', state: 'running', tags: ['x'], group: '' });
  expect(saved).toMatchObject({ sort: 'name', layout: 'grid', group: '' });
  expect((await failureOf(h.call('library.saveView', { name: 'NIGHT “SHIFT”' }))).dto.kind).toBe('already-exists');
  await h.call('library.saveView', { ...saved, name: 'Day', layout: 'table' });
  await h.reopen();
  expect((await order()).views).toEqual([{ ...saved, name: 'Day', layout: 'table' }]);
  await h.call('library.removeView', { id: saved.id });
  expect((await order()).views).toEqual([]);
  expect((await failureOf(h.call('library.saveView', saved))).dto.kind).toBe('not-found');
});

test('an order file that makes no sense is set aside, and another process’s changes are not lost', async () => {
  const file = path.join(h.library, ORDER_FILE);
  await h.call('library.addGroup', { path: 'mine' });
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), groups: ['theirs'] }));
  expect((await h.call('library.addGroup', { path: 'more' })).groups).toEqual(['more', 'theirs']);
  writeFileSync(file, '{"groups": "no list"}');
  await h.reopen();
  expect((await order()).groups).toEqual([]);
  expect(readFileSync(`${file}.unreadable`, 'utf8')).toContain('no list');
});

test('a verb for several: one task, a line for each, in the order asked for; the failures of some are told', async () => {
  const [a, b, c] = [await make('a'), await make('b'), await make('c')];
  await h.call('vm.start', { id: b.id });
  h.client.seen.length = 0;
  const results = await h.call('vm.bulk', { ids: [c.id, b.id, a.id, c.id, 'no-such'], action: { type: 'start' } });
  expect(results.map(({ name, error }) => [name, error?.kind ?? null])).toEqual([
    ['c', null],
    ['b', 'invalid-state'],
    ['a', null],
    ['no-such', 'not-found'],
  ]);
  expect((await vm(a.id)).state).toBe('running');
  const tasks = (await h.call('task.list', {})).filter(({ kind }) => kind.startsWith('vm.bulk'));
  expect(tasks).toMatchObject([
    { kind: 'vm.bulk.start', object: 'c, b, a +1', state: 'failed', error: { message: expect.stringContaining('2 of 4') } },
  ]);

  await h.call('vm.bulk', { ids: [a.id, b.id, c.id], action: { type: 'forceOff' } });
  await h.call('vm.bulkEdit', { ids: [a.id, b.id], action: { type: 'tags', add: ['new'], remove: [] } });
  await h.call('vm.bulkEdit', { ids: [a.id, b.id], action: { type: 'group', path: 'g/h' } });
  expect((await vm(b.id)).config).toMatchObject({ tags: ['new'], group: 'g/h' });
  const full = Array.from({ length: MAX_TAGS }, (_, i) => `t${i}`);
  const [tooMany] = await h.call('vm.bulkEdit', { ids: [a.id], action: { type: 'tags', add: full, remove: [] } });
  expect(tooMany?.error?.kind).toBe('resource-limit');

  const gone = await h.call('vm.bulkEdit', { ids: [a.id, b.id], action: { type: 'delete' } });
  expect(await h.call('vm.list', {})).toHaveLength(1);
  for (const { trashId } of gone) await h.call('vm.restore', { trashId: trashId! });
  expect(await h.call('vm.list', {})).toHaveLength(3);
});

test('tasks within a verb for several are its parts: listed once, cancelled with it', async () => {
  const machines = [await make('a'), await make('b'), await make('c')];
  for (const { id } of machines) await h.call('vm.start', { id });
  h.client.on('task.changed', (task) => {
    if (task.kind === 'vm.bulk.snapshot' && task.state === 'running' && task.progress === 0)
      void h.call('task.cancel', { id: task.id }).catch(() => {});
  });
  const results = await h.call('vm.bulk', { ids: machines.map(({ id }) => id), action: { type: 'snapshot', name: 's', memory: false } });
  expect(results.at(-1)?.error?.kind).toBe('cancelled');
  const kinds = (await h.call('task.list', {})).map(({ kind, state }) => `${kind} ${state}`);
  expect(kinds).toContain('vm.bulk.snapshot cancelled');
  expect(kinds.filter((kind) => kind.startsWith('snapshot.'))).toEqual([]);
});

test('machines that start by themselves: by order, not templates, failures told until somebody has seen them', async () => {
  const [late, early, broken, template] = [await make('late'), await make('early'), await make('broken'), await make('template')];
  await h.call('vm.bulkEdit', {
    ids: [late.id, broken.id, template.id],
    action: { type: 'autostart', autostart: { order: 9, delaySeconds: 0 } },
  });
  await h.call('vm.update', { id: early.id, patch: { autostart: { order: 1, delaySeconds: 0 } } });
  await h.call('vm.setTemplate', { id: template.id, template: true });
  writeFileSync(
    path.join(broken.folder, 'vm.json'),
    readFileSync(path.join(broken.folder, 'vm.json'), 'utf8').replace(
      '"drives": [',
      '"drives": [{"id":"ide1","kind":"disk","path":"gone.img","format":"raw","readOnly":false},',
    ),
  );
  await h.reopen();
  const started: string[] = [];
  h.client.on('vm.changed', ({ name, state }) => {
    if (state === 'starting') started.push(name);
  });
  await h.manager.autostart();
  await eventually(
    () => started.length,
    (n) => n >= 2,
  );
  expect(started.filter((name) => name !== 'broken')).toEqual(['early', 'late']);
  expect((await order()).autostartFailures).toMatchObject([{ name: 'broken', error: { message: expect.stringContaining('gone.img') } }]);
  expect((await h.call('task.list', {})).find(({ kind }) => kind === 'vm.autostart')).toMatchObject({ state: 'failed' });
  await h.call('library.forgetFailures', {});
  expect((await order()).autostartFailures).toEqual([]);
  await h.call('vm.forceOff', { id: early.id });
  const clone = await h.call('vm.clone', { id: early.id, name: 'clone', linked: false });
  expect(clone.config?.autostart).toBeNull();
});

test.each([
  ['a tag with a comma', 'vm.bulkEdit', { ids: ['x'], action: { type: 'tags', add: ['a,b'], remove: [] } }],
  ['too many machines', 'vm.bulk', { ids: Array.from({ length: 1001 }, String), action: { type: 'start' } }],
  ['an unknown action', 'vm.bulk', { ids: ['x'], action: { type: 'constructor' } }],
  ['no machine', 'vm.bulk', { ids: [], action: { type: 'start' } }],
  ['a colour that is code', 'library.setTag', { name: 'a', color: 'red;background:url(//x)' }],
  ['an id that is a path', 'library.removeView', { id: '../../../../../../../../../../../../..' }],
  ['a view of objects', 'library.saveView', { name: { toString: 'x' } }],
] as const)('%s is refused before anything happens', async (_what, method, params) => {
  expect((await failureOf(h.call(method, params as never))).dto.kind).toBe('invalid-argument');
});

test('tags, folder and automatic start of a running machine apply at once and wait for no start', async () => {
  const a = await make('a');
  await h.call('vm.start', { id: a.id });
  await h.call('vm.update', { id: a.id, patch: { tags: ['now'], group: 'here', autostart: { order: 1, delaySeconds: 0 } } });
  const { config, ...rest } = await vm(a.id);
  expect(config).toMatchObject({ tags: ['now'], group: 'here', autostart: { order: 1 } });
  expect(rest).toMatchObject({ runsWith: null });
});
