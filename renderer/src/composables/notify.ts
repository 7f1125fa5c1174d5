import { ref } from 'vue';

/** Notifications of this browser: whether somebody wants them here. Electron has its own, and never asks this. */
const storageKey = 'hypervue.notify';

export type NotifyState = 'on' | 'off' | 'denied' | 'unsupported';

export const notifyState = ref<NotifyState>(read());

function read(): NotifyState {
  if (typeof Notification === 'undefined' || !window.isSecureContext) return 'unsupported';
  if (Notification.permission === 'denied') return 'denied';
  return Notification.permission === 'granted' && localStorage.getItem(storageKey) === '1' ? 'on' : 'off';
}

/** Asks the browser; only ever after a click. */
export async function setNotify(on: boolean): Promise<void> {
  if (notifyState.value === 'unsupported') return;
  if (on) {
    const answer = Notification.permission === 'granted' ? 'granted' : await Notification.requestPermission();
    if (answer === 'granted') localStorage.setItem(storageKey, '1');
  } else localStorage.removeItem(storageKey);
  notifyState.value = read();
}

/** Shows it when nobody looks at this page. `open` runs when it is clicked. */
export function notify(title: string, body: string, open: () => void): void {
  if (notifyState.value !== 'on' || document.hasFocus()) return;
  try {
    const shown = new Notification(title, { body: body.slice(0, 200) });
    shown.onclick = () => {
      window.focus();
      open();
      shown.close();
    };
  } catch {
    // Browsers of telephones have them for service workers only.
    notifyState.value = 'unsupported';
  }
}
