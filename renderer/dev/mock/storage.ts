import type { ErrorDto } from '../../../core/contract/errors.ts';
import type { EventName, EventPayload } from '../../../core/contract/methods.ts';
import type { Handlers } from '../../../core/contract/server.ts';
import type { Pool, TrashItem, Volume } from '../../../core/contract/storage.ts';

const gib = 1024 ** 3;
const home = '/home/user';

function volume(name: string, changes: Partial<Volume>): Volume {
  return {
    path: `${home}/disks/${name}`,
    name,
    pool: 'default',
    machine: null,
    format: 'qcow2',
    sizeBytes: 20 * gib,
    fileBytes: 3 * gib,
    allocatedBytes: 3 * gib,
    modifiedAt: '2026-11-20T10:30:00.000Z',
    below: [],
    circular: false,
    dataFile: null,
    encrypted: false,
    snapshots: 0,
    needsRepair: false,
    link: null,
    usedBy: [],
    lockedBy: null,
    problem: null,
    ...changes,
  };
}

type StorageHandlers = Pick<Handlers, Extract<keyof Handlers, `storage.${string}` | `trash.${string}`>>;

/** Invented pools and volumes that obey the verbs. */
export function mockStorage(
  emit: <E extends EventName>(event: E, payload: EventPayload<E>) => void,
  task: (kind: string, object: string) => void,
  fail: (dto: ErrorDto) => Error,
): StorageHandlers {
  let pools: Pool[] = [
    { id: 'default', name: '', folder: `${home}/disks`, freeBytes: 84 * gib, totalBytes: 200 * gib, problem: null },
    { id: 'machines', name: '', folder: `${home}/Hypervue`, freeBytes: 84 * gib, totalBytes: 200 * gib, problem: null },
  ];
  let volumes = [
    volume('debian.qcow2', { usedBy: [{ kind: 'overlay', name: 'web.qcow2', path: `${home}/disks/web.qcow2` }] }),
    volume('web.qcow2', {
      below: [{ path: `${home}/disks/debian.qcow2`, format: 'qcow2', exists: true }],
      snapshots: 2,
      allocatedBytes: gib / 4,
    }),
    volume('old.vmdk', { format: 'vmdk', sizeBytes: null }),
    volume('broken.qcow2', {
      sizeBytes: null,
      problem: { kind: 'corrupt', message: 'broken.qcow2 is damaged: clusters of 2^0 bytes', context: {} },
    }),
    volume('disk.img', {
      path: `${home}/Hypervue/Debian 12 live/disk.img`,
      pool: 'machines',
      format: 'raw',
      machine: { id: '00000000-0000-4000-8000-000000000000', name: 'Debian 12 live' },
      usedBy: [{ kind: 'machine', id: '00000000-0000-4000-8000-000000000000', name: 'Debian 12 live' }],
      lockedBy: 'Debian 12 live',
    }),
  ];
  let trash: (TrashItem & { volume: Volume })[] = [];
  const get = (path: string): Volume => {
    const found = volumes.find((each) => each.path === path);
    if (!found) throw fail({ kind: 'not-found', message: `${path} is no image in a storage pool`, context: { path } });
    return found;
  };
  const put = (next: Volume): Volume => {
    volumes = [...volumes.filter(({ path }) => path !== next.path), next];
    emit('storage.changed', {});
    return next;
  };
  const made = (kind: string, pool: string, name: string, changes: Partial<Volume>): Volume => {
    task(kind, name);
    return put(volume(name, { pool, ...changes }));
  };
  return {
    'storage.pools': async () => pools,
    'storage.addPool': async ({ name, folder }) => {
      const pool = { ...pools[0]!, id: crypto.randomUUID(), name, folder };
      pools = [...pools, pool];
      emit('storage.changed', {});
      return pool;
    },
    'storage.renamePool': async ({ id, name }) => {
      pools = pools.map((pool) => (pool.id === id ? { ...pool, name } : pool));
      emit('storage.changed', {});
      return pools.find((pool) => pool.id === id)!;
    },
    'storage.removePool': async ({ id }) => {
      pools = pools.filter((pool) => pool.id !== id);
      emit('storage.changed', {});
      return null;
    },
    'storage.volumes': async () => volumes,
    'storage.info': async ({ path }) => ({
      volume: get(path),
      version: 3,
      clusterBytes: 65536,
      refcountBits: 16,
      compression: 'zlib',
      extendedL2: false,
      encryption: 'none',
      dirty: false,
      damaged: false,
      snapshots: [],
      map: { data: 3 * gib, compressed: 0, zero: 16 * gib, backing: gib },
    }),
    'storage.create': async ({ pool, name, format, sizeBytes }) =>
      made('disk.create', pool, name, { format, sizeBytes: sizeBytes ?? 20 * gib, allocatedBytes: 196_608 }),
    'storage.convert': async ({ pool, name, format }) => made('disk.import', pool, name, { format }),
    'storage.linkedClone': async ({ path, pool, name }) =>
      made('disk.clone', pool, name, { below: [{ path, format: 'qcow2', exists: true }] }),
    'storage.resize': async ({ path, sizeBytes }) => put({ ...get(path), sizeBytes }),
    'storage.check': async ({ path }) => {
      task('disk.check', get(path).name);
      return {
        errors: 0,
        leaks: 2,
        errorsFixed: 0,
        leaksFixed: 0,
        messages: ['cluster 17 is counted 1 times, used 0 times'],
        belowProblem: null,
      };
    },
    'storage.commit': async ({ path }) => {
      task('disk.commit', get(path).name);
      return put({ ...get(path), allocatedBytes: 196_608 });
    },
    'storage.rebase': async ({ path, backing }) => {
      task('disk.rebase', get(path).name);
      return put({ ...get(path), below: backing === null ? [] : [{ path: backing, format: 'qcow2', exists: true }] });
    },
    'storage.compare': async () => ({ differsAt: null }),
    'storage.download': async ({ path }) => ({ ticket: '', name: get(path).name, sizeBytes: get(path).fileBytes }),
    'storage.upload': async () => {
      throw fail({ kind: 'unsupported', message: 'there is no server here', context: {} });
    },
    'storage.compact': async ({ path }) => {
      task('disk.compact', get(path).name);
      return { beforeBytes: get(path).allocatedBytes, afterBytes: put({ ...get(path), allocatedBytes: gib }).allocatedBytes };
    },
    'storage.planDelete': async ({ path }) => ({ bytes: get(path).allocatedBytes, refusal: null }),
    'storage.delete': async ({ path }) => {
      const gone = get(path);
      volumes = volumes.filter((each) => each !== gone);
      const id = crypto.randomUUID();
      const deletedAt = new Date().toISOString();
      trash = [
        { id, kind: 'volume', name: gone.name, from: path, deletedAt, sizeBytes: gone.allocatedBytes, files: [gone.name], volume: gone },
        ...trash,
      ];
      emit('storage.changed', {});
      emit('trash.changed', {});
      return { trashId: id };
    },
    'storage.attach': async ({ path, machine }) => {
      put({ ...get(path), usedBy: [{ kind: 'machine', id: machine, name: machine }] });
      return { drive: 'ide1', waits: false };
    },
    'storage.detach': async ({ path }) => {
      put({ ...get(path), usedBy: [] });
      return { waits: false };
    },
    'trash.list': async () => trash,
    'trash.restore': async ({ id }) => {
      const item = trash.find((each) => each.id === id)!;
      trash = trash.filter((each) => each !== item);
      put(item.volume);
      emit('trash.changed', {});
      return { path: item.from };
    },
    'trash.remove': async ({ ids }) => {
      trash = trash.filter(({ id }) => !ids.includes(id));
      emit('trash.changed', {});
      return null;
    },
  };
}
