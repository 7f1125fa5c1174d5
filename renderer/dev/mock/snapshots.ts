import type { EventName, EventPayload } from '../../../core/contract/methods.ts';
import type { Handlers } from '../../../core/contract/server.ts';
import type { PlanStep, Snapshot, snapshotMethods } from '../../../core/contract/snapshots.ts';
import type { VmSummary } from '../../../core/contract/vm.ts';

const mib = 1024 ** 2;
const snapshotId = (n: number) => n.toString(16).padStart(16, '0');

function snapshot(n: number, parent: number | null, name: string, changes: Partial<Snapshot> = {}): Snapshot {
  return {
    id: snapshotId(n),
    parent: parent === null ? null : snapshotId(parent),
    name,
    description: '',
    createdAt: `2026-11-${10 + n}T09:30:00.000Z`,
    kind: 'memory',
    state: 'running',
    memoryBytes: (40 + n * 13) * mib,
    pauseMs: 12.4,
    automatic: null,
    disks: [{ drive: 'ide0', path: 'disk.qcow2' }],
    ...changes,
  };
}

/** Snapshots that the first machine has; others have none yet. */
export function mockSnapshots(
  get: (id: string) => VmSummary,
  become: (id: string, state: VmSummary['state']) => VmSummary,
  emit: <E extends EventName>(event: E, payload: EventPayload<E>) => void,
): Pick<Handlers, keyof typeof snapshotMethods> {
  let next = 10;
  let current: string | null = snapshotId(4);
  let list: Snapshot[] = [
    snapshot(1, null, 'Fresh install', {
      kind: 'disk',
      state: 'off',
      memoryBytes: 0,
      pauseMs: null,
      description: 'Before any package was added.',
    }),
    snapshot(2, 1, 'Compiler works'),
    snapshot(3, 2, 'Before a change of disks, 2026-06-01 12:00', {
      kind: 'disk',
      state: 'off',
      memoryBytes: 0,
      pauseMs: null,
      automatic: 'drives',
    }),
    snapshot(4, 2, 'Old libc, all tests pass', { description: 'The one to go back to.' }),
  ];
  const changed = (id: string) => emit('snapshot.changed', { id });
  const first = (id: string) => id.endsWith('0');
  return {
    'snapshot.list': async ({ id }) => (first(id) ? { current, snapshots: list } : { current: null, snapshots: [] }),
    'snapshot.take': async ({ id, name, description, memory }) => {
      const live = get(id).state === 'running';
      const taken = snapshot(++next, null, name, {
        parent: current,
        description,
        kind: memory && live ? 'memory' : 'disk',
        createdAt: new Date().toISOString(),
      });
      list = [...list, taken];
      current = taken.id;
      changed(id);
      return taken;
    },
    'snapshot.plan': async ({ operation, linked }): Promise<PlanStep[]> =>
      operation === 'delete'
        ? [{ code: 'deletesSnapshot', params: { name: 'Compiler works' }, text: '', destructive: true }]
        : operation === 'clone'
          ? linked
            ? [
                { code: 'writesBase', params: { drive: 'ide0', path: 'disk-ide0-4.qcow2', size: '3.1 GiB' }, text: '', destructive: false },
                { code: 'linksDisk', params: { drive: 'ide0', path: 'disk-ide0-4.qcow2', name: 'Debian' }, text: '', destructive: false },
              ]
            : [{ code: 'copiesDisk', params: { drive: 'ide0', size: '3.1 GiB' }, text: '', destructive: false }]
          : [
              { code: 'losesPresent', params: {}, text: '', destructive: true },
              { code: 'revertsDisk', params: { drive: 'ide0', path: 'disk.qcow2' }, text: '', destructive: false },
              { code: 'startsFrom', params: { state: 'running' }, text: '', destructive: false },
            ],
    'snapshot.planTake': async ({ id, memory }) =>
      get(id).state === 'running' ? [{ code: memory ? 'standsShortly' : 'takesDisksOnly', params: {}, text: '', destructive: false }] : [],
    'snapshot.revert': async ({ id, snapshot: to }) => {
      current = to;
      changed(id);
      return become(id, 'running');
    },
    'snapshot.delete': async ({ id, snapshot: gone }) => {
      const parent = list.find((one) => one.id === gone)?.parent ?? null;
      list = list.filter((one) => one.id !== gone).map((one) => (one.parent === gone ? { ...one, parent } : one));
      if (current === gone) current = parent;
      changed(id);
      return null;
    },
    'snapshot.update': async ({ id, snapshot: which, name, description }) => {
      list = list.map((one) => (one.id === which ? { ...one, name: name ?? one.name, description: description ?? one.description } : one));
      changed(id);
      return list.find((one) => one.id === which)!;
    },
    'snapshot.clone': async ({ id }) => get(id),
    'snapshot.thumbnail': async () => ({ png: null }),
  };
}
