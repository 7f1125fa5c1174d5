import type { DrivePolicy } from '../contract/drives.ts';
import type { VmConfig } from '../contract/vm.ts';
import type { DriveService } from './drives.ts';

/** What is done with the drives of a running machine, so that its configuration says what is in them by then; a saved state takes it from there. */
export class VmDrives {
  private readonly service: DriveService;
  private readonly config: VmConfig;
  private readonly needOn: () => void;

  /** `needOn` throws unless the machine is on. */
  constructor(service: DriveService, config: VmConfig, needOn: () => void) {
    this.service = service;
    this.config = config;
    this.needOn = needOn;
  }

  setPolicy(drive: string, policy: DrivePolicy): void {
    this.service.setPolicy(drive, policy);
  }

  grow(drive: string, sizeBytes: number): Promise<void> {
    return this.service.grow(drive, sizeBytes);
  }

  async changeMedium(drive: string, imagePath: string | null, readOnly: boolean): Promise<void> {
    await this.service.changeMedium(drive, imagePath, readOnly);
    this.hasNow(drive, { path: imagePath });
  }

  async overlay(drive: string, file: string): Promise<void> {
    this.needOn();
    await this.service.overlay(drive, file);
    this.hasNow(drive, { path: file, format: 'qcow2' });
  }

  private hasNow(drive: string, medium: Pick<VmConfig['drives'][number], 'path'> & { format?: 'qcow2' }): void {
    const { drives } = this.config;
    const place = drives.findIndex(({ id }) => id === drive);
    if (place >= 0) drives[place] = { ...drives[place]!, ...medium };
  }
}
