import path from 'node:path';
import { z } from 'zod';
import { ipv4Schema, macSchema, networkIdSchema } from '../../contract/networks.ts';
import { asHypervueError } from '../../util/errors.ts';
import type { Logger } from '../../util/logger.ts';
import { JsonStore } from '../jsonstore.ts';

const LEASES_FILE = 'leases.json';
/** From a change to the file: guests that boot ask several times. */
const KEEP_MS = 1000;

const fileSchema = z.object({ networks: z.record(networkIdSchema, z.record(macSchema, ipv4Schema)).default({}) });
type LeaseFile = z.infer<typeof fileSchema>;

/** Addresses that cards have, by network and MAC: kept, so that a machine finds its own again when it goes on from a saved state days later. */
export class Leases {
  private readonly store: JsonStore<LeaseFile>;
  private readonly log: Logger;
  private readonly networks: Map<string, Map<string, string>>;
  private timer: NodeJS.Timeout | undefined;
  private writing: Promise<void> = Promise.resolve();

  private constructor(store: JsonStore<LeaseFile>, log: Logger) {
    this.store = store;
    this.log = log;
    this.networks = new Map(Object.entries(store.get().networks).map(([id, kept]) => [id, new Map(Object.entries(kept))]));
  }

  static async open(configFolder: string, log: Logger): Promise<Leases> {
    return new Leases(await JsonStore.open<LeaseFile>(path.join(configFolder, LEASES_FILE), fileSchema, log), log);
  }

  of(network: string): ReadonlyMap<string, string> {
    return this.networks.get(network) ?? new Map();
  }

  /** From now on these are the addresses of a network. */
  set(network: string, addresses: ReadonlyMap<string, string>): void {
    const before = this.of(network);
    if (before.size === addresses.size && [...addresses].every(([mac, address]) => before.get(mac) === address)) return;
    if (addresses.size) this.networks.set(network, new Map(addresses));
    else this.networks.delete(network);
    this.timer ??= setTimeout(() => this.write(), KEEP_MS);
    this.timer.unref();
  }

  /** Resolves when all of it is in the file. */
  async settled(): Promise<void> {
    if (this.timer) this.write();
    await this.writing;
  }

  private write(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const networks = Object.fromEntries([...this.networks].map(([id, kept]) => [id, Object.fromEntries(kept)]));
    this.writing = this.store.set({ networks }).then(
      () => {},
      // The next change tries again; until then a machine may get another address.
      (error: unknown) => this.log.warn(asHypervueError(error).message),
    );
  }
}
