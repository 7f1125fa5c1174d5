import path from 'node:path';
import type { EventName, EventPayload } from '../contract/methods.ts';
import type { VmConfig, VmSummary } from '../contract/vm.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { Logger } from '../util/logger.ts';
import { loadVm, vmFolders } from './library.ts';
import { newMac } from './macs.ts';
import { Machine } from './machine.ts';
import type { MachineParts } from './machineself.ts';
import { diskOf } from './transfer/outsidedisk.ts';

export interface MachineSetParts {
  library: string;
  log: Logger;
  machine: MachineParts;
  emit<E extends EventName>(event: E, payload: EventPayload<E>): void;
  /** Puts right what a crash left of a machine that was just found. */
  recover(machine: Machine): Promise<unknown>;
  /** All machines that there are have been looked at. */
  known(): Promise<unknown>;
}

/** The machines of the library, their names, and the turns of those who look at its folders or change them. */
export class MachineSet {
  private readonly parts: MachineSetParts;
  private readonly machines = new Map<string, Machine>();
  /** Names that machines being created or renamed will have. */
  private readonly reserved = new Set<string>();
  /** Addresses given to network cards of machines that may still be in the making. */
  private readonly given = new Set<string>();
  private turn: Promise<unknown> = Promise.resolve();

  constructor(parts: MachineSetParts) {
    this.parts = parts;
  }

  all(): Machine[] {
    return [...this.machines.values()];
  }

  summaries(): VmSummary[] {
    return this.all().map((machine) => machine.summary());
  }

  ids(): ReadonlySet<string> {
    return new Set(this.machines.keys());
  }

  /** Taken names, also of machines that are being made. */
  names(): string[] {
    return [...this.all().map(({ name }) => name), ...this.reserved];
  }

  nameTaken(name: string): boolean {
    return this.names().some((taken) => taken.toLowerCase() === name.toLowerCase());
  }

  /** An address for a network card that no machine has, on or off, nor was given before. */
  newMac(): string {
    const mac = newMac((one) => this.given.has(one) || this.ownerOf(one) !== undefined);
    this.given.add(mac);
    return mac;
  }

  /** The machine that has a card with this address; `but` is not asked. */
  ownerOf(mac: string, but?: string): Machine | undefined {
    return this.all().find(({ id, settings }) => id !== but && settings.usedCards().some((card) => card.mac === mac));
  }

  /** Throws 'not-found'. */
  get(id: string): Machine {
    const machine = this.machines.get(id);
    if (!machine) throw new HypervueError('not-found', say('machineGone'), { object: id }, say('fixMachineGone'));
    return machine;
  }

  /** False once it was deleted or read anew. */
  has(machine: Machine): boolean {
    return this.machines.get(machine.id) === machine;
  }

  /** Runs `work` while nobody else looks at the library or changes it. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.turn.then(work);
    this.turn = result.catch(() => {});
    return result;
  }

  /** Resolves when the turns taken so far have ended. */
  async settled(): Promise<void> {
    await this.turn;
  }

  /** Takes in machines whose folders were copied into the library, or whose vm.json was mended, and drops those whose folders are gone. */
  async scan(): Promise<void> {
    await this.exclusively(async () => {
      const folders = await vmFolders(this.parts.library);
      const there = new Set(folders);
      for (const machine of this.all())
        if (!machine.active && (!there.has(machine.folder) || (await machine.mended()))) {
          // It may have been started in the instant of the look.
          if (machine.active) continue;
          this.machines.delete(machine.id);
          this.parts.emit('vm.removed', { id: machine.id });
        }
      const known = new Set(this.all().map(({ folder }) => folder));
      for (const folder of folders) if (!known.has(folder)) await this.load(folder);
    });
    // Not in the turn: it may have to put something into the trash.
    await this.parts.known();
  }

  /** Reads the machine of a folder of the library. In a turn only. */
  async load(folder: string): Promise<Machine> {
    const source = await loadVm(folder, { ids: this.ids(), names: this.names(), newMac: () => this.newMac() }, this.parts.log);
    const machine = new Machine(source, this.parts.machine);
    if (source.copied) await this.tellShared(machine);
    this.machines.set(machine.id, machine);
    await this.parts.recover(machine);
    this.parts.emit('vm.changed', machine.summary());
    return machine;
  }

  /** A folder copied by hand has the very same disks where they lie outside it. */
  private async tellShared(machine: Machine): Promise<void> {
    const owners = this.all().map(({ name, folder, config }) => ({ name, folder, drives: config?.drives ?? [] }));
    for (const { id, kind, path: wanted } of machine.config?.drives ?? []) {
      if (kind !== 'disk' || wanted === null) continue;
      const file = path.resolve(machine.folder, wanted);
      const name = await diskOf(file, owners);
      if (name !== undefined)
        machine.record(
          'warn',
          'manager',
          `${id}: ${file} is a disk of ${name} too: both have this same disk, and only one of them can run at a time`,
        );
    }
  }

  /** A folder that has just appeared in the library becomes a machine; `how` goes into its log. */
  take(folder: string, config: VmConfig, how: string): VmSummary {
    const machine = new Machine({ id: config.id, folder, config, problem: null }, this.parts.machine);
    this.machines.set(machine.id, machine);
    machine.record('info', 'manager', how);
    const summary = machine.summary();
    this.parts.emit('vm.changed', summary);
    this.parts.emit('storage.changed', {});
    return summary;
  }

  /** Takes a machine out while `work` makes it go; it is back when that fails. In a turn only. */
  async without<T>(machine: Machine, work: () => Promise<T>): Promise<T> {
    this.machines.delete(machine.id);
    try {
      return await work();
    } catch (error) {
      this.machines.set(machine.id, machine);
      throw error;
    }
  }

  /** Keeps `name` for `work`, which gives it to a machine. Looks and reserves in one turn: another request may want it too. */
  async withName<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (this.nameTaken(name)) throw new HypervueError('already-exists', say('nameTaken', { name }), { object: name }, say('fixName'));
    this.reserved.add(name);
    try {
      return await work();
    } finally {
      this.reserved.delete(name);
    }
  }
}
