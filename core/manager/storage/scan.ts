/**
 * Lists the images in pools and machines' folders: headers only, a bounded number of files, and what is broken is shown with what is wrong with it.
 */
import type { BigIntStats } from 'node:fs';
import { lstat, readdir, readlink, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Volume, VolumeUser } from '../../contract/storage.ts';
import type { ImageLocks } from '../../platform/imagelocks.ts';
import { COMPACT_ENDING } from '../../platform/compactimage.ts';
import { identityOf } from '../../platform/fileidentity.ts';
import { fileError } from '../../platform/nodefile.ts';
import { asHypervueError } from '../../util/errors.ts';
import { type ImageFacts, readImageFacts } from './headers.ts';

/** Files of one folder that are looked at; as the file chooser. */
const MAX_FILES = 2000;
/** Images on top of each other, as openimage.ts. */
const MAX_DEPTH = 200;
/** Files that are open at the same time. */
const AT_ONCE = 16;
/** Headers that are remembered between two looks. */
const MAX_REMEMBERED = 10_000;

/** A file without a known beginning counts as a raw image when its name says so. */
export const RAW_ENDINGS = /\.(img|raw|dd|ima|vfd|flp|dsk|hdd|bin|iso|qcow2?|qc2|vmdk|vdi|vhdx?|vpc|qed)$/i;

export interface ScanPlace {
  pool: string;
  folder: string;
  machine: { id: string; name: string } | null;
}

/** A drive of a machine with an image in it; `file` is absolute. */
export interface UsedDrive {
  machine: { id: string; name: string };
  file: string;
  format: string;
}

interface Found {
  volume: Volume;
  key: string | undefined;
  facts: ImageFacts | undefined;
}

export class Scanner {
  private readonly locks: ImageLocks;
  private readonly remembered = new Map<string, { facts: ImageFacts; at: string }>();

  constructor(locks: ImageLocks) {
    this.locks = locks;
  }

  /** Folders that can't be read count as empty: their pools say why. */
  async scan(places: readonly ScanPlace[], drives: readonly UsedDrive[]): Promise<Volume[]> {
    const users = new Map<string, VolumeUser[]>();
    const addUser = (key: string | undefined, user: VolumeUser) => {
      if (key === undefined) return;
      const list = users.get(key) ?? [];
      if (!list.some(({ kind, id, path: file }) => kind === user.kind && id === user.id && file === user.path)) list.push(user);
      users.set(key, list);
    };
    const used = new Set<string>();
    /** Images that are known to be raw: what a guest wrote into one says nothing about it. */
    const raw = new Set<string>();
    await inTurns(drives, async ({ machine, file, format }) => {
      used.add(path.resolve(file));
      const key = await keyOf(file);
      addUser(key, { kind: 'machine', ...machine });
      if (key !== undefined && format === 'raw') raw.add(key);
    });
    const found: Found[] = [];
    for (const place of places) found.push(...(await this.folder(place, used)));
    await inTurns(found, async ({ volume, key, facts }) => {
      if (key !== undefined && raw.has(key)) return;
      const over = { name: volume.name, path: volume.path };
      const below = facts?.backing ? await keyOf(facts.backing.path) : undefined;
      addUser(below, { kind: 'overlay', ...over });
      if (below !== undefined && facts?.backing?.format === 'raw') raw.add(below);
      const data = facts?.dataFile ? await keyOf(facts.dataFile) : undefined;
      addUser(data, { kind: 'data', ...over });
      // Whatever its name is.
      if (data !== undefined && facts?.format === 'qcow2') raw.add(data);
      Object.assign(volume, await this.chain(key, facts));
    });
    for (const { volume, key } of found) if (key !== undefined && raw.has(key)) beRaw(volume);
    // A file may show in two folders by links; an image is not its own user.
    for (const { volume, key } of found)
      volume.usedBy = (key === undefined ? [] : (users.get(key) ?? [])).filter((user) => user.path !== volume.path);
    return found.map(({ volume }) => volume);
  }

  private async folder(place: ScanPlace, used: ReadonlySet<string>): Promise<Found[]> {
    let names: string[];
    try {
      names = await readdir(place.folder);
    } catch {
      return [];
    }
    const found: Found[] = [];
    const seen = names.filter((name) => !name.startsWith('.') && !name.endsWith(COMPACT_ENDING)).sort();
    await inTurns(seen.slice(0, MAX_FILES), async (name) => {
      const one = await this.look(place, name, used).catch(() => undefined);
      if (one) found.push(one);
    });
    return found.sort((a, b) => (a.volume.name < b.volume.name ? -1 : 1));
  }

