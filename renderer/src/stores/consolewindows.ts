import { defineStore } from 'pinia';
import { shallowReactive } from 'vue';

type Message = { type: 'who' } | { type: 'here' | 'gone' | 'show' | 'close'; id: string };

const channelName = 'hypervue.consoles';
const placeKey = 'hypervue.consolewindow.';
const pollMs = 500;
const usual = { width: 1040, height: 840 };

interface Place {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Where the window of a machine's console was last; browsers and the desktop app put it there again. */
function placeOf(id: string): Partial<Place> & typeof usual {
  try {
    const { left, top, width, height } = JSON.parse(localStorage.getItem(placeKey + id) ?? '{}') as Partial<Place>;
    if ([left, top, width, height].every((value) => Number.isSafeInteger(value)) && width! >= 320 && height! >= 240)
      return { left: left!, top: top!, width: width!, height: height! };
  } catch {
    // As if there were none.
  }
  return usual;
}

/** Consoles that are in windows of their own. Windows of one app tell one another over a broadcast channel, so that this also holds after a reload. */
export const useConsoleWindows = defineStore('consolewindows', () => {
  const open = shallowReactive(new Set<string>());
  const handles = new Map<string, Window>();
  const channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel(channelName);
  /** Machine that this window itself shows alone. */
  let own: string | null = null;
  let poll: ReturnType<typeof setInterval> | undefined;

  const say = (message: Message) => channel?.postMessage(message);
  if (channel) {
    channel.onmessage = ({ data }: MessageEvent<Message>) => {
      if (data.type === 'who') {
        if (own) say({ type: 'here', id: own });
      } else if (data.type === 'here') open.add(data.id);
      else if (data.type === 'gone') forget(data.id);
      else if (data.id === own) {
        if (data.type === 'show') window.focus();
        else window.close();
      }
    };
    say({ type: 'who' });
  }

  function forget(id: string): void {
    open.delete(id);
    handles.delete(id);
  }

  /** A window that was killed says no goodbye. */
  function watch(): void {
    poll ??= setInterval(() => {
      for (const [id, handle] of handles) if (handle.closed) forget(id);
      if (handles.size > 0) return;
      clearInterval(poll);
      poll = undefined;
    }, pollMs);
  }

  /** False when the browser allows no window. */
  function detach(id: string): boolean {
    const place = placeOf(id);
    const features = Object.entries(place).map(([name, value]) => `${name}=${value}`);
    const { pathname, search } = window.location;
    const handle = window.open(`${pathname}${search}#/console/${id}`, `hypervue-console-${id}`, ['popup', ...features].join(','));
    if (!handle) return false;
    handles.set(id, handle);
    open.add(id);
    watch();
    return true;
  }

  function show(id: string): void {
    handles.get(id)?.focus();
    say({ type: 'show', id });
  }

  /** The console comes back to the page of its machine. */
  function back(id: string): void {
    handles.get(id)?.close();
    say({ type: 'close', id });
    forget(id);
  }

  /** This window is the console of that machine; until the function that is returned is called. */
  function become(id: string): () => void {
    own = id;
    say({ type: 'here', id });
    const goodbye = () => {
      say({ type: 'gone', id });
      const place: Place = { left: window.screenX, top: window.screenY, width: window.innerWidth, height: window.innerHeight };
      if (!document.fullscreenElement) localStorage.setItem(placeKey + id, JSON.stringify(place));
    };
    window.addEventListener('pagehide', goodbye);
    return () => {
      window.removeEventListener('pagehide', goodbye);
      goodbye();
      own = null;
    };
  }

  return { open, detach, show, back, become };
});
