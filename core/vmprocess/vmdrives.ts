import type { DrivePolicy } from '../contract/drives.ts';
import type { VmConfig } from '../contract/vm.ts';
import type { HypervueError } from '../util/errors.ts';
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
