import { lstatSync, rmSync } from 'node:fs';
import { connect } from 'node:net';

/** Whether there is a Unix socket at which nobody listens any more, as a machine that was killed leaves it. */
export async function abandonedSocket(path: string): Promise<boolean> {
  try {
    if (!lstatSync(path).isSocket()) return false;
  } catch {
    return false;
  }
  return new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}

/** Removes such a socket. Anything else stays, and binding then fails. */
export async function removeAbandonedSocket(path: string): Promise<void> {
  if (process.platform !== 'win32' && (await abandonedSocket(path))) rmSync(path, { force: true });
}
