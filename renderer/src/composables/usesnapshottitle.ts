import { useI18n } from 'vue-i18n';
import type { Snapshot } from '../../../core/contract/snapshots.ts';

/** What a snapshot is called: automatic ones what they were taken before, in the reader's language. */
export function useSnapshotTitle() {
  const { t } = useI18n();
  return ({ automatic, name }: Pick<Snapshot, 'automatic' | 'name'>): string => (automatic ? t(`snapshots.risk.${automatic}`) : name);
}
