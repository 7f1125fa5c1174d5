import path from 'node:path';
import { fits } from '../contract/drives.ts';
import type { VmConfig } from '../contract/vm.ts';
import { HypervueError } from '../util/errors.ts';

/** Rules between fields that the schema can't say. Throws 'invalid-argument'. */
export function checkConfig(config: Pick<VmConfig, 'drives' | 'serial' | 'firmware' | 'cpu' | 'boot'>): void {
  if (config.firmware === 'uefi') {
    if (config.boot.kernel) throw invalid('a kernel is booted directly by the BIOS, not by UEFI', 'firmware');
    if (config.cpu.model === 'i686') throw invalid('UEFI needs a 64-bit processor', 'firmware');
  }
  const seen = new Set<string>();
  for (const drive of config.drives) {
    if (seen.has(drive.id)) throw invalid(`there are two drives at ${drive.id}`, drive.id);
    seen.add(drive.id);
    if (!fits(drive.kind, drive.id)) throw invalid(`a ${drive.kind} drive can't be at ${drive.id}`, drive.id);
    if (drive.kind === 'disk' && drive.path === null) throw invalid(`the disk at ${drive.id} has no image`, drive.id);
  }
  config.serial.forEach((port, index) => {
    if (port.type !== 'file') return;
    const file = port.path ?? `serial${index}.log`;
    if (path.isAbsolute(file) || path.normalize(file).split(path.sep).includes('..'))
      throw invalid(`the file of COM${index + 1} must lie in the machine's folder`, `serial${index}`);
  });
}

function invalid(message: string, object: string): HypervueError {
  return new HypervueError('invalid-argument', message, { object });
}
