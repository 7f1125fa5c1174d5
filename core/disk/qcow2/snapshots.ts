/**
 * Internal snapshots: copies of the L1 table that share everything below it. Each change is made so that the header's pointers, which lie in one
 * sector, switch from the old state to the new one in one write; before it new references are counted, after it old ones are counted down.
 */
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { setU64, viewOf } from '../bigendian.ts';
import { unsupported } from './errors.ts';
import { INCOMPAT_DATA_FILE } from './header.ts';
import { switchHeader } from './headerswitch.ts';
import type { Qcow2Image } from './image.ts';
import type { Metadata } from './metadata.ts';
import { entryBytes, hasHost, hostOffset, isCompressed, isCopied, setCopied } from './l2entry.ts';
import { refcountLimit } from './refcountblock.ts';
import { encodeSnapshots, parseSnapshots, type SnapshotEntry, snapshotTableLimit } from './snapshottable.ts';
import { l1TableOffset } from './l1entry.ts';
import { clustersOf, walk } from './tree.ts';

const L1_COPIED = 0x8000_0000;

/** The snapshots of the image, oldest first. Throws 'corrupt'. */
export async function readSnapshots(image: Qcow2Image): Promise<{ entries: SnapshotEntry[]; used: number }> {
  const { header, file, clusterSize } = image.meta;
  if (!header.snapshotCount) return { entries: [], used: 0 };
  const bytes = new Uint8Array(
    Math.min(snapshotTableLimit(header.snapshotCount), Math.max(0, (await file.size()) - header.snapshotsOffset)),
  );
  await file.read(header.snapshotsOffset, bytes);
  return parseSnapshots(bytes, header.snapshotCount, header.sizeBytes, clusterSize, file.path);
}

/** QEMU shows no more of a name, in bytes of UTF-8. */
const MAX_NAME = 255;

/** The snapshot of this id, or else of this name. Throws 'not-found', or 'invalid-argument' when it is not the only one. */
export function findSnapshot(entries: readonly SnapshotEntry[], idOrName: string, image: Qcow2Image): SnapshotEntry {
  const byId = entries.filter(({ id }) => id === idOrName);
  const found = byId.length ? byId : entries.filter(({ name }) => name === idOrName);
  if (found.length === 1) return found[0]!;
  const { label } = image.info;
  const context = { path: label, object: idOrName };
  if (byId.length)
    throw new HypervueError(
      'corrupt',
      say('sameSnapshotIds', { path: label, found: byId.length, id: idOrName }),
      context,
      say('fixSameSnapshotIds'),
    );
  if (found.length)
    throw new HypervueError(
      'invalid-argument',
      say('sameSnapshotNames', { path: label, found: found.length, name: idOrName }),
      context,
      say('fixSameSnapshotNames', {
        ids: found.map(({ id, dateSeconds }) => `${id} (${new Date(dateSeconds * 1000).toISOString()})`).join(', '),
      }),
    );
  throw new HypervueError(
    'not-found',
    say('noImageSnapshot', { path: label, name: idOrName }),
    context,
    entries.length ? say('fixItHas', { names: entries.map(({ name }) => name).join(', ') }) : say('fixHasNone'),
  );
}

/** Throws when a snapshot can't be called that: it could not be told from another one. */
function checkName(name: string, others: readonly SnapshotEntry[], image: Qcow2Image): void {
  const { label } = image.info;
  const context = { path: label, object: name, operation: 'snapshot' };
  const bytes = new TextEncoder().encode(name).length;
  if (!bytes || bytes > MAX_NAME) throw new HypervueError('invalid-argument', say('snapshotNameBytes', { most: MAX_NAME, bytes }), context);
  const same = others.find((entry) => entry.name === name);
  if (same)
    throw new HypervueError(
      'already-exists',
      say('snapshotNameTaken', { path: label, name, id: same.id }),
      context,
      say('fixSnapshotName'),
    );
  if (others.some(({ id }) => id === name))
    throw new HypervueError('already-exists', say('snapshotNameIsId', { name, path: label }), context, say('fixName'));
}

