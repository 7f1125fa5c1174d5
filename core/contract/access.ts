/** Who may do what: roles, the tokens that carry them, and the clients that are connected. */
import { z } from 'zod';

/** Each can do what the ones before it can: look on; work with the machines there are; change what there is. */
export const roles = ['view', 'operate', 'manage'] as const;
export type Role = (typeof roles)[number];
export const roleSchema = z.enum(roles);

export const roleCovers = (role: Role, needed: Role): boolean => roles.indexOf(role) >= roles.indexOf(needed);

/** Name of a token: whose it is, as people see it. */
export const tokenNameSchema = z
  .string()
  .trim()
  .min(1)
  .max(64)
  .regex(/^[^\p{Cc}]*$/u, 'has a control character');

/** A token without its secret, which is shown once, when it is made, and kept only as a hash. */
export const accessTokenSchema = z.object({
  id: z.string(),
  name: tokenNameSchema,
  role: roleSchema,
  /** ISO 8601, as what follows. */
  createdAt: z.string(),
  lastUsedAt: z.string().nullable(),
  /** It is refused from then on; null for never. */
  expiresAt: z.string().nullable(),
});
export type AccessToken = z.infer<typeof accessTokenSchema>;

/** Who a client is. */
export const callerSchema = z.object({
  /** Of the connection. */
  id: z.string(),
  name: z.string(),
  role: roleSchema,
  /** `null` for the owner: who runs Hypervue, and has its own token or none. */
  tokenId: z.string().nullable(),
  /** Network address; empty for a window of the desktop app and for commands that open the library themselves. */
  address: z.string(),
  /** ISO 8601. */
  since: z.string(),
});
export type Caller = z.infer<typeof callerSchema>;

/** Longest life of a token, days. */
export const MAX_TOKEN_DAYS = 3650;

export const accessMethods = {
  /** Who the manager takes this client for. */
  'access.me': { params: z.object({}), result: callerSchema },
  'access.tokens': { params: z.object({}), result: z.array(accessTokenSchema) },
  /** `secret` is what to sign in with; it can't be shown again. */
  'access.createToken': {
    params: z.object({
      name: tokenNameSchema,
      role: roleSchema,
      expiresInDays: z.number().int().min(1).max(MAX_TOKEN_DAYS).nullable().default(null),
    }),
    result: z.object({ token: accessTokenSchema, secret: z.string() }),
  },
  /** Refused from now on; who is connected with it is cut off. */
  'access.revokeToken': { params: z.object({ id: z.string().max(64) }), result: z.null() },
  'access.connections': { params: z.object({}), result: z.array(callerSchema) },
} as const;

export const accessEvents = {
  /** Tokens or connections are not what they were. Only for those who may list them. */
  'access.changed': z.object({}),
} as const;

/** The program's own windows and commands: whoever started it. */
export const ownerCaller = (id: string, since = new Date().toISOString()): Caller => ({
  id,
  name: '',
  role: 'manage',
  tokenId: null,
  address: '',
  since,
});
