import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type GuestSystem, type PcArchitecture, systemResourcesSchema } from '../../contract/systems.ts';

const pattern = z.string().optional();
const mediumSchema = z.object({
  arch: z.enum(['i386', 'x86_64', 'all']),
  live: z.boolean().default(false),
  volumeId: pattern,
  systemId: pattern,
  publisherId: pattern,
  applicationId: pattern,
  volumeSize: pattern,
});
type Medium = z.infer<typeof mediumSchema>;

const entrySchema = z.object({
  id: z.string(),
  name: z.string(),
  family: z.string(),
  distro: z.string(),
  version: z.string(),
  released: z.string(),
  endOfLife: z.string(),
  virtio: z.boolean(),
  uefiOnly: z.boolean(),
  minimum: systemResourcesSchema.default({}),
  recommended: systemResourcesSchema.default({}),
  media: z.array(mediumSchema),
  trees: z.array(z.object({ arch: z.string(), family: z.string(), version: z.string() })),
});
type Entry = z.infer<typeof entrySchema>;

/** What a disc says of itself (ECMA-119 section 8.4). */
export interface DiscIdentifiers {
  volumeId: string;
  systemId: string;
  publisherId: string;
  applicationId: string;
  volumeBytes: number;
}

export interface SystemMatch {
  id: string;
  name: string;
  /** Of the disc; undefined when it is for several. */
  arch?: PcArchitecture;
  live: boolean;
}

/** Windows from Vista on has a driver for AHCI. */
const WINDOWS_VISTA = 6;

/**
 * The operating systems of osinfo-db, in the form that scripts/build-systems.mjs gives them. Patterns of discs are regular expressions that match anywhere, as
 * libosinfo has it.
 */
export class SystemTable {
  /** Newest first. */
  readonly systems: readonly GuestSystem[];
  readonly #entries: readonly Entry[];
  readonly #patterns = new Map<string, RegExp | null>();

  constructor(entries: unknown) {
    // Entries for "any version" would stand before what the words of a disc say of its release.
    this.#entries = z
      .array(entrySchema)
      .parse(entries)
      .filter(({ id, version }) => id !== 'unknown' && version !== 'unknown');
    this.systems = this.#entries.map(({ id, name, family, released, endOfLife, minimum, recommended, uefiOnly, virtio, version }) => ({
      id,
      name,
      family,
      released,
      endOfLife,
      minimum,
      recommended,
      uefiOnly,
      bus: virtio ? 'virtio' : family === 'winnt' && Number.parseFloat(version) >= WINDOWS_VISTA ? 'sata' : 'ide',
    }));
  }

  /** Throws what reading the file or its content throws. */
  static load(file: string): SystemTable {
    return new SystemTable(JSON.parse(readFileSync(file, 'utf8')));
  }

  /** The system whose disc this is: of those that fit, the one that says most about its disc, then the newest. */
  ofDisc(disc: DiscIdentifiers): SystemMatch | undefined {
    let best: { entry: Entry; medium: Medium; weight: number } | undefined;
    for (const entry of this.#entries)
      for (const medium of entry.media) {
        const weight = this.#weight(medium, disc);
        if (weight > (best?.weight ?? 0)) best = { entry, medium, weight };
      }
    if (!best) return undefined;
    const { entry, medium } = best;
    return { id: entry.id, name: entry.name, live: medium.live, ...(medium.arch === 'all' ? {} : { arch: medium.arch }) };
  }

  /** The system of a `.treeinfo` file. */
  ofTree(family: string, version: string): SystemMatch | undefined {
    const entry = this.#entries.find(({ trees }) =>
      trees.some((tree) => this.#matches(`^${tree.family}$`, family) && this.#matches(`^(${tree.version})$`, version)),
    );
    return entry && { id: entry.id, name: entry.name, live: false };
  }

  /**
   * The release of a distribution (`debian`) that `version` belongs to: `12.5` to `12`. For a version newer than the table it is the newest there, as `nearest`.
   */
  ofRelease(distro: string, version: string): { id: string; name: string; nearest: boolean } | undefined {
    const releases = this.#entries.filter((entry) => entry.distro === distro && /^\d/.test(entry.version));
    const exact = releases.find((entry) => version === entry.version || version.startsWith(`${entry.version}.`));
    if (exact) return { id: exact.id, name: exact.name, nearest: false };
    const [newest] = releases.toSorted((a, b) => compareVersions(b.version, a.version));
    return newest && compareVersions(version, newest.version) > 0 ? { id: newest.id, name: newest.name, nearest: true } : undefined;
  }

  /** How much of a disc's description fits: 0 when something does not, or when nothing is said that tells discs apart. */
  #weight(medium: Medium, disc: DiscIdentifiers): number {
    const { volumeId, systemId, publisherId, applicationId, volumeSize } = medium;
    if (!volumeId && !applicationId) return 0;
    const pairs = [
      [volumeId, disc.volumeId],
      [systemId, disc.systemId],
      [publisherId, disc.publisherId],
      [applicationId, disc.applicationId],
      [volumeSize, String(disc.volumeBytes)],
    ] as const;
    let weight = 0;
    for (const [wanted, is] of pairs) {
      if (!wanted) continue;
      if (!this.#matches(wanted, is)) return 0;
      weight++;
    }
    return weight;
  }

  #matches(text: string, value: string): boolean {
    let compiled = this.#patterns.get(text);
    if (compiled === undefined) {
      try {
        compiled = new RegExp(text);
      } catch {
        // A pattern in another dialect fits nothing.
        compiled = null;
      }
      this.#patterns.set(text, compiled);
    }
    return compiled?.test(value) ?? false;
  }
}

/** By their numbers: 9 < 10.1 < 10.2. */
function compareVersions(a: string, b: string): number {
  const [x, y] = [a, b].map((version) =>
    version
      .split(/\D+/)
      .filter((part) => part !== '')
      .map(Number),
  ) as [number[], number[]];
  for (let i = 0; i < Math.max(x.length, y.length); i++) if ((x[i] ?? 0) !== (y[i] ?? 0)) return (x[i] ?? 0) - (y[i] ?? 0);
  return 0;
}
