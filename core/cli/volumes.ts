import path from 'node:path';
import type { Pool, Volume } from '../contract/storage.ts';
import { readableBytes } from '../util/bytes.ts';
import { HypervueError } from '../util/errors.ts';
import type { Session } from './session.ts';

export const poolTitle = ({ id, name }: Pool) => name || id;

/** The pool of this name or id. */
export async function poolOf(session: Session, wanted: string): Promise<Pool> {
  const pools = await session.client.call('storage.pools', {});
  const found = pools.find(({ id }) => id === wanted) ?? pools.find((pool) => poolTitle(pool) === wanted);
  if (!found) throw new HypervueError('not-found', `there is no storage pool ${wanted}`, { object: wanted }, 'See `hypervue pool list`.');
  return found;
}

/** The volume of this path, or of this name when only one has it. */
export async function volumeOf(session: Session, wanted: string): Promise<Volume> {
  const volumes = await session.client.call('storage.volumes', {});
  const file = path.resolve(wanted);
  const exact = volumes.find((volume) => volume.path === file);
  if (exact) return exact;
  const named = volumes.filter(({ name }) => name === wanted);
  if (named.length === 1) return named[0]!;
  if (named.length > 1)
    throw new HypervueError(
      'invalid-argument',
      `${named.length} volumes are named ${wanted}`,
      { object: wanted },
      `Use a path: ${named.map((volume) => volume.path).join(', ')}`,
    );
  throw new HypervueError('not-found', `there is no volume ${wanted}`, { object: wanted }, 'See `hypervue volume list`.');
}

export const volumeLine = (volume: Volume) =>
  `${volume.path}: ${volume.sizeBytes === null ? '?' : readableBytes(volume.sizeBytes)}, ${volume.format}`;
