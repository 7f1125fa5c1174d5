import path from 'node:path';
import type { DriveBus } from '../contract/drives.ts';
import type { Remedy, VmCreate } from '../contract/vm.ts';
import { blockDeviceAt } from '../platform/blockdevice.ts';
import { allocatedBytes } from '../platform/diskfile.ts';
import { freeBytes } from '../platform/hostinfo.ts';
import { asHypervueError } from '../util/errors.ts';
import { plain, say } from '../util/say.ts';
import { type AskedDisk, askedDisks, type DiskPlaces, roomOn } from './newmachinedisks.ts';
import {
  bad,
  checkFile,
  checkHost,
  checkMedium,
  failed,
  good,
  MIB,
  type PreflightCheck,
  type PreflightParts,
  remedied,
  SLACK_BYTES,
} from './preflight.ts';
import { checkCable, checkNetworkSource } from './preflightnetwork.ts';

export type CreateCheckParts = PreflightParts & DiskPlaces;

const GIB = 1024 * MIB;
const SAMPLE_BYTES = 3 * MIB;

/** What the disks of a folder take at once, and what new ones may come to. */
interface Need {
  now: number;
  later: number;
}

/** A disk that is there already: what is wrong with it, and how much room a copy takes. */
async function checkDisk(
  parts: PreflightParts,
  id: string,
  disk: { path: string; copy: boolean; readOnly: boolean },
  firmware: VmCreate['firmware'],
): Promise<{ checks: PreflightCheck[]; copyBytes: number }> {
  if (!disk.copy && (await blockDeviceAt(disk.path)))
    return {
      checks: [
        remedied(bad(id, 'error', 'unsupported', say('blockDeviceCreate', { path: disk.path }), say('fixBlockDeviceCreate'), disk.path), {
          do: 'copy',
        }),
      ],
      copyBytes: 0,
    };
  const checks = await checkMedium(parts, id, disk.path, 'disk', disk.copy || disk.readOnly, firmware);
  const readable = checks.every(({ ok, severity }) => ok || severity !== 'error');
  if (readable) return { checks, copyBytes: disk.copy ? await allocatedBytes(disk.path).catch(() => 0) : 0 };
  // One that can be read but not written to can be copied.
  const copyable = !disk.copy && checks.some(({ kind }) => kind === 'permission-denied');
  const asCopy = copyable ? await checkMedium(parts, id, disk.path, 'disk', true, firmware) : [];
  const helps = copyable && asCopy.every(({ ok, severity }) => ok || severity !== 'error');
  return {
    checks: helps ? checks.map((check) => (check.kind === 'permission-denied' ? remedied(check, { do: 'copy' }) : check)) : checks,
    copyBytes: 0,
  };
}

/** What it starts from, and the bytes that its own copy of the medium takes. */
async function checkSource(parts: PreflightParts, create: VmCreate): Promise<{ checks: PreflightCheck[]; bytes: number }> {
  const { source } = create;
  switch (source.type) {
    case 'iso':
    case 'floppy':
      return { checks: await checkMedium(parts, 'source', source.path, source.type, true, create.firmware), bytes: 0 };
    case 'kernel': {
      const checks = await checkMedium(parts, 'source', source.path, 'kernel', true);
      if (source.initrd) checks.push(await checkFile('initrd', source.initrd));
      return { checks, bytes: 0 };
    }
    case 'sample': {
      const check = await checkFile('source', parts.sampleImage);
      const missing = () => bad('source', 'error', 'not-found', say('sampleMissing'), say('fixSample'), parts.sampleImage);
      return { checks: [check.ok ? check : missing()], bytes: SAMPLE_BYTES };
    }
    case 'network':
      return { checks: await checkNetworkSource(parts, create), bytes: 0 };
    case 'blank':
      return {
        checks:
          askedDisks(create).length === 0
            ? [bad('source', 'warning', 'invalid-argument', say('nothingToBoot'), say('fixNothingToBoot'))]
            : [],
        bytes: 0,
      };
    default:
      // Checked with the other disks.
      return { checks: [], bytes: 0 };
  }
}

/** The name of a disk's checks: that of the source, or its number among the disks. */
const checkId = (create: VmCreate, disk: AskedDisk, index: number): string => {
  if (create.source.type === 'disk' && index === 0) return 'source';
  return create.attach && disk.type === 'existing' && disk.path === create.attach.path ? 'attach' : `disk${index + 1}`;
};

