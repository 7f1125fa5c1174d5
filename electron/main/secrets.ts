import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '../../core/platform/atomicfile.ts';
import type { Logger } from '../../core/util/logger.ts';
import type { ElectronParts } from './electronparts.ts';

const fileSchema = z.record(z.string().max(200), z.string().max(100_000));

/**
 * Secrets under the protection of the system's key store (Keychain, DPAPI, the Secret Service of Linux), in `secrets.json` of the settings folder. Where the
 * system offers none they are kept in memory only: a file that anybody could read would not be safe storage.
 */
export class Secrets {
  private readonly safeStorage: ElectronParts['safeStorage'];
  private readonly file: string;
  private readonly log: Logger;
  private readonly memory = new Map<string, string>();
  private sealed: Record<string, string>;
  private saving: Promise<unknown> = Promise.resolve();

  constructor(safeStorage: ElectronParts['safeStorage'], folder: string, log: Logger, platform: NodeJS.Platform = process.platform) {
    this.safeStorage = safeStorage;
    this.file = path.join(folder, 'secrets.json');
    this.log = log;
    this.platform = platform;
    try {
      this.sealed = fileSchema.parse(JSON.parse(readFileSync(this.file, 'utf8')));
    } catch {
      this.sealed = {};
    }
  }

  private readonly platform: NodeJS.Platform;

  /** Whether what is put here is still there after a restart. */
  get lasting(): boolean {
    if (!this.safeStorage.isEncryptionAvailable()) return false;
    // On Linux without a key store Electron "encrypts" with a password that stands in its source.
    if (this.platform !== 'linux') return true;
    const backend = this.safeStorage.getSelectedStorageBackend();
    return backend !== 'basic_text' && backend !== 'unknown';
  }

  get(name: string): string | undefined {
    const kept = this.memory.get(name);
    if (kept !== undefined) return kept;
    const sealed = Object.hasOwn(this.sealed, name) ? this.sealed[name] : undefined;
    if (sealed === undefined || !this.lasting) return undefined;
    try {
      return this.safeStorage.decryptString(Buffer.from(sealed, 'base64'));
    } catch {
      // Sealed by another user or another computer: it has to be given again.
      this.log.warn(`the secret of ${name} can't be opened any more`);
      return undefined;
    }
  }

  /** Resolves when it is as safe as it gets here. */
  async set(name: string, secret: string): Promise<void> {
    this.memory.set(name, secret);
    if (!this.lasting) return;
    this.sealed = { ...this.sealed, [name]: this.safeStorage.encryptString(secret).toString('base64') };
    await this.save();
  }

  async remove(name: string): Promise<void> {
    this.memory.delete(name);
    const { [name]: _gone, ...rest } = this.sealed;
    this.sealed = rest;
    await this.save();
  }

  private save(): Promise<void> {
    const saved = this.saving.then(() => writeFileAtomic(this.file, JSON.stringify(this.sealed, null, 2), 0o600));
    this.saving = saved.catch(() => {});
    return saved;
  }
}
