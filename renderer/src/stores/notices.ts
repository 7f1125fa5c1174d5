import { defineStore } from 'pinia';
import { ref, shallowRef } from 'vue';
import { ContractError } from '../../../core/contract/client.ts';
import type { ErrorDto } from '../../../core/contract/errors.ts';
import type { Task } from '../../../core/contract/host.ts';

/** A failed verb as the error dialog shows it. */
export interface Failure {
  /** Key under `failed.*`: what was tried. */
  what: string;
  /** To what: a machine's name or a file. */
  object: string;
  error: ErrorDto;
}

export interface Toast {
  id: number;
  tone: 'info' | 'success' | 'error';
  /** i18n key and its parameters. */
  key: string;
  params: Record<string, string | number>;
  /** Extra line, or the failure that it tells of. */
  detail: string | Pick<ErrorDto, 'message' | 'said'>;
  action: { key: string; run: () => void } | null;
}

export interface Unlock {
  /** Key under `unlock.*`. */
  what: 'machine' | 'volume' | 'drive';
  name: string;
  /** Rejects when the passphrase is wrong; the dialog stays then. */
  run: (passphrase: string) => Promise<void>;
}

export interface Question {
  /** Prefix of `title`, `text` and `confirm` under `confirm.*`. */
  key: string;
  params: Record<string, string | number>;
  danger: boolean;
  /** Further lines, such as the paths that are kept. */
  lines: string[];
  /** What the lines are; files that are kept when absent. */
  linesKey?: string;
  /** There is a third way, named by `other` under `confirm.*`. */
  other?: boolean;
  /** What the other way destroys is not to be done by accident. */
  otherDanger?: boolean;
}

export type Answer = 'yes' | 'other' | 'no';

const toastMs = 6_000;
const undoToastMs = 12_000;

/** Everything that interrupts: error dialog, confirmation, toasts. One at a time for the first two. */
export const useNotices = defineStore('notices', () => {
  const failure = shallowRef<Failure | null>(null);
  const question = shallowRef<(Question & { answer: (answer: Answer) => void }) | null>(null);
  /** What waits for a passphrase: the start of a machine, or work on a volume. */
  const unlock = shallowRef<Unlock | null>(null);
  const toasts = ref<Toast[]>([]);
  let nextId = 1;

  function showError(what: string, object: string, error: unknown): void {
    const dto = toDto(error);
    if (dto.kind === 'cancelled') return;
    failure.value = { what, object, error: dto };
  }

  async function ask(q: Question): Promise<boolean> {
    return (await choose(q)) === 'yes';
  }

  /** A question with a third way out. */
  function choose(q: Question): Promise<Answer> {
    question.value?.answer('no');
    return new Promise((resolve) => {
      question.value = {
        ...q,
        answer(answer) {
          question.value = null;
          resolve(answer);
        },
      };
    });
  }

  function toast(options: Partial<Toast> & { key: string }): void {
    const entry: Toast = { id: nextId++, tone: 'info', params: {}, detail: '', action: null, ...options };
    toasts.value = [...toasts.value.slice(-3), entry];
    setTimeout(() => dismiss(entry.id), entry.action ? undoToastMs : toastMs);
  }

  function dismiss(id: number): void {
    toasts.value = toasts.value.filter((entry) => entry.id !== id);
  }

  function taskFailed(task: Task): void {
    toast({ tone: 'error', key: 'toast.taskFailed', params: { object: task.object }, detail: task.error ?? '' });
  }

  return { failure, question, unlock, toasts, showError, ask, choose, toast, dismiss, taskFailed };
});

export function toDto(error: unknown): ErrorDto {
  if (error instanceof ContractError) return error.dto;
  return { kind: 'internal', message: error instanceof Error ? error.message : String(error), context: {} };
}
