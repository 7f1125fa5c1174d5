import { onBeforeUnmount, ref, shallowRef, watch } from 'vue';
import type { HistoryRange } from '../../../core/contract/history.ts';

export interface History {
  stepSeconds: number;
  endsAt: string;
  series: Record<string, (number | null)[]>;
}

/** A history that follows time while the page is looked at: asked for again with every step. `of` changes with what it is the history of. */
export function useHistory(of: () => string, ask: (range: HistoryRange) => Promise<History>) {
  const range = ref<HistoryRange>('minutes');
  const history = shallowRef<History | null>(null);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let round = 0;

  async function refresh(): Promise<void> {
    clearTimeout(timer);
    const mine = ++round;
    let step = 1;
    if (!document.hidden)
      try {
        const found = await ask(range.value);
        if (mine !== round) return;
        history.value = found;
        step = found.stepSeconds;
      } catch {
        // The next second has it, or the connection banner says why not.
      }
    if (mine === round) timer = setTimeout(() => void refresh(), step * 1000);
  }

  watch([of, range], () => {
    history.value = null;
    void refresh();
  });
  void refresh();
  onBeforeUnmount(() => {
    round++;
    clearTimeout(timer);
  });
  return { range, history };
}
