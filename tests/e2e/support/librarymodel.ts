import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { ContractClient } from '../../../core/contract/client.ts';

/** What a library should hold, and what it does hold as qemu-img reads it: contents of disks, of their snapshots and of volumes. */

/** Contents are cells of this many bytes, each of one value. */
export const CELL = 64 << 10;

export interface ModelMachine {
  cells: number[];
  /** Cells by the snapshot's name. */
  snapshots: Record<string, number[]>;
}

/** Machines by name, volumes of the first pool by file name, and what is in the trash by name. */
export interface Library {
  machines: Record<string, ModelMachine>;
  volumes: Record<string, number[]>;
  trash: { machines: Record<string, ModelMachine>; volumes: Record<string, number[]> };
}

export const emptyLibrary = (): Library => ({ machines: {}, volumes: {}, trash: { machines: {}, volumes: {} } });

/** The value of each cell; throws when a cell holds more than one. `snapshot`: an internal one's name. */
export function readCells(image: string, scratch: string, snapshot?: string): number[] {
  const raw = path.join(scratch, 'look.raw');
  execFileSync('qemu-img', [
    'convert',
    '-U',
    '-O',
    'raw',
    ...(snapshot === undefined ? [] : ['-l', `snapshot.name=${snapshot}`]),
    image,
    raw,
  ]);
  const bytes = readFileSync(raw);
  rmSync(raw);
  const cells: number[] = [];
  for (let at = 0; at < bytes.length; at += CELL) {
    const cell = bytes.subarray(at, at + CELL);
    if (cell.some((byte) => byte !== cell[0]))
      throw new Error(`${image}${snapshot ? ` (${snapshot})` : ''}: the cell at ${at} is of two minds`);
    cells.push(cell[0]!);
  }
  return cells;
}

export function writeCell(image: string, format: string, cell: number, value: number): void {
  execFileSync('qemu-io', ['-f', format, '-c', `write -P ${value} ${cell * CELL} ${CELL}`, image], { stdio: ['ignore', 'ignore', 'pipe'] });
}

/**
 * Errors that QEMU's check finds; leaks too unless they are `forgiven`, as after a kill. Where a cluster is counted too often, QEMU also finds its mark "used once" wrong; both are gone when
 * the leak is repaired, and nothing else may be wrong then.
 */
function checkImage(image: string, forgiven: boolean, scratch: string): void {
  const check = spawnSync('qemu-img', ['check', '-U', '-q', image], { encoding: 'utf8' });
  // 63: a format that has no check.
  if (check.status === 0 || check.status === 63 || (forgiven && check.status === 3)) return;
  const copy = path.join(scratch, 'leaks.qcow2');
  try {
    if (forgiven && check.status === 2) {
      copyFileSync(image, copy);
      if (spawnSync('qemu-img', ['check', '-q', '-r', 'leaks', copy]).status === 0) return;
    }
  } finally {
    rmSync(copy, { force: true });
  }
  throw new Error(`${image}: ${check.stdout}${check.stderr}`);
}

/** The library as it is on the disk. Machines have to be off. */
export async function observe(contract: ContractClient, scratch: string, leaksForgiven = false): Promise<Library> {
  const library = emptyLibrary();
  for (const vm of await contract.call('vm.list', {})) {
    if (vm.problem || !vm.config) throw new Error(`${vm.name} can't be read: ${vm.problem?.message}`);
    if (vm.state !== 'off') throw new Error(`${vm.name} is ${vm.state}`);
    const image = path.resolve(vm.folder, vm.config.drives.find(({ kind }) => kind === 'disk')!.path!);
    const { snapshots } = await contract.call('snapshot.list', { id: vm.id });
    checkImage(image, leaksForgiven, scratch);
    const kept = path.join(vm.folder, 'snapshots');
    const folders = existsSync(kept) ? readdirSync(kept) : [];
    // What a journal tells of is settled by the next operation.
    const cutOff = folders.includes('journal.json') ? readFileSync(path.join(kept, 'journal.json'), 'utf8') : '';
    const unknown = folders.filter(
      (name) =>
        !name.endsWith('.json') &&
        !cutOff.includes(name) &&
        // So is half of a file of ours, when the machine's process outlived the server that was killed.
        !(leaksForgiven && /^(journal|snapshots)\.json\.[0-9a-f]+\.tmp$/.test(name)) &&
        !snapshots.some(({ id }) => id === name),
    );
    if (unknown.length) throw new Error(`${vm.name} has remains of snapshots: ${unknown.join(' ')}`);
    const cutOffCompacts = readdirSync(vm.folder).filter((name) => name.endsWith('.hypervue-compact'));
    if (cutOffCompacts.length) throw new Error(`${vm.name} has remains of compacting: ${cutOffCompacts.join(' ')}`);
    library.machines[vm.name] = {
      cells: readCells(image, scratch),
      snapshots: Object.fromEntries(
        snapshots.map(({ id, name, disks }) => [name, readCells(path.resolve(vm.folder, disks[0]!.path), scratch, `hypervue-${id}`)]),
      ),
    };
  }
  const pool = (await contract.call('storage.pools', {}))[0]!;
  const volumes = (await contract.call('storage.volumes', {})).filter((volume) => volume.pool === pool.id);
  for (const volume of volumes) {
    checkImage(volume.path, leaksForgiven, scratch);
    library.volumes[path.basename(volume.path)] = readCells(volume.path, scratch);
  }
  const strangers = (existsSync(pool.folder) ? readdirSync(pool.folder) : []).filter(
    (name) => !(name in library.volumes) && !name.startsWith('.'),
  );
  if (strangers.length) throw new Error(`the pool has files that are no volumes: ${strangers.join(' ')}`);
  for (const item of await contract.call('trash.list', {}))
    if (item.kind === 'machine') library.trash.machines[item.name] = { cells: [], snapshots: {} };
    // What linked clones of a snapshot shared goes there with the snapshot.
    else if (!/-[0-9a-f]{16}\.qcow2$/.test(item.name)) library.trash.volumes[item.name] = [];
  return library;
}

/** What differs between what there should be and what there is; of the trash the names count. */
export function differences(should: Library, is: Library): string[] {
  const found: string[] = [];
  const names = (what: string, a: object, b: object) => {
    for (const name of Object.keys(a)) if (!(name in b)) found.push(`${what} ${name} is missing`);
    for (const name of Object.keys(b)) if (!(name in a)) found.push(`${what} ${name} should not be there`);
  };
  const cells = (what: string, a: number[], b: number[] | undefined) => {
    if (b && a.join() !== b.join()) found.push(`${what} holds ${b.join()} instead of ${a.join()}`);
  };
  names('machine', should.machines, is.machines);
  names('volume', should.volumes, is.volumes);
  names('machine in the trash', should.trash.machines, is.trash.machines);
  names('volume in the trash', should.trash.volumes, is.trash.volumes);
  for (const [name, machine] of Object.entries(should.machines)) {
    const there = is.machines[name];
    if (!there) continue;
    cells(name, machine.cells, there.cells);
    names(`snapshot of ${name}`, machine.snapshots, there.snapshots);
    for (const [snapshot, held] of Object.entries(machine.snapshots)) {
      // qemu-img reads a snapshot with the size that the disk has now; a revert to it shows the rest.
      const shared = Math.min(held.length, there.snapshots[snapshot]?.length ?? 0);
      cells(`${name} at ${snapshot}`, held.slice(0, shared), there.snapshots[snapshot]?.slice(0, shared));
    }
  }
  for (const [name, held] of Object.entries(should.volumes)) cells(name, held, is.volumes[name]);
  return found;
}
