import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Drive } from '../contract/vm.ts';
import { failureOf, Harness } from './testing/harness.ts';

/** USB drives that come and go while a machine is on; what its process does is tested in core/vmprocess/drives.test.ts, what a guest sees in tests/guests/usb.test.ts. */
let h: Harness;
let stick: Drive;
beforeEach(async () => {
  h = await Harness.open();
  const file = path.join(h.media, 'stick.img');
  writeFileSync(file, Buffer.alloc(1 << 20));
  stick = { id: 'usb1', kind: 'disk', path: file, format: 'raw', readOnly: false };
});
afterEach(() => h.close());

const usb = { tablet: false };
const places = (config: { drives: readonly Drive[] } | null) => config?.drives.map(({ id }) => id);

test('a drive that waits for the next start is plugged in at once, is held as others are, and is let go when it is pulled out', async () => {
  const { id } = await h.fake('One', '', { usb });
  const before = places((await h.get(id)).config)!;
  await h.call('vm.start', { id });
  const { config } = await h.get(id);
  await h.call('vm.update', { id, patch: { drives: [...config!.drives, stick], boot: { ...config!.boot, order: ['disk', 'usb1'] } } });
  expect(places((await h.get(id)).runsWith)).toEqual(before);
  // Nothing waits any more, the boot order neither.
  expect(await h.call('vm.plugDrive', { id, drive: 'usb1' })).toMatchObject({ runsWith: null });
  expect(await failureOf(h.call('vm.plugDrive', { id, drive: 'usb1' }))).toMatchObject({ kind: 'already-exists' });
  const two = await h.fake('Two', '', { usb, drives: [{ ...stick, id: 'usb0' }] });
  expect(await failureOf(h.call('vm.start', { id: two.id }))).toMatchObject({ kind: 'in-use', message: expect.stringContaining('One') });
  const pulled = await h.call('vm.unplugDrive', { id, drive: 'usb1' });
  expect(places(pulled.runsWith)).toEqual(before);
  expect(places(pulled.config)).toEqual([...before, 'usb1']);
  expect(await failureOf(h.call('vm.unplugDrive', { id, drive: 'usb1' }))).toMatchObject({ kind: 'not-found' });
  expect((await h.call('vm.start', { id: two.id })).state).toBe('running');
  // Now the other one has it.
  expect(await failureOf(h.call('vm.plugDrive', { id, drive: 'usb1' }))).toMatchObject({
    kind: 'in-use',
    message: expect.stringContaining('Two'),
  });
  expect(places((await h.get(id)).runsWith)).toEqual(before);
});

test('a machine that is off, that has no controller, and drives that are elsewhere or gone are refused', async () => {
  const plug = (id: string, drive: Drive['id']) => failureOf(h.call('vm.plugDrive', { id, drive }));
  const { id } = await h.fake('One', '', { drives: [{ ...stick, id: 'ide2' }] });
  expect(await plug(id, 'usb1')).toMatchObject({ kind: 'invalid-state', message: expect.stringContaining('off') });
  await h.call('vm.start', { id });
  expect(await plug(id, 'usb1')).toMatchObject({ kind: 'not-found' });
  expect(await plug(id, 'ide2')).toMatchObject({ kind: 'unsupported' });
  expect(await failureOf(h.call('vm.unplugDrive', { id, drive: 'ide2' }))).toMatchObject({ kind: 'unsupported' });
  const other = path.join(h.media, 'other.img');
  await h.call('vm.update', {
    id,
    patch: {
      usb,
      drives: [
        { ...stick, id: 'ide2' },
        { ...stick, path: other },
      ],
    },
  });
  // The controller comes with the next start only.
  expect(await plug(id, 'usb1')).toMatchObject({ kind: 'invalid-state', dto: { fix: expect.stringContaining('start') } });
  await h.call('vm.forceOff', { id });
  await h.call('vm.update', { id, patch: { drives: [] } });
  await h.call('vm.start', { id });
  await h.call('vm.update', { id, patch: { drives: [{ ...stick, path: other }] } });
  expect(await plug(id, 'usb1')).toMatchObject({ kind: 'not-found', message: expect.stringContaining('other.img') });
  expect(places((await h.get(id)).runsWith)).toEqual([]);
});

test('what its process can’t plug in is held by nobody', async () => {
  const { id } = await h.fake('One', 'fake.no-plug', { usb });
  await h.call('vm.start', { id });
  await h.call('vm.update', { id, patch: { drives: [...(await h.get(id)).config!.drives, stick] } });
  expect(await failureOf(h.call('vm.plugDrive', { id, drive: 'usb1' }))).toMatchObject({ kind: 'io-error' });
  expect((await h.get(id)).runsWith).not.toBeNull();
  const two = await h.fake('Two', '', { usb, drives: [stick] });
  expect((await h.call('vm.start', { id: two.id })).state).toBe('running');
});
