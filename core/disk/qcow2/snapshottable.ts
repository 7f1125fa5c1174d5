/** The table of internal snapshots (QEMU's docs/interop/qcow2.txt, "Snapshots"). */
import { getU64, roundUp, setU64, viewOf } from '../bigendian.ts';
import { corrupt } from './errors.ts';
import { MAX_OFFSET } from './header.ts';
import { say } from '../../util/say.ts';

export interface SnapshotEntry {
  l1Offset: number;
  l1Entries: number;
  id: string;
  name: string;
  /** Seconds and nanoseconds since 1970. */
  dateSeconds: number;
  dateNanoseconds: number;
  /** Time that the guest had run. */
  vmClock: bigint;
  /** Bytes of machine state that QEMU has put behind the end of the disk. */
  vmStateBytes: number;
  diskBytes: number;
  /** Fields of later versions, kept as they are. */
  extra: Uint8Array;
}

const FIXED = 40;
const MAX_TABLE = 64 << 20;
const MAX_L1_BYTES = 32 << 20;
const MAX_EXTRA = 1024;

/** Parses `count` entries; `diskBytes` is for those that do not say how large the disk was. Throws 'corrupt'. `used`: length of the table. */
export function parseSnapshots(
  bytes: Uint8Array,
  count: number,
  diskBytes: number,
  clusterSize: number,
  path: string,
): { entries: SnapshotEntry[]; used: number } {
  const view = viewOf(bytes);
  const entries: SnapshotEntry[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + FIXED > bytes.length) throw corrupt(path, say('damageSnapshotCut', { number: i }));
    const idLength = view.getUint16(at + 12);
    const nameLength = view.getUint16(at + 14);
    const extraLength = view.getUint32(at + 36);
    const end = at + FIXED + extraLength + idLength + nameLength;
    if (extraLength > MAX_EXTRA || end > bytes.length) throw corrupt(path, say('damageSnapshotCut', { number: i }));
    const extra = bytes.slice(at + FIXED, at + FIXED + extraLength);
    const entry: SnapshotEntry = {
      l1Offset: getU64(view, at),
      l1Entries: view.getUint32(at + 8),
      id: new TextDecoder().decode(bytes.subarray(end - nameLength - idLength, end - nameLength)),
      name: new TextDecoder().decode(bytes.subarray(end - nameLength, end)),
      dateSeconds: view.getUint32(at + 16),
      dateNanoseconds: view.getUint32(at + 20),
      vmClock: view.getBigUint64(at + 24),
      vmStateBytes: extraLength >= 8 ? getU64(viewOf(extra), 0) : view.getUint32(at + 32),
      diskBytes: extraLength >= 16 ? getU64(viewOf(extra), 8) : diskBytes,
      extra,
    };
    if (entry.l1Offset % clusterSize || entry.l1Offset > MAX_OFFSET || entry.l1Entries * 8 > MAX_L1_BYTES)
      throw corrupt(path, say('damageSnapshotL1', { name: entry.name }));
    if (entry.diskBytes > MAX_OFFSET) throw corrupt(path, say('damageSnapshotSize', { name: entry.name, size: entry.diskBytes }));
    entries.push(entry);
    at = roundUp(end, 8);
  }
  return { entries, used: at };
}

/** How many bytes the table may have at most, to be read before it is known. */
export const snapshotTableLimit = (count: number): number => Math.min(MAX_TABLE, count * (FIXED + MAX_EXTRA + 2 * 65536));

export function encodeSnapshots(entries: readonly SnapshotEntry[]): Uint8Array {
  const parts = entries.map((entry) => {
    const id = new TextEncoder().encode(entry.id);
    const name = new TextEncoder().encode(entry.name);
    const extra = new Uint8Array(Math.max(16, entry.extra.length));
    extra.set(entry.extra);
    setU64(viewOf(extra), 0, entry.vmStateBytes);
    setU64(viewOf(extra), 8, entry.diskBytes);
    const bytes = new Uint8Array(roundUp(FIXED + extra.length + id.length + name.length, 8));
    const view = viewOf(bytes);
    setU64(view, 0, entry.l1Offset);
    view.setUint32(8, entry.l1Entries);
    view.setUint16(12, id.length);
    view.setUint16(14, name.length);
    view.setUint32(16, entry.dateSeconds);
    view.setUint32(20, entry.dateNanoseconds);
    view.setBigUint64(24, entry.vmClock);
    view.setUint32(32, entry.vmStateBytes < 2 ** 32 ? entry.vmStateBytes : 0);
    view.setUint32(36, extra.length);
    bytes.set(extra, FIXED);
    bytes.set(id, FIXED + extra.length);
    bytes.set(name, FIXED + extra.length + id.length);
    return bytes;
  });
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
