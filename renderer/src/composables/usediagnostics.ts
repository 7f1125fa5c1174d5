import { computed, onBeforeUnmount, ref, shallowRef } from 'vue';
import { useI18n } from 'vue-i18n';
import { type Diagnostic, type DiagnosticId, type DiagnosticState, diagnosticStates } from '../../../core/contract/diagnostics.ts';
import { useConnection } from '../stores/connection.ts';
import { useHost } from '../stores/host.ts';
import { useNotices } from '../stores/notices.ts';
import { useSaid } from './usesaid.ts';
import { windowChecks } from './windowchecks.ts';

export interface DiagnosticRow {
  id: string;
  name: string;
  text: string;
  state: DiagnosticState;
  message: string;
  how: string;
  /** Null when nothing can be mended from here. */
  fix: DiagnosticId | null;
}

/** The checks of the host and of this window, the worst first, and a report of them for others to read. */
export function useDiagnostics() {
  const connection = useConnection();
  const notices = useNotices();
  const host = useHost();
  const { t } = useI18n();
  const say = useSaid();
  const found = shallowRef<Diagnostic[] | null>(null);
  const busy = ref(false);

  async function look(): Promise<void> {
    if (busy.value) return;
    busy.value = true;
    try {
      found.value = await connection.call('host.diagnose', {});
    } catch (error) {
      notices.showError('diagnose', '', error);
    } finally {
      busy.value = false;
    }
  }

  async function mend(id: DiagnosticId): Promise<void> {
    const name = t(`diagnostics.check.${id}.name`);
    try {
      const mended = await connection.call('host.fix', { id });
      found.value = (found.value ?? []).map((each) => (each.id === id ? mended : each));
      if (mended.state === 'ok') notices.toast({ key: 'diagnostics.fixed', tone: 'success', params: { name } });
    } catch (error) {
      notices.showError('fix', name, error);
    }
  }

  // A page that was opened by its address is there before the connection.
  onBeforeUnmount(connection.onReady(() => void look()));

  const worst = (state: DiagnosticState) => diagnosticStates.indexOf(state);
  const rows = computed<DiagnosticRow[]>(() => {
    if (!found.value) return [];
    const words = (id: string) => ({ name: t(`diagnostics.check.${id}.name`), text: t(`diagnostics.check.${id}.text`) });
    return [
      ...found.value.map(({ id, state, message, how, fixable, said, saidHow }) => ({
        id,
        ...words(id),
        state,
        message: say(message, said),
        how: how ? say(how, saidHow) : '',
        fix: fixable ? id : null,
      })),
      ...windowChecks().map(({ id, state, detail, name, how }) => ({
        id,
        ...words(id),
        state,
        message: detail ? t(`diagnostics.${detail}`, { name }) : name,
        how: how ? t(`diagnostics.${how}`) : '',
        fix: null,
      })),
    ].sort((a, b) => worst(b.state) - worst(a.state));
  });
  const overall = computed<DiagnosticState>(() => rows.value[0]?.state ?? 'ok');
  const problems = computed(() => rows.value.filter(({ state }) => state === 'warning' || state === 'error').length);
  const report = computed(() =>
    [
      `Hypervue ${host.info?.version ?? '?'} (${host.info?.mode ?? '?'}), ${new Date().toISOString()}`,
      `window: ${navigator.userAgent}`,
      ...(found.value ?? []).map(({ id, state, message, how }) => `[${state}] ${id}: ${message}${how ? ` -> ${how}` : ''}`),
      ...windowChecks().map(({ id, state, name }) => `[${state}] ${id}: ${name}`),
    ].join('\n'),
  );

  return { found, busy, rows, overall, problems, report, look, mend };
}
