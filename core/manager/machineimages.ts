import path from 'node:path';
import { vmFolders } from './library.ts';
import { readVmConfig } from './vmconfigfile.ts';

/** Images that the machines of a library have in their drives, without raw ones, which lie on nothing. Machines that can't be read are left out. */
export async function imagesOfMachines(library: string): Promise<string[]> {
  const images: string[] = [];
  for (const folder of await vmFolders(library).catch(() => [])) {
    const config = await readVmConfig(folder).catch(() => undefined);
    for (const drive of config?.drives ?? []) if (drive.path && drive.format !== 'raw') images.push(path.resolve(folder, drive.path));
  }
  return images;
}
