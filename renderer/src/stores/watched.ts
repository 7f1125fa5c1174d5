import { ref } from 'vue';
import type { ErrorDto } from '../../../core/contract/errors.ts';
import type { EventName } from '../../../core/contract/methods.ts';
import { useConnection } from './connection.ts';
import { toDto } from './notices.ts';

/** Events come in bursts; one look after the last is enough. */
const settleMs = 150;

/** What `look` finds, given to `take` anew after each of `events`, while somebody shows it; and every so many milliseconds where events alone do not do. */
export function useWatched<T>(events: readonly EventName[], look: () => Promise<T>, take: (found: T) => void, everyMs?: number) {
  const connection = useConnection();
  const loaded = ref(false);
  const failure = ref<ErrorDto | null>(null);
  let watchers = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let turn = 0;

  async function load(): Promise<void> {
    const mine = ++turn;
    try {
      const found = await look();
      // A later look has the newer answer.
      if (mine !== turn) return;
      take(found);
      loaded.value = true;
      failure.value = null;
    } catch (error) {
      if (mine === turn) failure.value = toDto(error);
    }
  }

  /** Looks after what comes in bursts, if somebody shows it. */
  function soon(): void {
    if (watchers === 0) return;
    clearTimeout(timer);
    timer = setTimeout(() => void load(), settleMs);
  }

  /** Keeps it current until the returned function is called. A page that was opened by its address is there before the connection, which looks when it is. */
  function watch(): () => void {
    watchers++;
    if (connection.state === 'ready') void load();
    const again = everyMs && setInterval(() => connection.state === 'ready' && void load(), everyMs);
    return () => {
      watchers--;
      if (again) clearInterval(again);
    };
  }

  for (const event of events) connection.on(event, soon);
  connection.onReady(soon);
  return { loaded, failure, load, soon, watch };
}
