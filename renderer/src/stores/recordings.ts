import { defineStore } from 'pinia';
import { computed, ref, shallowReactive } from 'vue';
import { ScreenRecording } from '../console/screenrecording.ts';
import { formatDuration } from '../composables/useformat.ts';
import { saveFile, timeForName } from '../composables/savefile.ts';
import { useConnection } from './connection.ts';
import { useMachines } from './machines.ts';
import { useNotices } from './notices.ts';

interface Entry {
  id: string;
  name: string;
  recording: ScreenRecording;
  startedAt: number;
}

/**
 * Videos of machines' screens that are under way. They look at the machine by themselves, so that they go on while other pages are shown; when the machine goes off
 * they end and are saved.
 */
export const useRecordings = defineStore('recordings', () => {
  const connection = useConnection();
  const machines = useMachines();
  const notices = useNotices();
  const running = shallowReactive(new Map<string, Entry>());
  const now = ref(Date.now());
  let ticks: ReturnType<typeof setInterval> | undefined;

  const available = () => ScreenRecording.available();
  const any = computed(() => running.size > 0);
  const seconds = (id: string) => {
    const entry = running.get(id);
    return entry ? Math.max(0, (now.value - entry.startedAt) / 1000) : 0;
  };

  const warn = (event: BeforeUnloadEvent) => event.preventDefault();

  async function start(id: string, name: string, viewer: string): Promise<void> {
    if (running.has(id)) return;
    try {
      const recording = await ScreenRecording.start({
        open: (hello) => connection.openChannel('rfb', id, hello),
        viewer,
        ended: () => void finish(id, 'toast.recordingEnded'),
        alive: () => ['running', 'paused', 'stopping'].includes(machines.get(id)?.state ?? 'off'),
      });
      running.set(id, { id, name, recording, startedAt: Date.now() });
    } catch (error) {
      notices.showError('recording', name, error);
      return;
    }
    now.value = Date.now();
    ticks ??= setInterval(() => (now.value = Date.now()), 500);
    window.addEventListener('beforeunload', warn);
  }

  /** Ends it; saves unless it is discarded. */
  async function finish(id: string, key: 'toast.recorded' | 'toast.recordingEnded' | null): Promise<void> {
    const entry = running.get(id);
    if (!entry) return;
    running.delete(id);
    if (running.size === 0) {
      clearInterval(ticks);
      ticks = undefined;
      window.removeEventListener('beforeunload', warn);
    }
    const time = formatDuration((Date.now() - entry.startedAt) / 1000);
    const video = await entry.recording.stop();
    if (key === null) return;
    saveFile(`${entry.name} ${timeForName()}.webm`, video, 'video/webm');
    notices.toast({ tone: 'success', key, params: { object: entry.name, time } });
  }

  return {
    running,
    any,
    available,
    seconds,
    start,
    stop: (id: string) => finish(id, 'toast.recorded'),
    discard: (id: string) => finish(id, null),
    /** A video that was thrown away can't come back. */
    async askDiscard(id: string): Promise<void> {
      const name = running.get(id)?.name ?? '';
      if (await notices.ask({ key: 'discardRecording', params: { name, time: formatDuration(seconds(id)) }, danger: true, lines: [] }))
        await finish(id, null);
    },
  };
});