/** Everything that could go wrong with a machine that does not exist yet, whose disks will be on `bus`. */
export async function preflightCreate(parts: CreateCheckParts, create: VmCreate, bus: DriveBus): Promise<PreflightCheck[]> {
  const checks = await checkHost(parts, create.memoryMiB, create.firmware ?? 'bios');
  checks.push(
    parts.nameTaken(create.name)
      ? remedied(bad('name', 'error', 'already-exists', say('nameTaken', { name: create.name }), say('fixName')), { do: 'name' })
      : good('name', plain(create.name)),
  );
  for (const card of create.network ?? []) checks.push(...(await checkCable(parts.networks, card)));
  const needs = new Map<string, Need>([[parts.library, { now: SLACK_BYTES, later: 0 }]]);
  const need = (folder: string, now: number, later = 0) => {
    const before = needs.get(folder) ?? { now: 0, later: 0 };
    needs.set(folder, { now: before.now + now, later: before.later + later });
  };
  const source = await checkSource(parts, create);
  checks.push(...source.checks);
  need(parts.library, source.bytes);
  const disks = askedDisks(create);
  const paths = 'path' in create.source && create.source.type !== 'disk' ? [create.source.path] : [];
  for (const [index, disk] of disks.entries()) {
    const id = checkId(create, disk, index);
    let folder = parts.library;
    try {
      if (disk.pool !== undefined && (disk.type === 'new' || disk.copy)) folder = await parts.poolFolder(disk.pool);
    } catch (error) {
      checks.push(failed(`${id}.pool`, asHypervueError(error), ''));
      continue;
    }
    if (disk.type === 'new') {
      need(folder, 0, disk.sizeBytes);
      continue;
    }
    const found = await checkDisk(parts, id, disk, create.firmware);
    // A button mends what the source is; of the others the wizard shows the step.
    checks.push(...(id === 'source' ? found.checks : found.checks.map(({ remedy: _, ...check }) => check)));
    need(folder, found.copyBytes);
    if (paths.some((other) => path.resolve(other) === path.resolve(disk.path)))
      checks.push(
        bad(`${id}.twice`, 'error', 'invalid-argument', say('twiceChosen', { path: disk.path }), say('fixTwiceChosen'), disk.path),
      );
    paths.push(disk.path);
  }
  if (create.source.type === 'kernel' && create.source.initrd) paths.push(create.source.initrd);
  for (const file of paths)
    if (!path.isAbsolute(file))
      checks.push(bad('path', 'error', 'invalid-argument', say('notAbsolute', { path: file }), say('fixAbsolute'), file));
  if (disks.some((disk) => disk.type === 'new' && disk.passphrase !== undefined && disk.format === 'raw'))
    checks.push(remedied(bad('encryption', 'error', 'unsupported', say('rawEncrypted'), say('fixRawEncrypted')), { do: 'qcow2' }));
  checks.push(...checkRoom(create, disks.length, bus));
  for (const [folder, wanted] of needs) checks.push(await checkSpace(parts, create, folder, wanted));
  return checks;
}

/** A bus has so many places. */
function checkRoom(create: VmCreate, count: number, bus: DriveBus): PreflightCheck[] {
  // The check image has the first place of IDE.
  const all = count + (create.source.type === 'sample' && bus === 'ide' ? 1 : 0);
  if (all <= roomOn[bus]) return [];
  const better = (['sata', 'virtio'] as const).find((other) => count <= roomOn[other]);
  const names: Record<DriveBus, string> = { ide: 'IDE', sata: 'SATA', virtio: 'VirtIO', usb: 'USB' };
  const check = bad(
    'bus',
    'error',
    'resource-limit',
    say('busFull', { bus: names[bus], most: roomOn[bus], count: all }),
    say('fixBusFull'),
  );
  return [remedied(check, better && { do: 'bus', bus: better })];
}

async function checkSpace(parts: CreateCheckParts, create: VmCreate, folder: string, { now, later }: Need): Promise<PreflightCheck> {
  const free = await freeBytes(folder);
  const id = folder === parts.library ? 'space' : `space.${path.basename(folder)}`;
  const { source } = create;
  if (free < now) {
    const remedy: Remedy | undefined = folder === parts.library && source.type === 'disk' && source.copy ? { do: 'in-place' } : undefined;
    const short = say('spaceShort', { neededBytes: now, folder, freeBytes: free });
    return remedied(bad(id, 'error', 'no-space', short, say('fixSpaceShort'), folder), remedy);
  }
  if (free >= later) return good(id, say('spaceGood', { freeBytes: free, folder }));
  const fitting = Math.floor((free - now) / GIB) * GIB;
  return remedied(
    bad(id, 'warning', 'no-space', say('spaceMayEnd', { sizeBytes: later, freeBytes: free, folder }), say('fixSpaceMayEnd'), folder),
    // One disk can be made smaller at the press of a button; of several the person chooses.
    folder === parts.library && fitting > 0 && askedDisks(create).filter(({ type }) => type === 'new').length === 1
      ? { do: 'disk-size', sizeBytes: fitting }
      : undefined,
  );
}
