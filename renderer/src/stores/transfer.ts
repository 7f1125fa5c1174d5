import { defineStore } from 'pinia';
import { shallowRef } from 'vue';
import type { VmSummary } from '../../../core/contract/vm.ts';

export type TransferDialog = { kind: 'clone' | 'export'; vm: VmSummary } | { kind: 'import'; path?: string };

/** Which of the dialogs that copy whole machines is open; they can be called from every page. */
export const useTransfer = defineStore('transfer', () => {
  const dialog = shallowRef<TransferDialog | null>(null);
  return {
    dialog,
    open: (kind: 'clone' | 'export', vm: VmSummary) => {
      dialog.value = { kind, vm };
    },
    /** `path`: an OVA file, or the folder of a machine. */
    openImport: (path?: string) => {
      dialog.value = path === undefined ? { kind: 'import' } : { kind: 'import', path };
    },
    close: () => {
      dialog.value = null;
    },
  };
});
