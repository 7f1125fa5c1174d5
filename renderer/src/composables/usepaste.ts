import type { VmSummary } from '../../../core/contract/vm.ts';
import { useConnection } from '../stores/connection.ts';
import { useNotices } from '../stores/notices.ts';
import type { ConsolePreferences } from '../../../core/contract/consolesettings.ts';

/** Milliseconds between two keys. */
export const typingPaces: Record<ConsolePreferences['typingPace'], number> = { fast: 5, normal: 20, slow: 80 };
/** What is longer is looked at first, in the dialog, which also shows how far it has come. */
const dialogFrom = 200;

/** Types the host's clipboard into the guest. `show` opens the dialog with a text. */
export function usePaste(vm: () => VmSummary, pace: () => ConsolePreferences['typingPace'], show: (text: string) => void) {
  const connection = useConnection();
  const notices = useNotices();
  return async function paste(): Promise<void> {
    let text: string;
    try {
      text = await navigator.clipboard.readText();
    } catch {
      // Not allowed, or not there on plain HTTP: the dialog's field takes a paste by hand.
      notices.toast({ key: 'console.clipboard.denied' });
      show('');
      return;
    }
    if (text === '') notices.toast({ key: 'console.clipboard.empty' });
    else if (text.length > dialogFrom || text.includes('\n')) show(text);
    else
      try {
        await connection.call('vm.typeText', { id: vm().id, text, delayMs: typingPaces[pace()] });
      } catch (error) {
        notices.showError('paste', vm().name, error);
      }
  };
}
