import { type AccessToken, type Caller, ownerCaller } from '../../../core/contract/access.ts';
import type { Handlers } from '../../../core/contract/server.ts';

type AccessHandlers = Pick<Handlers, 'access.me' | 'access.tokens' | 'access.createToken' | 'access.revokeToken' | 'access.connections'>;

/** Tokens and connections of the development page. */
export function mockAccess(changed: () => void): AccessHandlers {
  const since = '2026-03-01T09:00:00.000Z';
  const tokens: AccessToken[] = [
    { id: 'token-1', name: 'Wall display', role: 'view', createdAt: since, lastUsedAt: since, expiresAt: null },
    { id: 'token-2', name: 'Li Hua', role: 'operate', createdAt: since, lastUsedAt: null, expiresAt: '2027-03-01T09:00:00.000Z' },
  ];
  const me: Caller = ownerCaller('page', since);
  return {
    'access.me': async () => me,
    'access.tokens': async () => [...tokens],
    'access.createToken': async ({ name, role, expiresInDays }) => {
      const now = Date.now();
      const token: AccessToken = {
        id: `token-${now}`,
        name,
        role,
        createdAt: new Date(now).toISOString(),
        lastUsedAt: null,
        expiresAt: expiresInDays === null ? null : new Date(now + expiresInDays * 86_400_000).toISOString(),
      };
      tokens.push(token);
      changed();
      return { token, secret: 'a-secret-of-the-development-page-only-000000' };
    },
    'access.revokeToken': async ({ id }) => {
      tokens.splice(0, tokens.length, ...tokens.filter((token) => token.id !== id));
      changed();
      return null;
    },
    'access.connections': async () => [
      me,
      { id: 'other', name: 'Wall display', role: 'view', tokenId: 'token-1', address: '192.0.2.7', since },
    ],
  };
}
