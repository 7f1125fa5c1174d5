import { ref } from 'vue';
import type { ErrorDto } from '../../../core/contract/errors.ts';
import { toDto } from '../stores/notices.ts';

/** The one long step of a dialog: busy meanwhile, and a failure stays in the dialog with all answers. */
export function useSubmit() {
  const busy = ref(false);
  const failure = ref<ErrorDto | null>(null);

  /** True when it succeeded. */
  async function submit(work: () => Promise<void>): Promise<boolean> {
    if (busy.value) return false;
    busy.value = true;
    failure.value = null;
    try {
      await work();
      return true;
    } catch (error) {
      failure.value = toDto(error);
      return false;
    } finally {
      busy.value = false;
    }
  }

  return { busy, failure, submit };
}
