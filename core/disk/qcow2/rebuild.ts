/** New refcount structures from what was found to be in use, for images whose own can't be trusted. */
import { roundUp, setU64, viewOf } from '../bigendian.ts';
import { switchHeader } from './headerswitch.ts';
import type { Qcow2Image } from './image.ts';
import { refcountLimit, writeRefcount } from './refcountblock.ts';

/**
 * Writes a refcount table and blocks behind the end of the file and switches the header to them in one write. `found` has the references to each
 * cluster of the file, those of the old refcount structures included; these are given up. The image reads its counts anew afterwards.
 */
export async function rebuildRefcounts(image: Qcow2Image, found: Uint32Array): Promise<void> {
  const { meta } = image;
  const { clusterSize, header, refcounts, file } = meta;
  const order = header.refcountOrder;
  const drop = (cluster: number) => {
    if (found[cluster]) found[cluster]!--;
  };
  for (let i = 0; i < header.refcountTableClusters; i++) drop(header.refcountTableOffset / clusterSize + i);
  for (const offset of refcounts.blockOffsets) if (offset) drop(offset / clusterSize);
  const start = roundUp(await file.size(), clusterSize) / clusterSize;
  let blocks = 1;
  let table = 1;
  for (;;) {
    const wantedBlocks = Math.ceil((start + blocks + table) / refcounts.perBlock);
    const wantedTable = Math.ceil((wantedBlocks * 8) / clusterSize);
    if (wantedBlocks <= blocks && wantedTable <= table) break;
    blocks = Math.max(blocks, wantedBlocks);
    table = Math.max(table, wantedTable);
  }
  const end = start + blocks + table;
  const tableBytes = new Uint8Array(table * clusterSize);
  for (let i = 0; i < blocks; i++) {
    const block = new Uint8Array(clusterSize);
    for (let index = 0; index < refcounts.perBlock; index++) {
      const cluster = i * refcounts.perBlock + index;
      const count = cluster >= start && cluster < end ? 1 : (found[cluster] ?? 0);
      if (count) writeRefcount(viewOf(block), order, index, Math.min(count, refcountLimit(order)));
    }
    await file.write((start + i) * clusterSize, block);
    setU64(viewOf(tableBytes), i * 8, (start + i) * clusterSize);
  }
  await file.write((start + blocks) * clusterSize, tableBytes);
  await file.sync();
  const pointer = new Uint8Array(12);
  setU64(viewOf(pointer), 0, (start + blocks) * clusterSize);
  viewOf(pointer).setUint32(8, table);
  await switchHeader(file, 48, pointer);
  header.refcountTableOffset = (start + blocks) * clusterSize;
  header.refcountTableClusters = table;
  await meta.reloadRefcounts();
}