  /** Undefined for what is no image. */
  private async look(place: ScanPlace, name: string, used: ReadonlySet<string>): Promise<Found | undefined> {
    const file = path.join(place.folder, name);
    const expected = RAW_ENDINGS.test(name) || used.has(file);
    const itself = await lstat(file);
    const volume: Volume = {
      path: file,
      name,
      pool: place.pool,
      machine: place.machine,
      format: 'raw',
      sizeBytes: null,
      fileBytes: 0,
      allocatedBytes: 0,
      modifiedAt: isoTime(itself.mtime),
      below: [],
      circular: false,
      dataFile: null,
      encrypted: false,
      snapshots: 0,
      needsRepair: false,
      link: itself.isSymbolicLink() ? await readlink(file) : null,
      usedBy: [],
      lockedBy: null,
      problem: null,
    };
    try {
      const info = await stat(file, { bigint: true });
      // A device is never work for storage, whatever leads to it.
      if (info.isDirectory() || info.isBlockDevice()) return undefined;
      volume.fileBytes = Number(info.size);
      volume.allocatedBytes = info.isFile() ? Math.min(Number(info.size), Number(info.blocks) * 512) : Number(info.size);
      volume.modifiedAt = isoTime(new Date(Number(info.mtimeMs)));
      const facts = await this.facts(file, info);
      if (!expected && facts.format === 'raw') return undefined;
      const { format, sizeBytes, dataFile, encrypted, snapshots, needsRepair, problem } = facts;
      Object.assign(volume, { format, sizeBytes, dataFile, encrypted, snapshots, needsRepair, problem });
      volume.lockedBy = this.locks.conflict(file, false) ?? null;
      return { volume, facts, key: identityOf(info) };
    } catch (error) {
      if (!expected) return undefined;
      volume.problem = asHypervueError(fileError(error, file, 'open')).toJSON();
      return { volume, facts: undefined, key: undefined };
    }
  }

  /** From memory while neither place, size nor time of the file have changed. */
  private async facts(file: string, info: BigIntStats): Promise<ImageFacts> {
    const at = `${info.dev}:${info.ino}:${info.size}:${info.mtimeNs}:${info.ctimeNs}`;
    const known = this.remembered.get(file);
    if (known?.at === at) return known.facts;
    const facts = await readImageFacts(file);
    if (this.remembered.size >= MAX_REMEMBERED) this.remembered.clear();
    this.remembered.set(file, { facts, at });
    return facts;
  }

  /** What lies below the image that is `own` file. */
  private async chain(own: string | undefined, facts: ImageFacts | undefined): Promise<Pick<Volume, 'below' | 'circular'>> {
    const below: Volume['below'] = [];
    const seen = new Set([own]);
    for (let next = facts?.backing; next && below.length < MAX_DEPTH; ) {
      const entry = { path: next.path, format: next.format, exists: true };
      try {
        const info = await stat(next.path, { bigint: true });
        const key = identityOf(info);
        if (seen.has(key)) return { below, circular: true };
        seen.add(key);
        below.push(entry);
        const lower: ImageFacts = await this.facts(next.path, info);
        entry.format ??= lower.format;
        // A raw image has nothing below it, whatever the guest wrote into it.
        next = entry.format === 'raw' ? null : lower.backing;
      } catch {
        entry.exists = false;
        if (below.at(-1) !== entry) below.push(entry);
        break;
      }
    }
    return { below, circular: false };
  }
}

/** Takes back what a header inside a raw image said. */
function beRaw(volume: Volume): void {
  if (volume.format === 'raw' || volume.format === 'iso') return;
  Object.assign(volume, { format: 'raw', sizeBytes: volume.fileBytes, below: [], dataFile: null, encrypted: false, snapshots: 0 });
  Object.assign(volume, { circular: false, needsRepair: false, problem: null });
}

/** `work` for every item, some at a time. */
async function inTurns<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items[Symbol.iterator]();
  const worker = async () => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
}

/** What tells that two paths are one file; undefined when there is none. */
export async function keyOf(file: string): Promise<string | undefined> {
  return stat(file, { bigint: true }).then(identityOf, () => undefined);
}

function isoTime(time: Date): string {
  return (Number.isNaN(time.getTime()) ? new Date(0) : time).toISOString();
}
