import { expect, test } from 'vitest';
import { TASK_HOLDER } from '../../../core/contract/holders.ts';
import type { Volume } from '../../../core/contract/storage.ts';
import { en } from '../i18n/en.ts';
import { baseReason, volumeReason, volumeVerbs } from './volumeverbs.ts';

const whole: Volume = {
  path: '/disks/top.qcow2',
  name: 'top.qcow2',
  pool: 'default',
  machine: null,
  format: 'qcow2',
  sizeBytes: 1 << 20,
  fileBytes: 1 << 18,
  allocatedBytes: 1 << 18,
  modifiedAt: '2026-11-20T10:30:00.000Z',
  below: [{ path: '/disks/base.img', format: 'raw', exists: true }],
  circular: false,
  dataFile: null,
  encrypted: false,
  snapshots: 0,
  needsRepair: false,
  link: null,
  usedBy: [],
  lockedBy: null,
  problem: null,
};
const usable = (volume: Volume) => volumeVerbs.filter((verb) => volumeReason(verb, volume, () => false) === null);

test('an overlay that is whole can be worked on in every way but those that need a machine or a file alone', () => {
  expect(volumeVerbs.filter((verb) => !usable(whole).includes(verb))).toEqual(['detach', 'download']);
});

test('an image whose lower one is gone or that lies on itself is only checked, put on another image or deleted', () => {
  const orphan = { ...whole, below: [{ path: '/disks/base.img', format: 'raw', exists: false }] };
  expect(usable(orphan)).toEqual(['check', 'rebase', 'delete']);
  expect(volumeReason('commit', orphan, () => false)).toEqual({ key: 'belowMissing', name: 'base.img' });
  const round = { ...whole, circular: true, usedBy: [{ kind: 'overlay' as const, name: 'base.img', path: '/disks/base.img' }] };
  expect(usable(round)).toEqual(['check', 'rebase', 'delete']);
  expect(usable({ ...round, usedBy: [{ kind: 'overlay', name: 'else.qcow2', path: '/disks/else.qcow2' }] })).toEqual(['check', 'rebase']);
  for (const broken of [orphan, round]) {
    expect(baseReason(broken, () => false)).not.toBeNull();
    for (const verb of volumeVerbs) {
      const reason = volumeReason(verb, broken, () => false);
      if (reason) expect(Object.keys(en.storage.reason), verb).toContain(reason.key);
    }
  }
});

test('nothing is put on what a machine writes to, nor on images of other programs', () => {
  const used = { ...whole, usedBy: [{ kind: 'machine' as const, id: 'x', name: 'Debian' }] };
  expect(baseReason(used, () => false)).toEqual({ key: 'written', name: 'Debian' });
  expect(baseReason(used, () => true)).toBeNull();
  expect(baseReason({ ...whole, format: 'vmdk' }, () => false)?.key).toBe('foreign');
  expect(baseReason(whole, () => false)).toBeNull();
});

test('what a task has is waited for, and what a machine has is turned off', () => {
  for (const verb of volumeVerbs.filter((each) => each !== 'detach')) {
    expect(
      volumeReason(verb, { ...whole, lockedBy: TASK_HOLDER }, () => false),
      verb,
    ).toMatchObject({ key: 'busy' });
    expect(
      volumeReason(verb, { ...whole, lockedBy: 'Debian' }, () => false),
      verb,
    ).toEqual({ key: 'locked', name: 'Debian' });
  }
});
