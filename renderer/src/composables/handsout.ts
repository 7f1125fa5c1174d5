import { useI18n } from 'vue-i18n';
import type { BootSource, NetworkStatus } from '../../../core/contract/networks.ts';

/** What a network hands out for machines to start from, in words. */
export function useHandsOut() {
  const { t } = useI18n();

  const sourceWords = ({ file, uefiFile, folder }: BootSource): string => {
    const files = uefiFile === undefined ? file : t('networks.boot.byFirmware', { file, uefiFile });
    return folder === null ? files : t('networks.boot.fileIn', { file: files, folder });
  };

  /** `good`: a machine on it finds something; null: others decide that. */
  function handsOut({ kind, dhcp, boot }: Pick<NetworkStatus, 'kind' | 'dhcp' | 'boot'>): { good: boolean | null; words: string } {
    if (boot) return { good: true, words: t('networks.boot.handsOut', { what: sourceWords(boot) }) };
    if (kind === 'bridged') return { good: null, words: t('networks.boot.bridged') };
    if (kind === 'nat') return { good: false, words: t('networks.boot.nothing') };
    return dhcp ? { good: false, words: t('networks.boot.never') } : { good: null, words: t('networks.boot.others') };
  }

  return { sourceWords, handsOut };
}
