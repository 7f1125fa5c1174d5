import { busOf, type DriveId, type DrivePolicy } from '../contract/drives.ts';
import type { Drive, VmConfig } from '../contract/vm.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { DriveService } from './drives.ts';

export interface DriveOwner {
  /** Throws unless the machine is on. */
  needOn(): void;
  /** Why the machine and its images are no more; undefined while they are. */
  endedBy(): HypervueError | undefined;
}

/** What is done with the drives of a running machine, so that its configuration says what is in them by then; a saved state takes it from there. */
export class VmDrives {
  private readonly service: DriveService;
  private readonly config: VmConfig;
  private readonly owner: DriveOwner;

  constructor(service: DriveService, config: VmConfig, owner: DriveOwner) {
    this.service = service;
    this.config = config;
    this.owner = owner;
  }

  setPolicy(drive: string, policy: DrivePolicy): void {
    this.service.setPolicy(drive, policy);
  }

  grow(drive: string, sizeBytes: number): Promise<void> {
    return this.whileOn(() => this.service.grow(drive, sizeBytes));
  }

  async changeMedium(drive: string, imagePath: string | null, readOnly: boolean): Promise<void> {
    await this.whileOn(() => this.service.changeMedium(drive, imagePath, readOnly));
    this.hasNow(drive, { path: imagePath });
  }

  async overlay(drive: string, file: string): Promise<void> {
    this.owner.needOn();
    await this.whileOn(() => this.service.overlay(drive, file));
    this.hasNow(drive, { path: file, format: 'qcow2' });
  }

  /** Plugs a USB drive in, as the one with this number of the machine's drives. Rejects as opening its image does; nothing has changed then. */
  async plug(drive: Drive, at: number, passphrase?: string): Promise<void> {
    const { config } = this;
    this.owner.needOn();
    if (!config.usb)
      throw new HypervueError(
        'invalid-state',
        say('usbNoController', { name: config.name }),
        { object: config.name },
        say('fixUsbController'),
      );
    if (busOf(drive.id) !== 'usb')
      throw new HypervueError('unsupported', say('plugOnlyUsb', { drive: drive.id }), { object: drive.id }, say('fixPlugOnlyUsb'));
    if (config.drives.some(({ id }) => id === drive.id))
      throw new HypervueError('already-exists', say('drivePlugged', { name: config.name, drive: drive.id }), {
        object: config.name,
        drive: drive.id,
      });
    await this.whileOn(() => this.service.plug(drive, passphrase));
    config.drives.splice(at, 0, drive);
  }

  /** Pulls a USB drive out; see `DriveService.unplug`. */
  async unplug(drive: DriveId): Promise<void> {
    const { config } = this;
    this.owner.needOn();
    const place = config.drives.findIndex(({ id }) => id === drive);
    if (place < 0 || busOf(drive) !== 'usb')
      throw new HypervueError(
        'not-found',
        say('noSuchDrive', { name: config.name, drive }),
        { object: config.name, drive },
        say('fixNoSuchDrive'),
      );
    await this.whileOn(() => this.service.unplug(drive));
    config.drives.splice(place, 1);
  }

  /** What fails because the machine ended meanwhile fails for the reason of that, not for want of its images. */
  private async whileOn(work: () => Promise<void>): Promise<void> {
    const before = this.owner.endedBy();
    if (before) throw before;
    try {
      await work();
    } catch (error) {
      throw this.owner.endedBy() ?? error;
    }
  }

  private hasNow(drive: string, medium: Pick<VmConfig['drives'][number], 'path'> & { format?: 'qcow2' }): void {
    const { drives } = this.config;
    const place = drives.findIndex(({ id }) => id === drive);
    if (place >= 0) drives[place] = { ...drives[place]!, ...medium };
  }
}
