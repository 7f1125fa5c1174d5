import { expect, test } from 'vitest';
import type { BootEntry } from '../../contract/boot.ts';
import type { CardBay, DriveBay } from '../definition.ts';
import { bootOrder } from './bootorder.ts';

const drives: DriveBay[] = [
  { id: 'ide0', kind: 'disk', writeCache: true },
  { id: 'virtio1', kind: 'disk', writeCache: true },
];
const cards: CardBay[] = [
  { id: 'net0', model: 'virtio', mac: '52:54:00:00:00:01' },
  { id: 'net2', model: 'e1000', mac: '52:54:00:00:00:02' },
];
const lines = (order: BootEntry[]) =>
  new TextDecoder()
    .decode(bootOrder({ bootOrder: order, drives, cards }))
    .replace(/\0$/, '')
    .split('\n');

test('drives and cards are in the order that the machine has', () => {
  expect(lines(['disk', 'net0'])).toEqual([
    '/pci@i0cf8/ide@1,1/drive@0/disk@0',
    expect.stringMatching(/^\/pci@i0cf8\/scsi@\w+\/disk@0,0$/),
    expect.stringMatching(/^\/pci@i0cf8\/ethernet@\w+\/ethernet-phy@0$/),
  ]);
  const [first, second, third] = lines(['net2', 'ide0', 'net0', 'disk']);
  expect([first, third].every((line) => line!.includes('ethernet'))).toBe(true);
  expect(first).not.toBe(third);
  expect(second).toContain('ide');
});

test('only a drive that is not named keeps the firmware from going on by itself', () => {
  expect(lines(['net0', 'ide0']).at(-1)).toBe('HALT');
  expect(lines(['disk']).at(-1)).toContain('scsi');
});
