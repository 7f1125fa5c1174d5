/** How `hypervue attach` hands a server to the desktop app, which alone may use the system's key store: a file that only this user may read, gone once it was taken. */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '../../platform/atomicfile.ts';
import { asHypervueError } from '../../util/errors.ts';
import type { Logger } from '../../util/logger.ts';
import type { RemoteServers } from './servers.ts';

const pendingSchema = z.object({
  url: z.string().max(4096),
  token: z.string().max(512),
  fingerprint: z.string().max(200).nullable(),
  name: z.string().max(100),
});
export type PendingServer = z.infer<typeof pendingSchema>;

const folderOf = (config: string) => path.join(config, 'attach');

export async function leavePending(config: string, server: PendingServer): Promise<void> {
  await mkdir(folderOf(config), { recursive: true, mode: 0o700 });
  await writeFileAtomic(path.join(folderOf(config), `${randomUUID()}.json`), JSON.stringify(server), 0o600);
}

/** Takes in what was left. A server that can't be reached now stays for the next time; what makes no sense goes. */
export async function takePending(config: string, servers: Pick<RemoteServers, 'add'>, log: Logger): Promise<void> {
  const folder = folderOf(config);
  const names = await readdir(folder).catch(() => [] as string[]);
  for (const name of names.filter((one) => /^[0-9a-f-]{36}\.json$/.test(one))) {
    const file = path.join(folder, name);
    try {
      const { url, token, fingerprint, name: title } = pendingSchema.parse(JSON.parse(await readFile(file, 'utf8')));
      await servers.add(url, token, fingerprint, title);
      await rm(file, { force: true });
    } catch (error) {
      const failure = asHypervueError(error);
      log.warn(`a server could not be attached: ${failure.message}`);
      if (failure.kind !== 'io-error' && failure.kind !== 'timeout') await rm(file, { force: true });
    }
  }
}
