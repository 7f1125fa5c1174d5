import { ref, shallowRef } from 'vue';
import type { ScreenText } from '../../../core/contract/console.ts';
import type { VmSummary } from '../../../core/contract/vm.ts';
import type { RecognizedLine } from '../console/ocr.ts';
import { type Area, copyPng, cutPng, pngBytes } from '../console/pictures.ts';
import { useConnection } from '../stores/connection.ts';
import { useNotices } from '../stores/notices.ts';
import { saveFile, timeForName } from './savefile.ts';
import { useCopy } from './usecopy.ts';

/** The guest's picture of one moment, over its canvas. */
export interface Still {
  canvas: HTMLElement;
  url: string;
  png: Blob;
  width: number;
  height: number;
  text: ScreenText | null;
}

/** Screenshots, parts of the picture and text on it. Pictures come from the machine itself, exact to the pixel, whatever the viewer's compression makes of them. */
export function usePictureSelection(vm: () => VmSummary, canvas: () => HTMLCanvasElement | null) {
  const connection = useConnection();
  const notices = useNotices();
  const { copy } = useCopy();
  const mode = ref<'region' | 'text' | 'recognized' | null>(null);
  /** Words of a graphical screen; null while they are looked for. */
  const lines = shallowRef<RecognizedLine[] | null>(null);
  const progress = ref(0);
  const still = shallowRef<Still | null>(null);

  async function picture(): Promise<{ png: Blob; width: number; height: number }> {
    const { png, width, height } = await connection.call('vm.screenshot', { id: vm().id });
    return { png: new Blob([pngBytes(png)], { type: 'image/png' }), width, height };
  }

  function close(): void {
    if (still.value) URL.revokeObjectURL(still.value.url);
    still.value = null;
    mode.value = null;
  }

  async function open(next: 'region' | 'text' | 'recognized', text: ScreenText | null): Promise<void> {
    const shown = await picture();
    const element = canvas();
    close();
    if (!element) return;
    mode.value = next;
    still.value = { canvas: element, url: URL.createObjectURL(shown.png), text, ...shown };
  }

  async function openText(): Promise<void> {
    try {
      const text = await connection.call('vm.screenText', { id: vm().id });
      if (text) await open('text', text);
      else await recognizeText();
    } catch (error) {
      close();
      notices.showError('screenText', vm().name, error);
    }
  }

  /** A graphical screen has only pixels: its words are read from them. */
  async function recognizeText(): Promise<void> {
    lines.value = null;
    progress.value = 0;
    await open('recognized', null);
    const shown = still.value;
    if (!shown) return;
    const { recognize } = await import('../console/ocr.ts');
    const found = await recognize(shown.png, (share) => (progress.value = share));
    // It was closed, or another picture is shown meanwhile.
    if (still.value === shown) lines.value = found;
  }

  const save = (png: Blob) => saveFile(`${vm().name} ${timeForName()}.png`, png, 'image/png');

  async function toClipboard(png: Blob): Promise<void> {
    await copyPng(png);
    notices.toast({ key: 'toast.pictureCopied' });
  }

  /** Tells of what goes wrong. */
  async function trying(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      notices.showError('screenshot', vm().name, error);
    }
  }

  return {
    mode,
    still,
    lines,
    progress,
    close,
    openText,
    screenshot: (what: 'save' | 'copy' | 'region') =>
      trying(async () => {
        if (what === 'region') await open('region', null);
        else if (what === 'save') save((await picture()).png);
        else await toClipboard((await picture()).png);
      }),
    saveArea: (area: Area) =>
      trying(async () => {
        if (still.value) save(await cutPng(still.value.png, area));
        close();
      }),
    copyArea: (area: Area) =>
      trying(async () => {
        if (still.value) await toClipboard(await cutPng(still.value.png, area));
        close();
      }),
    async copyText(text: string): Promise<void> {
      await copy(text);
      notices.toast({ key: 'toast.textCopied', params: { n: text.length } });
    },
  };
}
