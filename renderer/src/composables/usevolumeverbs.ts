import { ref, shallowRef } from 'vue';
import { useI18n } from 'vue-i18n';
import type { Volume } from '../../../core/contract/storage.ts';
import { useConnection } from '../stores/connection.ts';
import { useMachines } from '../stores/machines.ts';
import { toDto, useNotices } from '../stores/notices.ts';
import { useTasks } from '../stores/tasks.ts';
import { useTrash } from '../stores/trash.ts';
import { asksForPassphrase } from './passphrase.ts';
import { useFiles } from './usefiles.ts';
import { useFormat } from './useformat.ts';
import { useRight } from './useright.ts';
import { type VolumeVerb, volumeReason } from './volumeverbs.ts';

export type VolumeDialogKind = Exclude<VolumeVerb, 'delete' | 'commit' | 'compact' | 'detach' | 'download'>;

/** Carries the verbs of volumes out: asks before those that change or remove something, opens dialogs for those that need answers. */
export function useVolumeVerbs() {
  const connection = useConnection();
  const machines = useMachines();
  const notices = useNotices();
  const tasks = useTasks();
  const trash = useTrash();
  const files = useFiles();
  const format = useFormat();
  const { t } = useI18n();
  /** The dialog that is open, and for what. */
  const dialog = ref<VolumeDialogKind | null>(null);
  const target = shallowRef<Volume | null>(null);

  const right = useRight();
  const isTemplate = (id: string) => machines.get(id)?.config?.template === true;
  function reason(verb: VolumeVerb, volume: Volume): string | null {
    const refused = right(verb === 'clone' ? 'storage.convert' : `storage.${verb}`);
    if (refused !== null) return refused;
    if (verb === 'download' && !files.possible()) return t('storage.reason.here');
    const why = volumeReason(verb, volume, isTemplate);
    return why && t(`storage.reason.${why.key}`, { name: why.name });
  }

  async function run(verb: VolumeVerb, volume: Volume): Promise<void> {
    if (reason(verb, volume) !== null) return;
    switch (verb) {
      case 'delete':
        return remove(volume);
      case 'download':
        return files.download(volume.path, volume.name);
      case 'commit':
        return attempt('volumeCommit', volume, { below: volume.below[0]!.path }, async (secret) => {
          await tasks.showDuring(() => connection.call('storage.commit', { path: volume.path, ...secret }));
          notices.toast({ key: 'toast.volumeCommitted', tone: 'success', params: { name: volume.name } });
        });
      case 'compact':
        return attempt('volumeCompact', volume, {}, async (secret) => {
          const { beforeBytes, afterBytes } = await tasks.showDuring(() =>
            connection.call('storage.compact', { path: volume.path, ...secret }),
          );
          const size = format.bytes(Math.max(0, beforeBytes - afterBytes));
          notices.toast({ key: 'toast.volumeCompacted', tone: 'success', params: { name: volume.name, size } });
        });
      case 'detach': {
        const machine = volume.usedBy.find(({ kind }) => kind === 'machine')!;
        return attempt('volumeDetach', volume, { machine: machine.name }, async () => {
          const { waits } = await connection.call('storage.detach', { path: volume.path, machine: machine.id! });
          notices.toast({
            key: waits ? 'toast.detachedNextStart' : 'toast.detached',
            params: { name: volume.name, machine: machine.name },
          });
        });
      }
      default:
        target.value = volume;
        dialog.value = verb;
    }
  }

  async function attempt(
    key: 'volumeDelete' | 'volumeCommit' | 'volumeCompact' | 'volumeDetach',
    volume: Volume,
    params: Record<string, string>,
    work: (secret: { passphrase?: string }) => Promise<void>,
  ): Promise<void> {
    if (!(await notices.ask({ key, params: { name: volume.name, ...params }, danger: key !== 'volumeCompact', lines: [] }))) return;
    try {
      await work({});
    } catch (error) {
      if (asksForPassphrase(toDto(error))) {
        notices.unlock = { what: 'volume', name: volume.name, run: (passphrase) => work({ passphrase }) };
        return;
      }
      notices.showError(key, volume.name, error);
    }
  }

  function remove(volume: Volume): Promise<void> {
    return attempt('volumeDelete', volume, { path: volume.path, size: format.bytes(volume.allocatedBytes) }, async () => {
      const { trashId } = await connection.call('storage.delete', { path: volume.path });
      notices.toast({
        key: 'toast.deleted',
        params: { name: volume.name },
        action: { key: 'common.undo', run: () => void trash.restore(trashId, volume.name) },
      });
    });
  }

  return { dialog, target, reason, run };
}
