import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { chmod } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { type AccessToken, accessTokenSchema, type Role } from '../../contract/access.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import type { Logger } from '../../util/logger.ts';
import { JsonStore } from '../jsonstore.ts';

const MAX_TOKENS = 256;
const DAY_MS = 24 * 60 * 60 * 1000;
/** `lastUsedAt` is written no finer than this: not every connection is worth a write. */
const USED_STEP_MS = 60_000;

const storedSchema = accessTokenSchema.extend({ hash: z.string() });
type Stored = z.infer<typeof storedSchema>;
const fileSchema = z.object({ tokens: z.array(storedSchema).max(MAX_TOKENS).default([]) });

/** A secret has 256 random bits, so a plain hash can't be turned round; slow ones are for what people think up. */
const hashOf = (secret: string) => createHash('sha256').update(secret).digest('base64url');

const withoutHash = ({ hash: _hash, ...token }: Stored): AccessToken => token;

/** The tokens that were given to others (`tokens.json` in the settings folder): hashes only. The owner's own is not among them. */
export class AccessTokens {
  private readonly store: JsonStore<z.infer<typeof fileSchema>>;
  private readonly log: Logger;
  private readonly now: () => number;

  private constructor(store: JsonStore<z.infer<typeof fileSchema>>, log: Logger, now: () => number) {
    this.store = store;
    this.log = log;
    this.now = now;
  }

  static async open(folder: string, log: Logger, now: () => number = Date.now): Promise<AccessTokens> {
    const file = path.join(folder, 'tokens.json');
    // Names and hashes are nobody else's business, whatever the umask of who copied the file here was.
    await chmod(file, 0o600).catch(() => {});
    return new AccessTokens(await JsonStore.open(file, fileSchema, log, 0o600), log, now);
  }

  list(): AccessToken[] {
    return this.store.get().tokens.map(withoutHash);
  }

  /** Rejects with 'already-exists' when the name is taken, and 'resource-limit' when there are too many. */
  async create(name: string, role: Role, expiresInDays: number | null): Promise<{ token: AccessToken; secret: string }> {
    const secret = randomBytes(32).toString('base64url');
    const now = this.now();
    const token: AccessToken = {
      id: randomUUID(),
      name,
      role,
      createdAt: new Date(now).toISOString(),
      lastUsedAt: null,
      expiresAt: expiresInDays === null ? null : new Date(now + expiresInDays * DAY_MS).toISOString(),
    };
    await this.store.change(({ tokens }) => {
      if (tokens.some((one) => one.name.toLowerCase() === name.toLowerCase()))
        throw new HypervueError('already-exists', say('tokenTaken', { name }), { object: name, operation: 'create' }, say('fixTokenTaken'));
      if (tokens.length >= MAX_TOKENS)
        throw new HypervueError(
          'resource-limit',
          say('tokensFull', { most: MAX_TOKENS }),
          { object: name, operation: 'create' },
          say('fixTokensFull'),
        );
      return { tokens: [...tokens, { ...token, hash: hashOf(secret) }] };
    });
    return { token, secret };
  }

  /** Rejects with 'not-found'. */
  async revoke(id: string): Promise<AccessToken> {
    let revoked: Stored | undefined;
    await this.store.change(({ tokens }) => {
      revoked = tokens.find((one) => one.id === id);
      if (!revoked) throw new HypervueError('not-found', say('tokenGone'), { object: id, operation: 'revoke' }, say('fixTokenGone'));
      return { tokens: tokens.filter((one) => one.id !== id) };
    });
    return withoutHash(revoked!);
  }

  /** The token with this secret, unless it has expired. The time that looking takes tells nothing: what is compared are hashes of the guess. */
  find(secret: string): AccessToken | undefined {
    const hash = hashOf(secret);
    const found = this.store.get().tokens.find((one) => one.hash === hash);
    return found && !this.expired(found) ? withoutHash(found) : undefined;
  }

  /** Whether it is still good. */
  valid(id: string): boolean {
    const found = this.store.get().tokens.find((one) => one.id === id);
    return found !== undefined && !this.expired(found);
  }

  /** Somebody signed in with it. That this can't be noted is no reason to refuse. */
  used(id: string): void {
    const now = this.now();
    const found = this.store.get().tokens.find((one) => one.id === id);
    if (!found || (found.lastUsedAt !== null && now - Date.parse(found.lastUsedAt) < USED_STEP_MS)) return;
    this.store
      .change(({ tokens }) => ({
        tokens: tokens.map((one) => (one.id === id ? { ...one, lastUsedAt: new Date(now).toISOString() } : one)),
      }))
      .catch((error) => this.log.warn(`that a token was used could not be noted: ${String(error)}`));
  }

  private expired({ expiresAt }: AccessToken): boolean {
    return expiresAt !== null && this.now() >= Date.parse(expiresAt);
  }
}
