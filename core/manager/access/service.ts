import type { Caller } from '../../contract/access.ts';
import { ownerCaller } from '../../contract/access.ts';
import type { ContractServer, Handlers } from '../../contract/server.ts';
import type { AccessTokens } from './tokens.ts';

/** Why somebody whose token is no longer good is cut off. */
export const TOKEN_GONE = 'the token was revoked or has expired';

type AccessHandlers = Pick<Handlers, 'access.me' | 'access.tokens' | 'access.createToken' | 'access.revokeToken' | 'access.connections'>;

/** Who may come in, and who is there. */
export class AccessService {
  readonly tokens: AccessTokens;
  readonly handlers: AccessHandlers;
  private readonly connections = new Map<ContractServer, Caller>();
  private readonly goneListeners = new Set<(tokenId: string) => void>();
  private readonly changed: () => void;

  constructor(tokens: AccessTokens, changed: () => void) {
    this.tokens = tokens;
    this.changed = changed;
    this.handlers = {
      'access.me': async (_params, caller) => caller ?? ownerCaller('program'),
      'access.tokens': async () => tokens.list(),
      'access.createToken': async ({ name, role, expiresInDays }) => {
        const made = await tokens.create(name, role, expiresInDays);
        changed();
        return made;
      },
      'access.revokeToken': async ({ id }) => {
        await tokens.revoke(id);
        this.gone(id);
        changed();
        return null;
      },
      'access.connections': async () => [...this.connections.values()],
    };
  }

  joined(server: ContractServer, caller: Caller): void {
    this.connections.set(server, caller);
    if (caller.tokenId !== null) this.tokens.used(caller.tokenId);
    this.changed();
  }

  left(server: ContractServer): void {
    if (this.connections.delete(server)) this.changed();
  }

  /** A token is no longer good: for what else was opened with it, such as channels. Returns the function that unsubscribes. */
  onGone(listener: (tokenId: string) => void): () => void {
    this.goneListeners.add(listener);
    return () => this.goneListeners.delete(listener);
  }

  /** Cuts off whoever came with a token that has expired since. To be called now and then. */
  sweep(): void {
    const ids = new Set([...this.connections.values()].flatMap(({ tokenId }) => tokenId ?? []));
    for (const id of ids) if (!this.tokens.valid(id)) this.gone(id);
  }

  private gone(tokenId: string): void {
    for (const [server, caller] of [...this.connections]) if (caller.tokenId === tokenId) server.cut(TOKEN_GONE);
    for (const listener of [...this.goneListeners]) listener(tokenId);
  }
}
