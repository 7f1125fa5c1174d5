import { ref } from 'vue';

/** Copies text; `copied` is true for a moment afterwards. */
export function useCopy() {
  const copied = ref(false);
  async function copy(text: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // No clipboard API outside secure contexts: the old way.
      const area = document.createElement('textarea');
      area.value = text;
      area.style.position = 'fixed';
      area.style.opacity = '0';
      document.body.append(area);
      area.select();
      document.execCommand('copy');
      area.remove();
    }
    copied.value = true;
    setTimeout(() => (copied.value = false), 1500);
  }
  return { copied, copy };
}
