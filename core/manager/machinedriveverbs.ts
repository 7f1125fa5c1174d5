import { type Operation, stateWord } from './operationwords.ts';
import { say } from '../util/say.ts';
import type { DriveId, DrivePolicy } from '../contract/drives.ts';
import type { Drive } from '../contract/vm.ts';
import { readableBytes } from '../util/bytes.ts';
import type { MachineConfig } from './machineconfig.ts';
import { driveOf, growDisk, withPolicy } from './machinedrives.ts';
import { exchangeableDrive, exchangeMedium } from './machinemedium.ts';
import { plugDrive, unplugDrive } from './machineusbdrives.ts';
import { putOverlay } from './machineoverlay.ts';
import type { MachineSelf } from './machineself.ts';

/** What can be done with the drives of a machine, on or off; it holds at once, for what runs and for the file. */
export class MachineDriveVerbs {
  private readonly machine: MachineSelf;
  private readonly settings: MachineConfig;
  /** Media and drives change one at a time. */
  private changing: Promise<unknown> = Promise.resolve();

  constructor(machine: MachineSelf, settings: MachineConfig) {
    this.machine = machine;
    this.settings = settings;
  }

  changeMedium(driveId: string, file: string | null): Promise<void> {
    return this.inTurn(() => this.exchangeMedium(driveId, file));
  }

  private async exchangeMedium(driveId: string, file: string | null): Promise<void> {
    const { machine } = this;
    const drive = exchangeableDrive(this.settings.present('change medium'), driveId, file);
    this.refuseBetween('change medium');
    await exchangeMedium(drive, file, machine);
    await this.change(drive, { path: file });
    machine.record('info', 'manager', file === null ? `${driveId}: ejected` : `${driveId}: ${file}`);
    machine.changed();
  }

  /** How the host serves a drive: at once when it runs, except that the guest sees another cache only after the next start. */
  async setPolicy(driveId: string, policy: DrivePolicy): Promise<void> {
    const drive = driveOf(this.settings.present('change a drive'), driveId);
    await this.machine.running()?.setDrivePolicy(driveId, policy);
    await this.settings.saveDrive(drive, (config) => withPolicy(config, driveId, policy));
    this.machine.changed();
  }

  /** Puts a qcow2 image on top of a raw disk, also while the machine runs; the guest notices nothing, and what lies below is only read from then on. */
  async overlay(driveId: string): Promise<void> {
    const { machine } = this;
    const drive = driveOf(this.settings.present('put an image on top of a disk'), driveId);
    const { name, folder, parts, locks } = machine;
    const change = (other: Partial<Drive>) => this.change(drive, other);
    const top = await putOverlay(drive, { name, folder, images: parts.locks, locks, running: () => machine.running(), change });
    machine.record('info', 'snapshots', `${driveId}: ${top} lies on top of ${drive.path} now, which stays as it is`);
    machine.changed();
  }

  /** Makes a disk larger, also while the machine runs. */
  async grow(driveId: string, sizeBytes: number): Promise<void> {
    const { machine } = this;
    const config = this.settings.present('resize a disk');
    this.refuseBetween('resize a disk');
    await growDisk(config, driveId, sizeBytes, { folder: machine.folder, vm: machine.running(), locks: machine.parts.locks });
    machine.record('info', 'manager', `${driveId}: ${readableBytes(sizeBytes)} large now`);
    machine.changed();
  }

  /** Plugs a USB drive of vm.json into the machine, which is on and does not have it yet. `passphrase`: of an encrypted image. */
  plug(driveId: DriveId, passphrase?: string): Promise<void> {
    return this.inTurn(() => plugDrive(driveId, passphrase, this.machine, this.settings));
  }

  /** Pulls a USB drive out of the machine, which is on. vm.json has it still. */
  unplug(driveId: DriveId): Promise<void> {
    return this.inTurn(() => unplugDrive(driveId, this.machine, this.settings));
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.changing.then(work);
    this.changing = turn.catch(() => {});
    return turn;
  }

  private change(drive: Drive, other: Partial<Drive>): Promise<void> {
    return this.settings.saveDrive(drive, (config) => ({
      ...config,
      drives: config.drives.map((item) => (item.id === drive.id ? { ...item, ...other } : item)),
    }));
  }

  /** Neither on nor off, nobody knows yet who has the drives. */
  private refuseBetween(operation: Operation): void {
    const { state } = this.machine;
    if (state === 'starting' || state === 'stopping') throw this.machine.wrongState(operation, stateWord(state), say('fixWait'));
  }
}
