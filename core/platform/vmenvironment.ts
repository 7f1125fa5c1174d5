/** Environment that a VM process needs; everything else stays with the manager. */
const KEPT = ['PATH', 'HOME', 'TMPDIR', 'TEMP', 'TMP', 'LANG', 'LC_ALL', 'SystemRoot', 'XDG_RUNTIME_DIR'];

/**
 * mallopt(3) of the GNU C library, which reads these at the start of a program; others ignore them. V8's optimising compiler takes and frees a hundred
 * megabytes within seconds on several threads: with an arena for each thread and thresholds that grow with use most of it would stay with the process.
 */
const MALLOC = { MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '131072', MALLOC_MMAP_THRESHOLD_: '131072' };

export function vmEnvironment(): Record<string, string> {
  const kept = KEPT.flatMap((key) => (process.env[key] === undefined ? [] : [[key, process.env[key]]]));
  return { ...Object.fromEntries(kept), ...MALLOC };
}

/**
 * Options of V8 for a VM process. Each thread collects its own garbage: V8's workers, which would help, are busy optimising code for seconds on end, so that a collection
 * waited for them up to 60 ms and the compile thread spent a third of its time asking whether they had swept yet. Memory before speed: a collection also
 * empties pages that are a fifth free, not only those that hardly anything is in. Modules come and go by the thousand, and what they leave between what stays was a third of the machine
 * thread's heap. It would also make the room for young objects 1 MiB; that stays as it was for the threads (2 MiB).
 */
export const V8_OPTIONS = ['--single-threaded-gc', '--optimize-for-size', '--max-semi-space-size=2'];

/**
 * The same with Node's own, for a VM process that is a plain child of Node. Two threads optimise what was compiled (four by themselves): each takes tens of
 * megabytes, hundreds for the largest function, while it works.
 */
export const VM_OPTIONS = ['--v8-pool-size=2', ...V8_OPTIONS];
