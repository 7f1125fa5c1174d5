import { onBeforeUnmount, ref } from 'vue';
import type { ErrorDto } from '../../../core/contract/errors.ts';
import { toDto, useNotices } from '../stores/notices.ts';
import { asksForPassphrase } from './passphrase.ts';

/** The one long step of a dialog: busy meanwhile, and a failure stays in the dialog with all answers. */
export function useSubmit() {
  const notices = useNotices();
  let closed = false;
  onBeforeUnmount(() => {
    closed = true;
  });
  const busy = ref(false);
  const failure = ref<ErrorDto | null>(null);
  /** True once the step turned out to need the passphrase of an encrypted image: the dialog then shows a field for it. */
  const locked = ref(false);
  const passphrase = ref('');

  /** True when it succeeded. `secret` has the passphrase, if one was typed. */
  async function submit(work: (secret: { passphrase?: string }) => Promise<void>): Promise<boolean> {
    if (busy.value) return false;
    busy.value = true;
    failure.value = null;
    try {
      await work(passphrase.value ? { passphrase: passphrase.value } : {});
      return true;
    } catch (error) {
      const dto = toDto(error);
      locked.value ||= asksForPassphrase(dto);
      // That it was cancelled is no news to who cancelled it.
      if (dto.kind === 'cancelled') return false;
      failure.value = dto;
      // The dialog was closed meanwhile: its owner still has to hear of it.
      if (closed) notices.toast({ tone: 'error', key: 'toast.failedMeanwhile', detail: dto });
      return false;
    } finally {
      busy.value = false;
    }
  }

  return { busy, failure, submit, locked, passphrase };
}
