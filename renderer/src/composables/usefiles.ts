import type { Volume } from '../../../core/contract/storage.ts';
import { ContractError } from '../../../core/contract/client.ts';
import { errorSchema } from '../../../core/contract/errors.ts';
import { saidError } from '../connection/saiderror.ts';
import { useConnection } from '../stores/connection.ts';
import { useNotices } from '../stores/notices.ts';
import { useStorage } from '../stores/storage.ts';
import { freeVolumeName, stemOf } from './volumeverbs.ts';

/** Files between this browser and the server's pools. A desktop window is on the same computer and has neither. */
export function useFiles() {
  const connection = useConnection();
  const notices = useNotices();
  const storage = useStorage();
  const possible = () => connection.httpUrl('') !== null;

  /** The browser saves the file where it saves downloads, and shows how far it is. */
  async function download(path: string, object: string): Promise<void> {
    try {
      const { ticket, name } = await connection.call('storage.download', { path });
      const link = document.createElement('a');
      link.href = connection.httpUrl(`download/${ticket}/${encodeURIComponent(name)}`)!;
      link.download = name;
      link.click();
    } catch (error) {
      notices.showError('download', object, error);
    }
  }

  /** Sends files into a pool, one after the other; Activity shows and cancels them. Gives the paths of those that arrived. */
  async function upload(pool: string, files: readonly File[]): Promise<string[]> {
    const made: string[] = [];
    for (const file of files)
      try {
        const dot = file.name.lastIndexOf('.');
        const taken = (name: string) =>
          storage.volumes.some((volume) => volume.pool === pool && volume.name.toLowerCase() === name.toLowerCase());
        const name = taken(file.name) && dot > 0 ? freeVolumeName(stemOf(file.name), file.name.slice(dot + 1), taken) : file.name;
        const { ticket } = await connection.call('storage.upload', { pool, name, sizeBytes: file.size });
        const volume = await put(connection.httpUrl(`upload/${ticket}`)!, file);
        made.push(volume.path);
        notices.toast({ key: 'toast.uploaded', tone: 'success', params: { name: volume.name } });
      } catch (error) {
        notices.showError('upload', file.name, error);
      }
    return made;
  }

  return { possible, download, upload };
}

/** The browser reads the file as it goes; nothing of it is held in memory. Of a transfer that the server cut off, it tells only that it broke: the server is asked. */
async function put(url: string, file: File): Promise<Volume> {
  const broken = (...why: Parameters<typeof saidError>[1]) =>
    saidError('io-error', why, { object: file.name, operation: 'upload' }, 'fixUploadAgain');
  const answer = await fetch(url, { method: 'PUT', body: file }).catch(async () => {
    const ended = await fetch(url).catch(() => undefined);
    if (!ended || ended.status === 404) throw broken('uploadCut');
    return ended;
  });
  const body: unknown = await answer.json().catch(() => null);
  if (answer.ok) return body as Volume;
  const error = errorSchema.safeParse(body);
  throw error.success ? new ContractError(error.data) : broken('uploadAnswered', { status: answer.status });
}
