import { stateWord } from './operationwords.ts';
import path from 'node:path';
import type { RevertRequest, SnapshotRequest, SnapshotTaken, StateWatch } from '../engine/engine.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { MachineConfig } from './machineconfig.ts';
import { lockFolder } from './machinelocks.ts';
import type { MachineSelf } from './machineself.ts';
import { removeSavedState, SAVED_STATE } from './savedstate.ts';

/** Everything a machine is at one moment, kept and come back to: its saved state, and what snapshots need of one that is on. */
export class MachineStates {
  private readonly machine: MachineSelf;
  private readonly settings: MachineConfig;

  constructor(machine: MachineSelf, settings: MachineConfig) {
    this.machine = machine;
    this.settings = settings;
  }

  /** Writes the machine's state to its folder and ends it; the next start goes on from there. When it fails the machine goes on. `picture` comes before that. */
  async save(picture: () => Promise<void>, watch?: StateWatch): Promise<void> {
    const { machine } = this;
    const { name } = machine;
    const vm = machine.inState('save the state', ['running', 'paused']);
    const { saveState } = await machine.parts.engine.capabilities();
    if (!saveState) throw new HypervueError('unsupported', say('engineNoSave', { name }), { object: name, operation: 'save' });
    this.settings.refusePending('save the state', say('fixRevertPending'));
    await picture();
    machine.record('info', 'manager', 'saving its state');
    try {
      await vm.saveState(path.join(machine.folder, SAVED_STATE), watch);
    } catch (cause) {
      const error = asHypervueError(cause, { object: name, operation: 'save' });
      if (error.kind === 'cancelled') machine.record('info', 'manager', 'saving its state was cancelled; it goes on');
      else machine.record('error', 'manager', `its state could not be saved: ${error.message}`);
      throw error;
    }
  }

  /** The machine is off, as after a power cut at the moment it was saved. */
  async discard(): Promise<void> {
    const { machine } = this;
    this.settings.usable('discard the saved state');
    if (machine.state !== 'saved') throw machine.wrongState('discard the saved state', stateWord(machine.state), say('fixOnlySaved'));
    const lock = lockFolder(machine.folder, machine.name, 'works on');
    try {
      await removeSavedState(machine.folder);
    } finally {
      lock.dispose();
    }
    machine.state = 'off';
    machine.problem = null;
    machine.record('info', 'manager', 'the saved state was discarded');
    machine.changed();
  }

  /** Memory and disks of one moment, of a machine that is on. */
  async take(request: SnapshotRequest, watch?: StateWatch): Promise<SnapshotTaken> {
    const { name, parts } = this.machine;
    const vm = this.machine.inState('take a snapshot', ['running', 'paused']);
    if (!(await parts.engine.capabilities()).liveSnapshots)
      throw new HypervueError(
        'unsupported',
        say('engineNoSnapshot', { name }),
        { object: name, operation: 'snapshot' },
        say('fixShutMachineDown'),
      );
    return vm.snapshot(request, watch);
  }

  /** The machine, which is on, becomes what it was; see `RunningVm.revert`. False: not while it is on, and nothing has changed. */
  async revert(request: RevertRequest): Promise<boolean> {
    const vm = this.machine.inState('revert', ['running', 'paused']);
    try {
      await vm.revert(request);
      this.machine.problem = null;
      return true;
    } catch (cause) {
      const error = asHypervueError(cause);
      this.machine.record(error.kind === 'unsupported' ? 'info' : 'warn', 'snapshots', `reverted by a new process: ${error.message}`);
      return false;
    }
  }

  deleteSnapshots(disks: string[], tag: string): Promise<void> {
    return this.machine.inState('delete a snapshot', ['running', 'paused']).deleteDiskSnapshots(disks, tag);
  }
}
