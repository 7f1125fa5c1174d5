import { fits } from './drives.ts';
import type { VmConfig } from './vm.ts';

/** What is wrong with a configuration that the schema can't say, and where: keys and indices from the top of vm.json. */
export interface ConfigProblem {
  path: (string | number)[];
  message: string;
  /** The device that it is about. */
  object: string;
}

export type CheckedConfig = Pick<VmConfig, 'drives' | 'serial' | 'firmware' | 'cpu' | 'boot'>;

/** Rules between the fields of a configuration. Empty when all are kept. */
export function configProblems(config: CheckedConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const add = (object: string, message: string, ...path: (string | number)[]) => problems.push({ path, message, object });
  if (config.firmware === 'uefi') {
    if (config.boot.kernel) add('firmware', 'a kernel is booted directly by the BIOS, not by UEFI', 'firmware');
    if (config.cpu.model === 'i686') add('firmware', 'UEFI needs a 64-bit processor', 'firmware');
  }
  const seen = new Set<string>();
  config.drives.forEach((drive, i) => {
    if (seen.has(drive.id)) add(drive.id, `there are two drives at ${drive.id}`, 'drives', i, 'id');
    seen.add(drive.id);
    if (!fits(drive.kind, drive.id)) add(drive.id, `a ${drive.kind} drive can't be at ${drive.id}`, 'drives', i, 'id');
    if (drive.kind === 'disk' && drive.path === null) add(drive.id, `the disk at ${drive.id} has no image`, 'drives', i, 'path');
  });
  config.serial.forEach((port, index) => {
    if (port.type === 'file' && !staysInside(port.path ?? `serial${index}.log`))
      add(
        `serial${index}`,
        `the file of COM${index + 1} must lie in the machine's folder`,
        'serial',
        index,
        port.path === undefined ? 'type' : 'path',
      );
  });
  return problems;
}

/** Whether a path leads to somewhere below the folder that it is relative to, on every kind of host. */
function staysInside(file: string): boolean {
  return !/^([/\\]|[a-z]:)/i.test(file) && !file.split(/[/\\]/).includes('..');
}
