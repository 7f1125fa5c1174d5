import type { Snapshot } from '../../../core/contract/snapshots.ts';

export interface TreeRow {
  snapshot: Snapshot;
  /** 0 at the root. */
  depth: number;
}

/** Snapshots in the order of a tree, each below the one it was taken after; siblings by age. One whose parent is not there is a root. */
export function snapshotRows(snapshots: readonly Snapshot[]): TreeRow[] {
  const known = new Set(snapshots.map(({ id }) => id));
  const children = new Map<string | null, Snapshot[]>();
  for (const snapshot of snapshots) {
    const parent = snapshot.parent !== null && known.has(snapshot.parent) ? snapshot.parent : null;
    children.set(parent, [...(children.get(parent) ?? []), snapshot]);
  }
  const rows: TreeRow[] = [];
  const seen = new Set<string>();
  const walk = (parent: string | null, depth: number): void => {
    for (const snapshot of children.get(parent) ?? []) {
      if (seen.has(snapshot.id)) continue;
      seen.add(snapshot.id);
      rows.push({ snapshot, depth });
      walk(snapshot.id, depth + 1);
    }
  };
  walk(null, 0);
  return rows;
}
