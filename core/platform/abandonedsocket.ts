import { lstatSync, rmSync } from 'node:fs';
import { connect } from 'node:net';

/** Removes a Unix socket at which nobody listens any more, as a machine that was killed leaves it. Anything else stays, and binding then fails. */
export async function removeAbandonedSocket(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  try {
    if (!lstatSync(path).isSocket()) return;
  } catch {
    return;
  }
  const abandoned = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
  if (abandoned) rmSync(path, { force: true });
}
