import { MAILBOX_BASE } from './layout.ts';

/**
 * Words that other threads use to reach the machine thread. Indices into an Int32Array over MAILBOX_BASE.
 * Structured messages travel over a MessagePort that the machine thread polls; PENDING tells it to look.
 */
export const MB_PENDING = 0;
/** Nonzero makes the accelerator leave `run` at the next instruction boundary. Byte address: MAILBOX_BASE + 4. */
export const MB_EXIT_REQUEST = 1;
/** Machine thread sets 1 while it sleeps in Atomics.wait. */
export const MB_SLEEPING = 2;
/** Count of attached viewers: the VGA publishes more often while nonzero. */
export const MB_VIEWERS = 3;
/** Calls of devices by the guest's processor, modulo 2^32; written by the machine thread alone. */
export const MB_DEVICE_CALLS = 4;

export class Mailbox {
  readonly words: Int32Array;

  constructor(memory: WebAssembly.Memory) {
    this.words = new Int32Array(memory.buffer, MAILBOX_BASE, 1024);
  }

  /** From any thread: there is a message; leave guest code or wake up. */
  ring(): void {
    Atomics.add(this.words, MB_PENDING, 1);
    Atomics.store(this.words, MB_EXIT_REQUEST, 1);
    Atomics.notify(this.words, MB_PENDING);
  }

  /** Machine thread: true when something was rung since the last call. */
  take(): boolean {
    Atomics.store(this.words, MB_EXIT_REQUEST, 0);
    return Atomics.exchange(this.words, MB_PENDING, 0) !== 0;
  }

  /** Machine thread: sleeps until rung or `timeoutMs` passed (undefined: no limit). */
  wait(timeoutMs: number | undefined): void {
    Atomics.wait(this.words, MB_PENDING, 0, timeoutMs);
  }
}
