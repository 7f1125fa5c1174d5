import { useI18n } from 'vue-i18n';
import type { MethodName } from '../../../core/contract/methods.ts';
import { useAccess } from '../stores/access.ts';

/** Why our token's role does not let us call a method, for the tooltip of what would; null when it does. */
export function useRight(): (method: MethodName) => string | null {
  const access = useAccess();
  const { t } = useI18n();
  return (method) => (access.may(method) ? null : t('verbs.reason.role'));
}
