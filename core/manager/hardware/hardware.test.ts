import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { failureOf, Harness } from '../testing/harness.ts';

let h: Harness;
beforeEach(async () => {
  h = await Harness.open();
});
afterEach(() => h.close());

describe('vm.json as text', () => {
  test('is replaced, and the former file is kept', async () => {
    const { id, folder } = await h.create('Text');
    const { text, path: file, backups } = await h.call('vm.configText', { id });
    expect([backups, JSON.parse(text).name]).toEqual([[], 'Text']);
    const { machine, keptAs } = await h.call('vm.setConfigText', {
      id,
      text: text.replace('"memoryMiB": 32', '"memoryMiB": 40'),
      before: text,
    });
    expect(machine.config).toMatchObject({ memoryMiB: 40 });
    expect(readFileSync(path.join(folder, keptAs), 'utf8')).toBe(text);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ memoryMiB: 40 });
    const after = await h.call('vm.configText', { id, backup: keptAs });
    expect([after.text, after.backups[0]!.name]).toEqual([text, keptAs]);
    expect(Date.parse(after.backups[0]!.at)).toBeGreaterThan(0);
  });

  test('with a mistake is refused with its place, and nothing changes', async () => {
    const { id } = await h.create('Wrong');
    const { text } = await h.call('vm.configText', { id });
    const attempts: [string, RegExp][] = [
      ['{', /^line 1, column 1/],
      [text.replace('"memoryMiB": 32', '"memoryMiB": -1'), /line \d+, column \d+: memoryMiB/],
      [text.replace('"memoryMiB"', '"memory"'), /missing/],
      [text.replace(id, '00000000-0000-4000-8000-000000000000'), /never changes/],
    ];
    for (const [wrong, message] of attempts)
      expect(await failureOf(h.call('vm.setConfigText', { id, text: wrong }))).toMatchObject({
        kind: 'invalid-argument',
        message: expect.stringMatching(message),
      });
    expect(await h.call('vm.configText', { id })).toMatchObject({ text, backups: [] });
  });

  test('that somebody else changed meanwhile is not overwritten, nor is a name taken twice', async () => {
    const { id } = await h.create('Mine');
    await h.create('Yours');
    const { text } = await h.call('vm.configText', { id });
    await h.call('vm.update', { id, patch: { memoryMiB: 64 } });
    const stale = await failureOf(h.call('vm.setConfigText', { id, text: text.replace('"hpet": false', '"hpet": true'), before: text }));
    expect(stale).toMatchObject({ kind: 'invalid-state', message: expect.stringContaining('meanwhile') });
    const taken = await failureOf(h.call('vm.setConfigText', { id, text: text.replace('"Mine"', '"Yours"') }));
    expect(taken.kind).toBe('already-exists');
    expect((await h.call('vm.get', { id })).config).toMatchObject({ name: 'Mine', memoryMiB: 64, hpet: false });
  });

  test('mends a machine whose file could not be understood', async () => {
    const { id, folder } = await h.create('Broken');
    const file = path.join(folder, 'vm.json');
    const good = readFileSync(file, 'utf8');
    writeFileSync(file, good.slice(0, 50));
    const other = await h.another();
    const [broken] = await other.client.call('vm.list', {});
    expect(broken).toMatchObject({ config: null, problem: { kind: 'corrupt' } });
    expect((await other.client.call('vm.configText', { id: broken!.id })).text).toBe(good.slice(0, 50));
    const { machine, keptAs } = await other.client.call('vm.setConfigText', { id: broken!.id, text: good });
    expect(machine).toMatchObject({ id, name: 'Broken', problem: null });
    expect(readFileSync(path.join(folder, keptAs), 'utf8')).toBe(good.slice(0, 50));
  });

  test('names no other file, whatever is asked for', async () => {
    const { id } = await h.create('Inside');
    for (const backup of ['../vm.json', 'vm.json', '/etc/passwd', 'vm.json.2026'])
      expect((await failureOf(h.call('vm.configText', { id, backup }))).kind).toBe('not-found');
  });
});

describe('changes of a machine that runs', () => {
  test('are taken back', async () => {
    const { id } = await h.fake('Back');
    await h.call('vm.start', { id });
    await h.call('vm.update', { id, patch: { memoryMiB: 77, description: 'stays' } });
    const vm = await h.call('vm.revertPending', { id });
    expect([vm.config!.memoryMiB, vm.config!.description, vm.runsWith]).toEqual([32, 'stays', null]);
    expect((await failureOf(h.call('vm.revertPending', { id }))).kind).toBe('invalid-state');
  });

  test('keep its state from being saved when it would not fit them', async () => {
    const { id } = await h.fake('Save');
    await h.call('vm.start', { id });
    await h.call('vm.update', { id, patch: { memoryMiB: 77 } });
    expect(await failureOf(h.call('vm.saveState', { id }))).toMatchObject({
      kind: 'invalid-state',
      dto: { fix: expect.stringContaining('Revert') },
    });
  });
});

test('a new disk is made in the machine’s folder and tried last', async () => {
  const { id, folder } = await h.create('Disk');
  await h.call('vm.update', { id, patch: { boot: { order: ['ide2'], menu: false, kernel: null } } });
  const { machine, drive } = await h.call('vm.addDisk', { id, sizeBytes: 1024 * 1024, format: 'qcow2', bus: 'virtio' });
  expect([drive, machine.config!.boot.order]).toEqual(['virtio0', ['ide2', 'virtio0']]);
  const added = machine.config!.drives.find((each) => each.id === 'virtio0')!;
  expect(existsSync(path.join(folder, added.path!))).toBe(true);
  const refused = await failureOf(h.call('vm.addDisk', { id, sizeBytes: 1024 * 1024, format: 'raw', bus: 'ide', passphrase: 'x' }));
  expect(refused.kind).toBe('unsupported');
});
