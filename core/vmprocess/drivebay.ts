import { defaultPolicy, syncsWrites } from '../contract/drives.ts';
import type { Drive } from '../contract/vm.ts';
import type { DriveBay } from '../machine/definition.ts';

/** What the board needs to know of a drive. */
export const bayOf = ({ id, kind, cache }: Pick<Drive, 'id' | 'kind' | 'cache'>): DriveBay => ({
  id,
  kind,
  writeCache: !syncsWrites(cache ?? defaultPolicy.cache),
});