/** A number that no snapshot has for its id or its name. */
function newId(entries: readonly SnapshotEntry[], name: string): string {
  let id = entries.reduce((highest, entry) => Math.max(highest, Number(entry.id) || 0), 0) + 1;
  while (String(id) === name || entries.some((entry) => entry.name === String(id))) id++;
  return String(id);
}

/** From here on the image, which was opened read-only, shows the disk as it was when the snapshot was taken. */
export async function showSnapshot(image: Qcow2Image, idOrName: string): Promise<void> {
  if (!image.info.readOnly) throw new HypervueError('internal', `${image.info.label} is not open read-only`, { path: image.info.label });
  const { meta } = image;
  const entry = findSnapshot((await readSnapshots(image)).entries, idOrName, image);
  meta.l1 = viewOf(await readL1(image, entry));
  meta.header.sizeBytes = entry.diskBytes;
  meta.header.l1Entries = entry.l1Entries;
  meta.header.l1Offset = entry.l1Offset;
  image.sizeChanged();
}

/** Takes a snapshot of the disk as it is now and returns its id. Rejects with 'already-exists' when one has that name, and as the file does. */
export function createSnapshot(image: Qcow2Image, name: string, date: { seconds: number; nanoseconds: number }): Promise<string> {
  return image.exclusive(async () => {
    const { meta } = image;
    const { header, clusterSize } = meta;
    if (header.incompatible & INCOMPAT_DATA_FILE)
      throw unsupported(image.info.label, 'external data, of which no snapshot can be taken', say('fixConvertToQcow2'));
    const { entries, used } = await readSnapshots(image);
    if (entries.length >= 65535) throw new HypervueError('resource-limit', say('snapshotsFull', { path: image.info.label }));
    checkName(name, entries, image);
    const id = newId(entries, name);
    const entry: SnapshotEntry = {
      l1Offset: 0,
      l1Entries: header.l1Entries,
      id,
      name,
      dateSeconds: date.seconds,
      dateNanoseconds: date.nanoseconds,
      vmClock: 0n,
      vmStateBytes: 0,
      diskBytes: header.sizeBytes,
      extra: new Uint8Array(0),
    };
    await count(image, meta.l1, 1);
    try {
      const l1 = clean(meta.l1);
      const first = await meta.lock.run(() => meta.writeClusters(l1));
      entry.l1Offset = first * clusterSize;
      await updateCopied(meta);
      await meta.commit();
    } catch (error) {
      // Counted down by the next commit, and marked after it (closeMarks).
      meta.marksOpen = true;
      await count(image, meta.l1, -1);
      throw error;
    }
    await writeTable(image, [...entries, entry], used);
    return id;
  });
}

/** The disk is as it was when the snapshot was taken. What it held since then, and no snapshot has, is lost. */
export function revertToSnapshot(image: Qcow2Image, idOrName: string): Promise<void> {
  return image.exclusive(async () => {
    const { meta } = image;
    const { header, clusterSize, file } = meta;
    const entry = findSnapshot((await readSnapshots(image)).entries, idOrName, image);
    const l1 = await readL1(image, entry);
    await count(image, viewOf(l1), 1);
    const first = await meta.lock.run(() => meta.writeClusters(l1));
    await meta.commit();
    const old = { l1: meta.l1, offset: header.l1Offset, clusters: Math.max(1, Math.ceil((header.l1Entries * 8) / clusterSize)) };
    // Size (24), encryption method (32), L1 entries (36) and offset (40): one write within one sector.
    const fields = new Uint8Array(24);
    const view = viewOf(fields);
    setU64(view, 0, entry.diskBytes);
    view.setUint32(8, { none: 0, aes: 1, luks: 2 }[header.encryption]);
    view.setUint32(12, l1.length / 8);
    setU64(view, 16, first * clusterSize);
    await image.replacing(entry.diskBytes);
    try {
      await switchHeader(file, 24, fields);
    } catch (error) {
      await image.replacing(header.sizeBytes);
      throw error;
    }
    header.sizeBytes = entry.diskBytes;
    header.l1Entries = l1.length / 8;
    header.l1Offset = first * clusterSize;
    meta.l1 = viewOf(l1);
    image.sizeChanged();
    await released(image, async () => {
      await count(image, old.l1, -1);
      await meta.lock.run(async () => meta.free(old.offset / clusterSize, old.clusters));
    });
  });
}

