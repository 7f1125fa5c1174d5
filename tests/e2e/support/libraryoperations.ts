import path from 'node:path';
import type { ContractClient } from '../../../core/contract/client.ts';
import { CELL, type Library, writeCell } from './librarymodel.ts';

/** One thing that a person does to a library: `run` does it, `after` is what the library holds then. */
export interface Operation {
  name: string;
  after: Library;
  run(contract: ContractClient): Promise<unknown>;
}

/** Random numbers: whole, from 0 up to `below`. */
export type Choose = (below: number) => number;

const MAX_MACHINES = 6;
const MAX_VOLUMES = 6;
const MAX_SNAPSHOTS = 4;
const MAX_CELLS = 48;

/** An operation on what there is now. Some will be refused, because one thing lies on another: then nothing may have changed. */
export function randomOperation(now: Library, choose: Choose, serial: number): Operation {
  const pick = <T>(list: readonly T[]): T | undefined => list[choose(list.length || 1)];
  const after = structuredClone(now);
  const machine = pick(Object.keys(now.machines));
  const volume = pick(Object.keys(now.volumes));
  const snapshot = machine === undefined ? undefined : pick(Object.keys(now.machines[machine]!.snapshots));
  const fresh = `n${serial}`;
  const byName = async (contract: ContractClient, name: string) => (await contract.call('vm.list', {})).find((vm) => vm.name === name)!;
  const diskOf = async (contract: ContractClient, name: string) => {
    const vm = await byName(contract, name);
    return path.resolve(vm.folder, vm.config!.drives.find(({ kind }) => kind === 'disk')!.path!);
  };
  const snapshotOf = async (contract: ContractClient, name: string, wanted: string) => {
    const { id } = await byName(contract, name);
    const { snapshots } = await contract.call('snapshot.list', { id });
    return { id, snapshot: snapshots.find((each) => each.name === wanted)!.id };
  };
  const poolOf = async (contract: ContractClient) => (await contract.call('storage.pools', {}))[0]!;
  const volumePath = async (contract: ContractClient, name: string) => path.join((await poolOf(contract)).folder, name);
  const roomForMachine = Object.keys(now.machines).length < MAX_MACHINES;
  const roomForVolume = Object.keys(now.volumes).length < MAX_VOLUMES;

  const offers: (() => Operation | undefined)[] = [
    () => {
      if (!roomForMachine) return undefined;
      const format = pick(['qcow2', 'qcow2', 'raw'] as const)!;
      const cells = 16 + choose(16);
      after.machines[fresh] = { cells: new Array(cells).fill(0), snapshots: {} };
      return {
        name: `create machine ${fresh} (${format})`,
        after,
        run: (contract) =>
          contract.call('vm.create', {
            name: fresh,
            memoryMiB: 16,
            source: { type: 'blank' },
            newDisk: { sizeBytes: cells * CELL, format },
          }),
      };
    },
    () => {
      if (machine === undefined || snapshot === undefined || !roomForMachine) return undefined;
      const linked = choose(2) === 1;
      after.machines[fresh] = { cells: [...now.machines[machine]!.snapshots[snapshot]!], snapshots: {} };
      return {
        name: `clone ${machine} at ${snapshot} as ${fresh}${linked ? ', linked' : ''}`,
        after,
        run: async (contract) =>
          contract.call('snapshot.clone', { ...(await snapshotOf(contract, machine, snapshot)), name: fresh, linked }),
      };
    },
    () => {
      if (machine === undefined || !roomForMachine) return undefined;
      const linked = choose(2) === 1;
      after.machines[fresh] = { cells: [...now.machines[machine]!.cells], snapshots: {} };
      return {
        name: `clone ${machine} as ${fresh}${linked ? ', linked' : ''}`,
        after,
        run: async (contract) => contract.call('vm.clone', { id: (await byName(contract, machine)).id, name: fresh, linked }),
      };
    },
    () => {
      if (machine === undefined || Object.keys(now.machines[machine]!.snapshots).length >= MAX_SNAPSHOTS) return undefined;
      after.machines[machine]!.snapshots[fresh] = [...now.machines[machine]!.cells];
      return {
        name: `snapshot ${fresh} of ${machine}`,
        after,
        run: async (contract) => contract.call('snapshot.take', { id: (await byName(contract, machine)).id, name: fresh }),
      };
    },
    () => {
      if (machine === undefined || Object.keys(now.machines[machine]!.snapshots).length >= MAX_SNAPSHOTS) return undefined;
      after.machines[machine]!.snapshots[fresh] = [...now.machines[machine]!.cells];
      return {
        name: `snapshot ${fresh} of ${machine} while it runs`,
        after,
        run: async (contract) => {
          const { id } = await byName(contract, machine);
          await contract.call('vm.start', { id });
          try {
            await contract.call('snapshot.take', { id, name: fresh });
          } finally {
            await contract.call('vm.forceOff', { id });
          }
        },
      };
    },
    () => {
      if (machine === undefined || snapshot === undefined) return undefined;
      const full = Object.keys(now.machines[machine]!.snapshots).length >= MAX_SNAPSHOTS;
      const keep = !full && choose(2) === 1 ? fresh : null;
      const changed = after.machines[machine]!;
      if (keep !== null) changed.snapshots[keep] = [...changed.cells];
      changed.cells = [...changed.snapshots[snapshot]!];
      return {
        name: `revert ${machine} to ${snapshot}${keep ? `, keep ${keep}` : ''}`,
        after,
        run: async (contract) => {
          const found = await snapshotOf(contract, machine, snapshot);
          await contract.call('snapshot.revert', { ...found, keep });
          if ((await contract.call('vm.get', { id: found.id })).state !== 'off') await contract.call('vm.forceOff', { id: found.id });
        },
      };
    },
    () => {
      if (machine === undefined || snapshot === undefined) return undefined;
      delete after.machines[machine]!.snapshots[snapshot];
      return {
        name: `delete ${snapshot} of ${machine}`,
        after,
        run: async (contract) => contract.call('snapshot.delete', await snapshotOf(contract, machine, snapshot)),
      };
    },
    () => {
      if (machine === undefined) return undefined;
      const cells = now.machines[machine]!.cells.length + 1 + choose(4);
      if (cells > MAX_CELLS) return undefined;
      const changed = after.machines[machine]!;
      changed.cells = [...changed.cells, ...new Array(cells - changed.cells.length).fill(0)];
      return {
        name: `grow the disk of ${machine} to ${cells}`,
        after,
        run: async (contract) => contract.call('storage.resize', { path: await diskOf(contract, machine), sizeBytes: cells * CELL }),
      };
    },
    () => {
      if (machine === undefined) return undefined;
      const verb = pick(['compact', 'check', 'commit', 'rebase'] as const)!;
      return {
        name: `${verb} the disk of ${machine}`,
        after,
        run: async (contract) => upkeep(contract, verb, await diskOf(contract, machine)),
      };
    },
    () => {
      if (machine === undefined) return undefined;
      after.machines[fresh] = after.machines[machine]!;
      delete after.machines[machine];
      return {
        name: `rename ${machine} to ${fresh}`,
        after,
        run: async (contract) => contract.call('vm.update', { id: (await byName(contract, machine)).id, patch: { name: fresh } }),
      };
    },
    () => {
      if (machine === undefined || Object.keys(now.machines).length < 3) return undefined;
      after.trash.machines[machine] = after.machines[machine]!;
      delete after.machines[machine];
      return {
        name: `delete ${machine}`,
        after,
        run: async (contract) => contract.call('vm.delete', { id: (await byName(contract, machine)).id }),
      };
    },
    () => {
      const gone = pick(Object.keys(now.trash.machines));
      if (gone === undefined || !roomForMachine) return undefined;
      after.machines[gone] = after.trash.machines[gone]!;
      delete after.trash.machines[gone];
      return {
        name: `restore ${gone}`,
        after,
        run: async (contract) => contract.call('trash.restore', { id: await trashId(contract, gone) }),
      };
    },
    () => {
      const gone = pick([...Object.keys(now.trash.machines), ...Object.keys(now.trash.volumes)]);
      if (gone === undefined) return undefined;
      delete after.trash.machines[gone];
      delete after.trash.volumes[gone];
      return {
        name: `remove ${gone} for good`,
        after,
        run: async (contract) => contract.call('trash.remove', { ids: [await trashId(contract, gone)] }),
      };
    },
    () => {
      const from = machine ?? volume;
      if (from === undefined || !roomForVolume) return undefined;
      const format = pick(['qcow2', 'raw', 'vmdk'] as const)!;
      const name = `${fresh}.${format === 'raw' ? 'img' : format}`;
      const ofVolume = machine === undefined || (volume !== undefined && choose(2) === 1);
      after.volumes[name] = ofVolume ? [...now.volumes[volume!]!] : [...now.machines[machine]!.cells];
      return {
        name: `convert ${ofVolume ? volume : `the disk of ${machine}`} to ${name}`,
        after,
        run: async (contract) =>
          contract.call('storage.convert', {
            from: ofVolume ? await volumePath(contract, volume!) : await diskOf(contract, machine!),
            pool: (await poolOf(contract)).id,
            name,
            format,
            compress: format === 'qcow2' && choose(2) === 1,
          }),
      };
    },
    () => {
      if (volume === undefined || !roomForVolume) return undefined;
      after.volumes[`${fresh}.qcow2`] = [...now.volumes[volume]!];
      return {
        name: `linked clone ${fresh}.qcow2 of ${volume}`,
        after,
        run: async (contract) =>
          contract.call('storage.linkedClone', {
            path: await volumePath(contract, volume),
            pool: (await poolOf(contract)).id,
            name: `${fresh}.qcow2`,
          }),
      };
    },
    () => {
      if (volume === undefined) return undefined;
      const verb = pick(['compact', 'check', 'rebase'] as const)!;
      return {
        name: `${verb} ${volume}`,
        after,
        run: async (contract) => upkeep(contract, verb, await volumePath(contract, volume)),
      };
    },
    () => {
      if (volume === undefined) return undefined;
      after.trash.volumes[volume] = after.volumes[volume]!;
      delete after.volumes[volume];
      return {
        name: `delete ${volume}`,
        after,
        run: async (contract) => contract.call('storage.delete', { path: await volumePath(contract, volume) }),
      };
    },
    () => {
      const gone = pick(Object.keys(now.trash.volumes));
      if (gone === undefined || !roomForVolume) return undefined;
      after.volumes[gone] = after.trash.volumes[gone]!;
      delete after.trash.volumes[gone];
      return {
        name: `restore ${gone}`,
        after,
        run: async (contract) => contract.call('trash.restore', { id: await trashId(contract, gone) }),
      };
    },
  ];
  // Offers change `after` only when they are taken.
  for (;;) {
    const operation = pick(offers)!();
    if (operation) return operation;
  }
}

