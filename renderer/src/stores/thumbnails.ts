import { defineStore } from 'pinia';
import { shallowReactive, shallowRef } from 'vue';
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

  /** Of one machine at a time, in the size of its screen. */
  const large = shallowRef<{ id: string; version: number; url: string } | null>(null);
  let fetching = false;

  async function wantLarge(id: string, version: number): Promise<void> {
    if (fetching || (large.value?.id === id && large.value.version === version)) return;
    fetching = true;
    try {
      const { png } = await connection.call('vm.screenshot', { id });
      large.value = { id, version, url: `data:image/png;base64,${png}` };
    } catch {
      // It went off meanwhile: the small one stays.
    } finally {
      fetching = false;
    }
  }

  return { pictures, large, want, wantLarge };
});
