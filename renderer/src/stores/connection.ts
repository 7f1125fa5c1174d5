import { defineStore } from 'pinia';
import { ref, shallowRef } from 'vue';
import type { ViewerHello } from '../../../core/contract/console.ts';
import { ContractClient } from '../../../core/contract/client.ts';
import type { ChannelKind, EventName, EventPayload, MethodName, Params, Result } from '../../../core/contract/methods.ts';
import type { Said } from '../../../core/contract/said.ts';
import type { ByteChannel } from '../../../core/contract/transport.ts';
import { type Link, LinkError } from '../connection/link.ts';
import { saidError } from '../connection/saiderror.ts';

export type ConnectionState = 'connecting' | 'ready' | 'unauthorized' | 'lost';

const firstRetryMs = 500;
const lastRetryMs = 10_000;

/** Calls that the manager carries out as tasks. */
const startsTask =
  /^(storage\.(create|convert|linkedClone|resize|check|commit|rebase|compact|compare)|vm\.(create|clone|import|export|importOva|exportOva|bulk|bulkEdit)|trash\.remove)$/;

/** The one connection of this window. It outlives single transports: listeners stay subscribed over a reconnect. */
export const useConnection = defineStore('connection', () => {
  const state = ref<ConnectionState>('connecting');
  /** The server's words about a refused or lost connection. */
  const reason = ref('');
  /** The same for readers of other languages, where the manager's texts have it. */
  const saidReason = shallowRef<Said | undefined>();
  /** Time of the next attempt, ms of Date.now(), while lost; while unauthorized, the time before which none is taken (0: none). */
  const retryAt = ref(0);
  const client = shallowRef<ContractClient | null>(null);

  let link: Link | null = null;
  let retryMs = firstRetryMs;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const readyListeners = new Set<() => void>();
  const subscriptions = new Map<EventName, Set<(payload: never) => void>>();

  async function connect(): Promise<void> {
    clearTimeout(timer);
    if (!link) return;
    // The banner and the login page stay until the attempt has succeeded.
    if (state.value === 'ready') state.value = 'connecting';
    try {
      const next = new ContractClient(await link.connect());
      for (const [event, listeners] of subscriptions)
        next.on(event, (payload) => {
          for (const listener of [...listeners]) listener(payload as never);
        });
      next.onClose(() => {
        if (client.value !== next) return;
        client.value = null;
        lose('');
      });
      client.value = next;
      state.value = 'ready';
      reason.value = '';
      retryMs = firstRetryMs;
      for (const listener of [...readyListeners]) listener();
    } catch (error) {
      if (error instanceof LinkError && error.kind === 'unauthorized') {
        state.value = 'unauthorized';
        reason.value = error.message;
        retryAt.value = error.waitSeconds > 0 ? Date.now() + error.waitSeconds * 1000 : 0;
      } else lose(error instanceof Error ? error.message : '', error instanceof LinkError ? error.said : undefined);
    }
  }

  let awaited = 0;

  function lose(why: string, said?: Said): void {
    state.value = 'lost';
    reason.value = why;
    saidReason.value = said;
    retryAt.value = Date.now() + retryMs;
    timer = setTimeout(() => void connect(), retryMs);
    retryMs = Math.min(retryMs * 2, lastRetryMs);
  }

  return {
    state,
    reason,
    saidReason,
    retryAt,
    start(over: Link): Promise<void> {
      link = over;
      return connect();
    },
    retryNow: connect,
    /** Tries another token (login page). */
    logIn(token: string): Promise<void> {
      link?.setToken?.(token);
      return connect();
    },
    /** Address of a path of the server, for files; null in a desktop window. */
    httpUrl: (path: string): string | null => link?.httpUrl?.(path) ?? null,
    /** Path of a dropped file in a desktop window, else null. */
    pathOf: (file: File): string | null => link?.pathOf?.(file) ?? null,
    /** The system's file dialog of a desktop window, else null. */
    chooseFile: () => link?.chooseFile ?? null,
    call<M extends MethodName>(method: M, params: Params<M>): Promise<Result<M>> {
      if (client.value) {
        const answer = client.value.call(method, params);
        if (!startsTask.test(method)) return answer;
        awaited++;
        return answer.finally(() => awaited--);
      }
      return Promise.reject(saidError('io-error', ['connectionClosed'], { operation: method }));
    },
    /** True while a call that runs as a task has no answer yet: whoever made it tells how it ended. */
    awaitsTask: () => awaited > 0,
    /** Returns the function that unsubscribes. */
    on<E extends EventName>(event: E, listener: (payload: EventPayload<E>) => void): () => void {
      let set = subscriptions.get(event);
      if (!set) {
        subscriptions.set(event, (set = new Set()));
        const listeners = set;
        client.value?.on(event, (payload) => {
          for (const each of [...listeners]) each(payload as never);
        });
      }
      set.add(listener as (payload: never) => void);
      return () => set.delete(listener as (payload: never) => void);
    },
    /** Calls back at once when connected, and after every reconnect. */
    onReady(listener: () => void): () => void {
      readyListeners.add(listener);
      if (client.value) listener();
      return () => readyListeners.delete(listener);
    },
    openChannel(kind: ChannelKind, vmId: string, viewer?: ViewerHello): Promise<ByteChannel> {
      if (!link) return Promise.reject(new LinkError('unreachable', ''));
      return link.openChannel(kind, vmId, viewer);
    },
  };
});