/** What keeps an image in order and leaves what it holds as it is. */
function upkeep(contract: ContractClient, verb: 'compact' | 'check' | 'commit' | 'rebase', image: string): Promise<unknown> {
  switch (verb) {
    case 'rebase':
      return contract.call('storage.rebase', { path: image, backing: null });
    case 'check':
      return contract.call('storage.check', { path: image, repair: 'all' });
    case 'commit':
      return contract.call('storage.commit', { path: image });
    case 'compact':
      return contract.call('storage.compact', { path: image });
  }
}

/** Names are given once, so that one is enough to find it. */
const trashId = async (contract: ContractClient, wanted: string): Promise<string> =>
  (await contract.call('trash.list', {})).find(({ name }) => name === wanted)!.id;

/** Writes some cells of a machine's disk, as its guest would, and says so in the library. Only disks that nothing lies on. */
export async function writeSome(contract: ContractClient, library: Library, choose: Choose): Promise<void> {
  const names = Object.keys(library.machines);
  const name = names[choose(names.length || 1)];
  if (name === undefined) return;
  const vm = (await contract.call('vm.list', {})).find((each) => each.name === name)!;
  const image = path.resolve(vm.folder, vm.config!.drives.find(({ kind }) => kind === 'disk')!.path!);
  const volume = (await contract.call('storage.volumes', {})).find((each) => each.path === image);
  if (!volume || volume.usedBy.some((user) => user.kind !== 'machine' || user.id !== vm.id)) return;
  const { cells } = library.machines[name]!;
  for (let i = 0; i < 3; i++) {
    const cell = choose(cells.length);
    const value = 1 + choose(255);
    writeCell(image, volume.format, cell, value);
    cells[cell] = value;
  }
}