/** The snapshot is gone; room that only it used is given back. */
export function deleteSnapshot(image: Qcow2Image, idOrName: string): Promise<void> {
  return image.exclusive(async () => {
    const { entries, used } = await readSnapshots(image);
    await forget(image, findSnapshot(entries, idOrName, image), entries, used);
  });
}

/** All of that name: when another program made one too, ours is not the only one. None is fine. */
export function deleteSnapshotsNamed(image: Qcow2Image, wanted: string): Promise<void> {
  return image.exclusive(async () => {
    for (;;) {
      const { entries, used } = await readSnapshots(image);
      const entry = entries.find(({ name }) => name === wanted);
      if (!entry) return;
      await forget(image, entry, entries, used);
    }
  });
}

async function forget(image: Qcow2Image, entry: SnapshotEntry, entries: readonly SnapshotEntry[], used: number): Promise<void> {
  const { meta } = image;
  const l1 = await readL1(image, entry);
  await writeTable(
    image,
    entries.filter((other) => other !== entry),
    used,
  );
  await released(image, async () => {
    await count(image, viewOf(l1), -1);
    await meta.lock.run(async () =>
      meta.free(entry.l1Offset / meta.clusterSize, Math.max(1, Math.ceil((entry.l1Entries * 8) / meta.clusterSize))),
    );
  });
}

/** Counts down what nobody refers to any longer, after what is ours alone then was marked in the file; where that fails, marks come later (Qcow2Image.exclusive). */
async function released(image: Qcow2Image, countDown: () => Promise<void>): Promise<void> {
  image.meta.marksOpen = true;
  await countDown();
  await closeMarks(image);
}

/** Makes the marks that are open, in the file before the counts that they go with; those come to it with the next commits. Nothing else may be under way. */
export async function closeMarks({ meta }: Pick<Qcow2Image, 'meta'>): Promise<void> {
  if (!meta.marksOpen) return;
  // Counts are down in memory after it.
  await meta.commit();
  await updateCopied(meta);
  await meta.commitMarks();
  meta.marksOpen = false;
}

/** Another name for the snapshot. */
export function renameSnapshot(image: Qcow2Image, idOrName: string, name: string): Promise<void> {
  return image.exclusive(async () => {
    const { entries, used } = await readSnapshots(image);
    const entry = findSnapshot(entries, idOrName, image);
    checkName(
      name,
      entries.filter((other) => other !== entry),
      image,
    );
    await writeTable(
      image,
      entries.map((other) => (other === entry ? { ...entry, name } : other)),
      used,
    );
  });
}

/** The snapshot's L1 table, in which nothing is marked as ours alone. */
export async function readL1(image: Qcow2Image, entry: SnapshotEntry): Promise<Uint8Array> {
  const l1 = new Uint8Array(entry.l1Entries * 8);
  await image.meta.file.read(entry.l1Offset, l1);
  return clean(viewOf(l1));
}

/** A copy of an L1 table in which nothing is marked as ours alone. */
function clean(l1: DataView): Uint8Array {
  const copy = new Uint8Array(l1.buffer, l1.byteOffset, l1.byteLength).slice();
  const view = viewOf(copy);
  for (let at = 0; at < copy.length; at += 8) view.setUint32(at, (view.getUint32(at) & ~L1_COPIED) >>> 0);
  return copy;
}

