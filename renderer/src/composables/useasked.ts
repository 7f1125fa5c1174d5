import { watch } from 'vue';
import { useRouter } from 'vue-router';
import { useTasks } from '../stores/tasks.ts';
import { useTransfer } from '../stores/transfer.ts';

/** Dialogs and panels that an address asks for: those that files, links and notifications of the desktop app lead to. */
export function useAsked(): void {
  const router = useRouter();
  const transfer = useTransfer();
  const tasks = useTasks();
  watch(
    () => router.currentRoute.value.query,
    ({ import: path, activity, ...rest }) => {
      if (path === undefined && activity === undefined) return;
      if (typeof path === 'string') transfer.openImport(path);
      if (activity === '1') tasks.panelOpen = true;
      // Going back must not ask again.
      void router.replace({ query: rest });
    },
  );
}
