import path from 'node:path';
import type { Drive, VmConfig } from '../../contract/vm.ts';
import { readImageHeader } from '../../platform/openimage.ts';

/** Writable hard disks: what a guest changes and a snapshot has to keep. */
export const writableDisks = (config: VmConfig): (Drive & { path: string })[] =>
  config.drives.filter((drive): drive is Drive & { path: string } => drive.kind === 'disk' && !drive.readOnly && drive.path !== null);

/** Whether any of them is encrypted, so that the machine's memory must not lie beside them in clear. One that can't be read is not looked at. */
export async function anyEncrypted(folder: string, config: VmConfig): Promise<boolean> {
  for (const { path: file, format } of writableDisks(config)) {
    if (format !== 'qcow2') continue;
    const header = await readImageHeader(path.resolve(folder, file)).catch(() => undefined);
    if (header && header.encryption !== 'none') return true;
  }
  return false;
}
