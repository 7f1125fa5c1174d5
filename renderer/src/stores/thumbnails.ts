import { defineStore } from 'pinia';
import { shallowReactive } from 'vue';
import { useConnection } from './connection.ts';

interface Thumbnail {
  version: number;
  /** Data URL, null before the first start. */
  url: string | null;
}

/** Last pictures of machines; fetched only for what is on screen and only when their version changed. */
export const useThumbnails = defineStore('thumbnails', () => {
  const connection = useConnection();
  const pictures = shallowReactive(new Map<string, Thumbnail>());
  const underWay = new Map<string, number>();

  async function want(id: string, version: number): Promise<void> {
    if (pictures.get(id)?.version === version || underWay.get(id) === version) return;
    underWay.set(id, version);
    try {
      const { png } = await connection.call('vm.thumbnail', { id });
      pictures.set(id, { version, url: png === null ? null : `data:image/png;base64,${png}` });
    } catch {
      // A machine that has just gone has no picture; the placeholder stays.
    } finally {
      if (underWay.get(id) === version) underWay.delete(id);
    }
  }

  return { pictures, want };
});
