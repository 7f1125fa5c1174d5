import { removeCutOffWrites } from '../platform/atomicfile.ts';
import { NVRAM_FILE } from '../platform/nvram.ts';
import { STAMPS } from './savedstate.ts';
import { CONFIG_FILE } from './vmconfigfile.ts';

/** A younger one may be another Hypervue's, which is writing it at this moment. */
const OLD_MS = 60_000;

/** Removes what crashes left in a machine's folder of writing vm.json and its backups, UEFI variables and the stamps of a saved state's disks. */
export const removeConfigRemains = (folder: string): Promise<void> =>
  removeCutOffWrites(
    folder,
    (name) => name === CONFIG_FILE || name.startsWith(`${CONFIG_FILE}.`) || name === NVRAM_FILE || name === STAMPS,
    OLD_MS,
  );