/** Everything below the L1 table is referred to once more, or once less (from the next commit on). */
async function count(image: Qcow2Image, l1: DataView, by: 1 | -1): Promise<void> {
  const { meta } = image;
  await meta.lock.run(async () => {
    if (by > 0) await refuseOverflow(image, l1);
    const change = (first: number, clusters: number) => (by > 0 ? meta.refcounts.add(first, clusters, 1) : meta.free(first, clusters));
    await walk(meta, l1, {
      onTable: (_, cluster) => change(cluster, 1),
      onClusters: (first, clusters) => change(first, clusters),
    });
  });
}

/** Throws 'resource-limit' when narrow refcounts have no room for one more reference to everything below the L1 table. */
async function refuseOverflow(image: Qcow2Image, l1: DataView): Promise<void> {
  const { meta } = image;
  if (meta.header.refcountOrder > 3) return;
  const limit = refcountLimit(meta.header.refcountOrder);
  const more = new Map<number, number>();
  const note = (first: number, clusters: number) => {
    for (let cluster = first; cluster < first + clusters; cluster++) more.set(cluster, (more.get(cluster) ?? 0) + 1);
  };
  await walk(meta, l1, { onTable: (_, cluster) => note(cluster, 1), onClusters: note });
  for (const [cluster, by] of more)
    if ((await meta.refcounts.get(cluster)) + by > limit)
      throw new HypervueError(
        'resource-limit',
        say('refcountNarrow', { path: image.info.label, bits: 2 ** meta.header.refcountOrder }),
        { path: image.info.label, operation: 'snapshot' },
        say('fixWiderRefcounts'),
      );
}

/** Brings the marks "ours alone" of the active tables in line with the refcounts. */
async function updateCopied(meta: Metadata): Promise<number> {
  let changed = 0;
  await meta.lock.run(async () => {
    const step = entryBytes(meta.shape);
    for (let index = 0; index < meta.l1.byteLength / 8; index++) {
      const offset = l1TableOffset(meta.l1, index);
      if (!offset) continue;
      const own = (await meta.refcounts.get(offset / meta.clusterSize)) === 1;
      if (own !== meta.l1Copied(index)) {
        meta.setL1Copied(index, own);
        changed++;
      }
      const table = await meta.l2.get(offset);
      let dirty = false;
      for (let at = 0; at < table.bytes.length; at += step) {
        if (isCompressed(table.view, at) || !hasHost(meta.shape, table.view, at) || !clustersOf(meta, table, at).count) continue;
        const alone = (await meta.refcounts.get(hostOffset(table.view, at) / meta.clusterSize)) === 1;
        if (alone === isCopied(table.view, at)) continue;
        setCopied(table.view, at, alone);
        dirty = true;
        changed++;
      }
      if (dirty) meta.l2.markDirty(table);
    }
  });
  return changed;
}

/** Writes a new table and switches the header to it. */
async function writeTable(image: Qcow2Image, entries: readonly SnapshotEntry[], oldBytes: number): Promise<void> {
  const { meta } = image;
  const { header, clusterSize, file } = meta;
  const bytes = encodeSnapshots(entries);
  let offset = 0;
  if (bytes.length) {
    offset = (await meta.lock.run(() => meta.writeClusters(bytes))) * clusterSize;
    await meta.commit();
  }
  const pointer = new Uint8Array(12);
  viewOf(pointer).setUint32(0, entries.length);
  setU64(viewOf(pointer), 4, offset);
  await switchHeader(file, 60, pointer);
  const old = { offset: header.snapshotsOffset, clusters: Math.ceil(oldBytes / clusterSize) };
  header.snapshotCount = entries.length;
  header.snapshotsOffset = offset;
  if (old.offset && old.clusters) await meta.lock.run(async () => meta.free(old.offset / clusterSize, old.clusters));
}
