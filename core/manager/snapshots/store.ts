/**
 * What a machine's folder keeps of its snapshots:
 *
 *   snapshots/snapshots.json   the manifest: which there are, and which the machine went on from. What it lists is whole; it is written last.
 *   snapshots/journal.json     an operation under way. After a crash it is undone (take) or finished (revert, delete).
 *   snapshots/<id>/            memory.state, nvram, thumbnail.png
 *   in each qcow2 disk         an internal snapshot called hypervue-<id>
 */
import { mkdir, readFile, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { type Snapshot, snapshotSchema } from '../../contract/snapshots.ts';
import { vmConfigSchema } from '../../contract/vm.ts';
import { removeCutOffWrites, syncFolder, writeFileAtomic } from '../../platform/atomicfile.ts';
import { fileError } from '../../platform/nodefile.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';

export const SNAPSHOTS_FOLDER = 'snapshots';
const MANIFEST = 'snapshots.json';
const JOURNAL = 'journal.json';
export const MEMORY_FILE = 'memory.state';
export const THUMBNAIL = 'thumbnail.png';
export const NVRAM = 'nvram';

/** With the configuration of that moment. */
const storedSchema = snapshotSchema.extend({
  config: vmConfigSchema,
  /** Its memory file is as small as it can be. */
  packed: z.boolean().default(true),
});
export type StoredSnapshot = z.infer<typeof storedSchema>;

/** A snapshot that is gone: its disks may lie below linked clones, and nobody has looked yet which of them are still wanted. */
const orphanSchema = z.object({ id: snapshotSchema.shape.id, disks: snapshotSchema.shape.disks });
export type Orphan = z.infer<typeof orphanSchema>;

const manifestSchema = z.object({
  schema: z.literal(1),
  current: z.string().nullable(),
  snapshots: z.array(storedSchema).max(10_000),
  orphans: z.array(orphanSchema).max(10_000).default([]),
});
export type Manifest = z.infer<typeof manifestSchema>;

const journalSchema = z.object({
  operation: z.enum(['take', 'revert', 'delete']),
  id: snapshotSchema.shape.id,
  disks: snapshotSchema.shape.disks,
  /** The machine has a saved state, which fitted its disks before: what is changed in their files is to be noted. */
  saved: z.boolean().default(false),
});
export type Journal = z.infer<typeof journalSchema>;

export const tagOf = (id: string): string => `hypervue-${id}`;
export const snapshotsFolder = (machine: string): string => path.join(machine, SNAPSHOTS_FOLDER);
export const snapshotFolder = (machine: string, id: string): string => path.join(machine, SNAPSHOTS_FOLDER, id);

export function publicSnapshot({ config: _config, packed: _packed, ...snapshot }: StoredSnapshot): Snapshot {
  return snapshot;
}

async function readJson<T>(file: string, schema: z.ZodType<T>): Promise<T | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw fileError(error, file, 'read');
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new HypervueError('corrupt', say('bootUnreadable', { file }), { path: file }, say('fixFromBackup'), cause);
  }
}

/** Removes what a crash left of writing the manifest or the journal. */
export async function removeRemains(machine: string): Promise<void> {
  await removeCutOffWrites(snapshotsFolder(machine), (name) => name === MANIFEST || name === JOURNAL);
}

export async function readManifest(machine: string): Promise<Manifest> {
  return (
    (await readJson(path.join(snapshotsFolder(machine), MANIFEST), manifestSchema)) ?? {
      schema: 1,
      current: null,
      snapshots: [],
      orphans: [],
    }
  );
}

export async function writeManifest(machine: string, manifest: Manifest): Promise<void> {
  await writeFileAtomic(path.join(snapshotsFolder(machine), MANIFEST), `${JSON.stringify(manifest, undefined, 2)}\n`);
}

export function readJournal(machine: string): Promise<Journal | undefined> {
  return readJson(path.join(snapshotsFolder(machine), JOURNAL), journalSchema);
}

export async function writeJournal(machine: string, journal: Journal): Promise<void> {
  await mkdir(snapshotsFolder(machine), { recursive: true, mode: 0o700 });
  await writeFileAtomic(path.join(snapshotsFolder(machine), JOURNAL), JSON.stringify(journal));
}

/** The operation is over, and durable. A folder in which nothing is left goes too. */
export async function endJournal(machine: string): Promise<void> {
  await rm(path.join(snapshotsFolder(machine), JOURNAL), { force: true });
  await dropEmpty(machine);
}

/** Those that were looked for are not looked for again. */
export async function forgetOrphans(machine: string, looked: readonly Orphan[]): Promise<void> {
  const manifest = await readManifest(machine);
  const orphans = manifest.orphans.filter(({ id }) => !looked.some((one) => one.id === id));
  if (orphans.length === manifest.orphans.length) return;
  await writeManifest(machine, { ...manifest, orphans });
  await dropEmpty(machine);
}

/** What says nothing any more goes; durable. */
async function dropEmpty(machine: string): Promise<void> {
  const folder = snapshotsFolder(machine);
  const { snapshots, orphans } = await readManifest(machine);
  const empty = snapshots.length === 0 && orphans.length === 0;
  if (empty) await rm(path.join(folder, MANIFEST), { force: true });
  await syncFolder(folder);
  if (empty) await rmdir(folder).catch(() => {});
}
