import { readdirSync, readFileSync } from 'node:fs';

/** proc(5), /proc/PID/task/TID/schedstat: nanoseconds on a processor, nanoseconds ready but waiting for one. */
interface ThreadTime {
  ran: number;
  waited: number;
}

export type ThreadTimes = ReadonlyMap<string, ThreadTime>;

/** Of every thread of a process; empty where the kernel does not tell. */
export function threadTimes(pid: number): ThreadTimes {
  const times = new Map<string, ThreadTime>();
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const [ran, waited] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
      times.set(thread, { ran: Number(ran), waited: Number(waited) });
    }
  } catch {
    // Not Linux, or the process ended.
  }
  return times;
}

export interface Spent {
  /** Of the thread that ran most, which is the one with the virtual processor. */
  ranMs: number;
  waitedMs: number;
  /** Of all threads together: translation on other threads counts here. */
  allMs: number;
}

export function spent(before: ThreadTimes, after: ThreadTimes): Spent {
  const result: Spent = { ranMs: 0, waitedMs: 0, allMs: 0 };
  for (const [thread, { ran, waited }] of after) {
    const start = before.get(thread);
    const ranMs = (ran - (start?.ran ?? 0)) / 1e6;
    result.allMs += ranMs;
    if (ranMs > result.ranMs) {
      result.ranMs = ranMs;
      result.waitedMs = (waited - (start?.waited ?? 0)) / 1e6;
    }
  }
  return result;
}
