import { computed, onScopeDispose, ref, watch } from 'vue';
import type { ViewerHello, Viewers, ViewingAction } from '../../../core/contract/console.ts';
import { useConnection } from '../stores/connection.ts';
import { useNotices } from '../stores/notices.ts';
import { useSettings } from '../stores/settings.ts';

/** Who looks at a machine beside this window, and what this window may do. `connected` tells that its own picture is open. */
export function useViewers(vm: () => { id: string; name: string }, connected: () => boolean) {
  const connection = useConnection();
  const notices = useNotices();
  const settings = useSettings();
  const key = secret();
  const all = ref<Viewers>({ viewers: [], holder: null });
  const you = ref<string | null>(null);
  /** What was chosen here, for the next connection too. */
  const looking = ref(false);

  const me = computed(() => all.value.viewers.find(({ id }) => id === you.value) ?? null);
  const others = computed(() => all.value.viewers.filter(({ id }) => id !== you.value));
  const holder = computed(() => all.value.viewers.find(({ id }) => id === all.value.holder) ?? null);
  /** Another one has keyboard and mouse alone. */
  const lockedOut = computed(() => holder.value !== null && you.value !== null && holder.value.id !== you.value);
  /** Who waits for this window's answer. */
  const askers = computed(() => (me.value !== null && all.value.holder === me.value.id ? others.value.filter(({ asking }) => asking) : []));

  async function refresh(): Promise<void> {
    try {
      const answer = await connection.call('vm.viewers', { id: vm().id, key });
      you.value = answer.you;
      all.value = { viewers: answer.viewers, holder: answer.holder };
    } catch {
      // It went off meanwhile; the console shows that.
    }
  }

  async function act(action: ViewingAction, viewer?: string): Promise<void> {
    if (action === 'look') looking.value = true;
    else if (action === 'share' || action === 'hold' || action === 'ask') looking.value = false;
    try {
      await connection.call('vm.setViewing', { id: vm().id, key, action, ...(viewer === undefined ? {} : { viewer }) });
    } catch (error) {
      notices.showError('viewing', vm().name, error);
    }
  }

  const stop = connection.on('vm.viewersChanged', ({ id, ...viewers }) => {
    if (id !== vm().id) return;
    all.value = viewers;
    // After a connection of our own it is not known yet who we are.
    if (connected() && !viewers.viewers.some((each) => each.id === you.value)) void refresh();
  });
  onScopeDispose(stop);
  watch(connected, (is) => {
    if (is) void refresh();
    else you.value = null;
  });
  watch(
    () => vm().id,
    () => (all.value = { viewers: [], holder: null }),
  );

  const hello = (): ViewerHello => ({ key, name: settings.current.viewerName || programName(), looking: looking.value, recording: false });
  return { all, me, others, holder, lockedOut, askers, looking, hello, act };
}

const secret = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

/** What tells windows apart when nobody gave them a name: `Chrome, Linux`. */
export function programName(agent = navigator.userAgent): string {
  const program =
    (/Electron\//.test(agent) && 'Hypervue') ||
    (/Edg\//.test(agent) && 'Edge') ||
    (/Firefox\//.test(agent) && 'Firefox') ||
    (/Chrom(e|ium)\//.test(agent) && 'Chrome') ||
    (/Safari\//.test(agent) && 'Safari') ||
    'Browser';
  const system =
    (/Windows/.test(agent) && 'Windows') ||
    (/Android/.test(agent) && 'Android') ||
    (/iPhone|iPad/.test(agent) && 'iOS') ||
    (/Mac OS X/.test(agent) && 'macOS') ||
    (/Linux/.test(agent) && 'Linux');
  return system ? `${program}, ${system}` : program;
}
