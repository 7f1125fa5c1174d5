import { z } from 'zod';
import { roleSchema } from './access.ts';
import { errorSchema } from './errors.ts';
import { vmStates } from './vm.ts';

/** Remote servers that a desktop app is attached to. They are the app's, not the manager's: no part of the contract, but of the window's bridge. */
export const serverIdSchema = z.uuid();

export const remoteServerSchema = z.object({
  id: serverIdSchema,
  name: z.string(),
  url: z.string(),
  /** SHA-256 of the certificate it must have; null when an authority vouches for it, or on loopback without TLS. */
  fingerprint: z.string().nullable(),
  /**
   * `lost`: not reachable, and tried again. `signedOut`: its token was refused or is not at hand, as after a restart where the system keeps no secrets.
   * `stopped`: it showed another certificate; nothing is tried until somebody has compared that.
   */
  state: z.enum(['connecting', 'ready', 'lost', 'signedOut', 'stopped']),
  /** Why it is not ready. */
  problem: errorSchema.nullable(),
  role: roleSchema.nullable(),
  machines: z.array(z.object({ id: z.string(), name: z.string(), state: z.enum(vmStates) })),
});
export type RemoteServer = z.infer<typeof remoteServerSchema>;

/** What a server showed of itself before it was told anything. */
export interface ServerProbe {
  url: string;
  /** From the link, if that was given. */
  token: string | null;
  /** Null without TLS. */
  certificate: { fingerprint: string; trusted: boolean } | null;
}

export interface ServersState {
  servers: RemoteServer[];
  /** Whether tokens are still there after a restart; if not, they have to be given again. */
  lasting: boolean;
}
