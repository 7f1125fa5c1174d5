/**
 * Why a VM process ended by itself, told from its exit code or signal and from the last it wrote: V8's "Fatal error" blocks, Node's "FATAL ERROR" lines and
 * uncaught exceptions, and the C library's last words.
 */
import { HypervueError } from '../../util/errors.ts';
import { say, type Saying } from '../../util/say.ts';

/** Characters of a process's output kept to explain its end: V8 writes a trace of some thousand behind the reason. */
export const OUTPUT_KEPT = 16_000;
/** Longest reason quoted in a message. */
const REASON_MAX = 300;

/** How one kind of last words begins, the surest first; the first group is the reason. */
const REASONS: readonly RegExp[] = [
  // A check of V8's failed; the line above it says only where.
  /^# ((?:(?:Debug check|Check) failed|unreachable code|unimplemented code|Fatal process)\b.*)$/gim,
  /^# (Fatal error in .*)$/gm,
  /^FATAL ERROR: (.*)$/gm,
  /^((?:(?:malloc|calloc|realloc|free|munmap_chunk)\(\): |double free or corruption|corrupted |terminate called ).*)$/gm,
  /^(?:Uncaught )?((?:[A-Z]\w*)?Error(?: \[\w+\])?: .*)$/gm,
];

/** What the process itself said of its end; undefined when it said nothing of the kind. */
export function lastWords(output: string): string | undefined {
  for (const pattern of REASONS) {
    const reason = [...output.matchAll(pattern)].at(-1)?.[1]?.trim();
    if (reason) return reason.slice(0, REASON_MAX).replace(/\.$/, '');
  }
  return undefined;
}

/** Signals by which a program ends itself, or its processor's exceptions end it. */
const FAULTS = new Set(['SIGTRAP', 'SIGILL', 'SIGABRT', 'SIGSEGV', 'SIGBUS', 'SIGFPE']);

/** What may help, and how: by the user, since the cause lies beneath the machine. */
function wayOut(words: string | undefined, code: number | null, signal: string | null): Saying {
  if (/out of memory|bad_alloc|ENOMEM|Fatal process OOM/i.test(words ?? '') || /ENOMEM|EAGAIN/.test(signal ?? ''))
    return say('fixTooLittleMemory');
  if (signal === 'SIGKILL') return say('fixKilled');
  // Shells, containers and Electron tell a signal as 128 and its number: SIGILL 4, SIGTRAP 5, SIGABRT 6, SIGBUS 7, SIGSEGV 11.
  if (
    (signal && FAULTS.has(signal)) ||
    /^(Debug check|Check|Fatal|unreachable)/i.test(words ?? '') ||
    [132, 133, 134, 135, 139].includes(code ?? 0)
  )
    return say('fixEngineFault');
  return say('fixSeeLog');
}

/** The error of a machine whose process ended unasked with `code` or by `signal`, or could not be started for the reason in `signal`, after writing `output`. */
export function processEnded(name: string, code: number | null, signal: string | null, output: string): HypervueError {
  const words = lastWords(output);
  const started = !signal || /^SIG\w+$/.test(signal);
  const how = !signal
    ? say('howCode', { code: String(code) })
    : started
      ? say('howSignal', { signal })
      : say('howNotStarted', { reason: signal });
  const tail = output.trim().split('\n').slice(-3).join('\n');
  return new HypervueError(
    'vm-crashed',
    words && started ? say('processEndedSaying', { name, how, words }) : say('processEnded', { name, how }),
    { object: name, ...(code === null ? {} : { code }), ...(signal ? { signal } : {}), ...(tail ? { output: tail } : {}) },
    wayOut(words, code, signal),
  );
}
