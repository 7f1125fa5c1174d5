import { onScopeDispose, reactive, watch } from 'vue';
import type { ErrorDto } from '../../../core/contract/errors.ts';
import type { MediaInfo } from '../../../core/contract/host.ts';
import { useConnection } from '../stores/connection.ts';
import { toDto } from '../stores/notices.ts';

export interface Inspection {
  busy: boolean;
  info: MediaInfo | null;
  failure: ErrorDto | null;
}

const settleMs = 250;

/** Resolves when nothing is looked into any more, at the latest after `limitMs`: a file may lie on a slow network. */
export async function lookDone(inspection: Inspection, limitMs: number): Promise<void> {
  if (!inspection.busy) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(limit);
      stop();
      resolve();
    };
    const limit = setTimeout(done, limitMs);
    const stop = watch(() => inspection.busy, done, { flush: 'sync' });
  });
}

/** Looks into the file while its path is being chosen. Answers about older paths are dropped. */
export function useInspection(path: () => string): Inspection {
  const connection = useConnection();
  const inspection = reactive<Inspection>({ busy: false, info: null, failure: null });
  let round = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  watch(
    path,
    (value) => {
      const mine = ++round;
      clearTimeout(timer);
      inspection.info = null;
      inspection.failure = null;
      const wanted = value.trim();
      inspection.busy = wanted !== '';
      if (wanted === '') return;
      timer = setTimeout(async () => {
        try {
          const info = await connection.call('host.inspectMedia', { path: wanted });
          if (mine === round) inspection.info = info;
        } catch (error) {
          if (mine === round) inspection.failure = toDto(error);
        } finally {
          if (mine === round) inspection.busy = false;
        }
      }, settleMs);
    },
    { immediate: true },
  );
  onScopeDispose(() => clearTimeout(timer));
  return inspection;
}
