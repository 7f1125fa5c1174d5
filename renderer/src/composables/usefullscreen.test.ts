import { mount } from '@vue/test-utils';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { defineComponent, h } from 'vue';
import { useFullscreen } from './usefullscreen.ts';

/** The keyboard's lock as Chromium has it: refused, or held until it is given back or full screen ends. */
const calls: string[] = [];
let refuse = false;
let element: Element | null = null;

function change(next: Element | null): void {
  element = next;
  document.dispatchEvent(new Event('fullscreenchange'));
}

beforeEach(() => {
  calls.length = 0;
  refuse = false;
  element = null;
  vi.stubGlobal('navigator', {
    keyboard: {
      lock: async () => {
        calls.push('lock');
        if (refuse) throw new DOMException('no', 'NotAllowedError');
      },
      unlock: () => calls.push('unlock'),
    },
  });
  Object.defineProperty(document, 'fullscreenElement', { configurable: true, get: () => element });
  document.documentElement.requestFullscreen = async () => change(document.documentElement);
  document.exitFullscreen = async () => change(null);
});
afterEach(() => vi.unstubAllGlobals());

function open() {
  let made!: ReturnType<typeof useFullscreen>;
  const wrapper = mount(
    defineComponent(() => {
      made = useFullscreen(() => null);
      return () => h('div');
    }),
  );
  return { screen: made, close: () => wrapper.unmount() };
}

test('full screen takes the keys of the system, releasing the keyboard gives them back, and taking it again takes them again', async () => {
  const { screen, close } = open();
  await screen.enter();
  expect([screen.full.value, screen.locked.value, calls]).toEqual([true, true, ['lock']]);
  screen.unlock();
  expect([screen.locked.value, calls]).toEqual([false, ['lock', 'unlock']]);
  await screen.lockAgain();
  await screen.lockAgain();
  expect([screen.locked.value, calls]).toEqual([true, ['lock', 'unlock', 'lock']]);
  // Leaving by holding Esc, which the page hears of afterwards.
  change(null);
  expect([screen.full.value, screen.locked.value, calls.at(-1)]).toEqual([false, false, 'unlock']);
  await screen.lockAgain();
  expect(calls.filter((call) => call === 'lock')).toHaveLength(2);
  close();
});

test('a browser that refuses the keys, or has no such thing, is in full screen without them', async () => {
  refuse = true;
  const { screen, close } = open();
  await screen.enter();
  expect([screen.full.value, screen.locked.value]).toEqual([true, false]);
  close();
  vi.stubGlobal('navigator', {});
  const other = open();
  await other.screen.enter();
  expect([other.screen.canLock(), other.screen.full.value, other.screen.locked.value]).toEqual([false, true, false]);
  other.close();
});
