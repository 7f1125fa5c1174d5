import path from 'node:path';
import type { Drive, VmConfig } from '../../contract/vm.ts';
import { openImage, readImageHeader } from '../../platform/openimage.ts';

/** Writable hard disks: what a guest changes and a snapshot has to keep. */
export const writableDisks = (config: VmConfig): (Drive & { path: string })[] =>
  config.drives.filter((drive): drive is Drive & { path: string } => drive.kind === 'disk' && !drive.readOnly && drive.path !== null);

/** The images of them that are encrypted. One that can't be read is not looked at. */
async function encrypted(folder: string, config: VmConfig): Promise<string[]> {
  const files: string[] = [];
  for (const { path: name, format } of writableDisks(config)) {
    const file = path.resolve(folder, name);
    const header = format === 'qcow2' ? await readImageHeader(file).catch(() => undefined) : undefined;
    if (header && header.encryption !== 'none') files.push(file);
  }
  return files;
}

/** Whether any of them is encrypted, so that the machine's memory must not lie beside them in clear. */
export async function anyEncrypted(folder: string, config: VmConfig): Promise<boolean> {
  return (await encrypted(folder, config)).length > 0;
}

/** Rejects with 'unauthorized' when the machine could not start with this passphrase, or without one. */
export async function checkPassphrase(folder: string, config: VmConfig, passphrase: string | undefined): Promise<void> {
  for (const file of await encrypted(folder, config))
    await (await openImage(file, { readOnly: true, format: 'qcow2', passphrase })).close();
}
