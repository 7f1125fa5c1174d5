import { expect, test } from 'vitest';
import { bootCards } from './boot.ts';
import { bootKinds, bootSequence } from './bootsequence.ts';
import { withoutCard } from './devices.ts';
import type { NetworkCard } from './networks.ts';
import { vmConfigSchema } from './vm.ts';

const drives = [
  { id: 'ide0', kind: 'disk' },
  { id: 'ide2', kind: 'cdrom' },
] as const;
const card = (id: NetworkCard['id']): NetworkCard => ({
  id,
  model: 'virtio',
  mac: `52:54:00:00:00:0${id.at(-1)}`,
  network: 'default',
  connected: true,
});
const network = [card('net0'), card('net1')];
const ids = (order: Parameters<typeof bootSequence>[0]) => {
  const { tried, rest } = bootSequence(order, [...drives, ...network]);
  return [tried.map(({ id }) => id), rest.map(({ id }) => id)];
};

test('cards are tried where the order names them, and only there', () => {
  expect(ids(['disk', 'net1', 'cdrom', 'net1'])).toEqual([['ide0', 'net1', 'ide2'], ['net0']]);
  expect(ids(['disk', 'cdrom', 'floppy'])).toEqual([
    ['ide0', 'ide2'],
    ['net0', 'net1'],
  ]);
  // A card that the machine does not have is as a drive that it does not have.
  expect(ids(['net3', 'cdrom'])).toEqual([['ide2'], ['ide0', 'net0', 'net1']]);
  expect(bootKinds(['net0', 'ide2', 'disk'], drives)).toEqual(['cdrom', 'disk']);
});

test('nothing is started over a card where a kernel is started directly', () => {
  expect(bootCards({ boot: { order: ['net1', 'disk', 'net0'], kernel: null }, network }).map(({ id }) => id)).toEqual(['net1', 'net0']);
  expect(bootCards({ boot: { order: ['net1'], kernel: { path: 'k' } }, network })).toEqual([]);
});

test('a card that is taken out is not in the order either', () => {
  const boot = { order: ['net0', 'disk', 'net1'] as const, menu: false, kernel: null };
  expect(withoutCard({ boot: { ...boot, order: [...boot.order] }, network }, 'net0')).toEqual({
    boot: { ...boot, order: ['disk', 'net1'] },
    network: [card('net1')],
  });
});

test('vm.json takes every place of a card, and nothing else beside drives', () => {
  const { order } = vmConfigSchema.shape.boot.shape;
  expect(order.parse(['net0', 'net3', 'disk'])).toEqual(['net0', 'net3', 'disk']);
  for (const wrong of ['net4', 'net', 'network']) expect(order.safeParse([wrong]).success).toBe(false);
});
