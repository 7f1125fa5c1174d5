import type { Page } from 'playwright-core';
import { accessibilityProblems } from './accessibility.ts';

/** What a look at a page has to find in order, checked by the page's own geometry and by pixels. Each answers with one line a problem. */

/** Runs in the page. `nameOf` tells elements apart for people, `ringed` whether the browser draws something around the focused one. */
const HELPERS = `(() => {
  const nameOf = (el) => {
    const parts = [];
    for (let at = el; at && at !== document.body && parts.length < 3; at = at.parentElement) {
      const id = at.dataset.testid;
      parts.unshift(at.tagName.toLowerCase() + (id ? '#' + id : '') + [...at.classList].slice(0, 3).map((c) => '.' + c).join(''));
      if (id) break;
    }
    return parts.join(' > ');
  };
  const shown = (el) => {
    const box = el.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && el.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !el.closest('[inert], [aria-hidden="true"]');
  };
  const visited = new WeakSet();
  window.__hypervueFocus = {
    nameOf,
    /** The focused element: 'body', 'again' when it has been seen, or what there is to know of it. */
    next() {
      const el = document.activeElement;
      if (!el || el === document.body) return 'body';
      if (visited.has(el)) return 'again ' + nameOf(el);
      visited.add(el);
      // A ring that a pseudo-element draws lies around the place that this fills.
      const ring = getComputedStyle(el, '::after').position === 'absolute' && el.offsetParent;
      // A control that only screen readers see is shown by its label.
      const tile = el.getBoundingClientRect().width <= 1 && el.labels?.[0];
      const box = (tile || ring || el).getBoundingClientRect();
      return { name: nameOf(el), x: box.x, y: box.y, width: box.width, height: box.height, keeps: el.closest('[data-takes-keys], .xterm') !== null || el.tagName === 'CANVAS' };
    },
    /** What Tab should have come to and did not. Of radio buttons with one name it comes to one only. */
    missed() {
      const modal = [...document.querySelectorAll('[role=dialog], [role=alertdialog]')].filter((el) => el.getAttribute('aria-modal') === 'true' && shown(el)).at(-1);
      const focusable = 'a[href], button:enabled, input:enabled, select:enabled, textarea:enabled, [tabindex]';
      return [...(modal ?? document).querySelectorAll(focusable)]
        .filter((el) => el.tabIndex >= 0 && shown(el) && !visited.has(el) && el.type !== 'radio')
        .map(nameOf);
    },
  };
})()`;

interface Focused {
  name: string;
  x: number;
  y: number;
  width: number;
  height: number;
  /** It takes Tab for itself (an editor, a guest's screen), and has a key of its own that leads out. */
  keeps: boolean;
}

/** More stops than any page of ours has. */
const MAX_STOPS = 300;
/** Of these backwards, where Tab alone missed something. */
const MAX_BACK = 40;
/** Room for the ring around an element, CSS pixels. */
const RING = 6;

/**
 * Goes through the page with Tab: each stop has to look different with the focus than without, none may hold the keyboard, and every control has to be a
 * stop, forwards or backwards. Stops whose names are in `seen` are not compared again.
 */
export async function focusProblems(page: Page, seen: Set<string>): Promise<string[]> {
  const problems: string[] = [];
  await page.evaluate(HELPERS);
  // A place may begin with the focus somewhere: the way of Tab begins there too.
  const first = await page.evaluate<Focused | string>('window.__hypervueFocus.next()');
  if (typeof first !== 'string' && first.keeps) await page.evaluate('document.activeElement.blur()');
  let bodies = 0;
  for (let stop = 0; ; stop++) {
    if (stop === MAX_STOPS) return [...problems, `no end of stops after ${MAX_STOPS}`];
    await page.keyboard.press('Tab');
    const at = await page.evaluate<Focused | string>('window.__hypervueFocus.next()');
    if (at === 'body' && ++bodies < 2) continue;
    if (typeof at === 'string') {
      // Round once: back at the first stop, or out of the page twice.
      break;
    }
    if (!seen.has(at.name)) {
      seen.add(at.name);
      if (!(await looksFocused(page, at))) problems.push(`no visible focus: ${at.name}`);
    }
    if (at.keeps) {
      // The ways out that the page tells of.
      await page.keyboard.press('Escape');
      await page.keyboard.down('Control');
      await page.keyboard.down('Alt');
      await page.keyboard.up('Alt');
      await page.keyboard.up('Control');
    }
  }
  const missed = () => page.evaluate<string[]>('window.__hypervueFocus.missed()');
  // From the end of a dialog Tab goes to its first field; the cross before that is there backwards.
  for (let back = 0; back < MAX_BACK && (await missed()).length; back++) {
    await page.keyboard.press('Shift+Tab');
    await page.evaluate('window.__hypervueFocus.next()');
  }
  return [...problems, ...(await missed()).map((name) => `not reached by Tab: ${name}`)];
}

/** Compares the pixels around the focused element with those after it lost the focus, which it gets back. */
async function looksFocused(page: Page, { x, y, width, height }: Focused): Promise<boolean> {
  const view = page.viewportSize()!;
  const left = Math.max(0, x - RING);
  const top = Math.max(0, y - RING);
  const clip = {
    x: left,
    y: top,
    width: Math.min(view.width, x + width + RING) - left,
    height: Math.min(view.height, y + height + RING) - top,
  };
  // Outside of the window it can't be seen at all.
  if (clip.width < 1 || clip.height < 1) return false;
  const focused = await page.screenshot({ clip });
  await page.evaluate('window.__hypervueLast = document.activeElement; window.__hypervueLast.blur()');
  const blurred = await page.screenshot({ clip });
  await page.evaluate('window.__hypervueLast.focus({ preventScroll: true, focusVisible: true })');
  return !focused.equals(blurred);
}

/** The page, or its main part, is wider than its place. Tables and program text scroll by themselves, in boxes that are no scroller of the page. */
export function overflowProblems(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(`(() => {
    const found = [];
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) found.push('the window scrolls sideways by ' + (root.scrollWidth - root.clientWidth) + ' px');
    for (const el of document.body.querySelectorAll('*')) {
      if (el.scrollWidth <= el.clientWidth + 1 || el.clientHeight < 300 || el.closest('pre, code, .xterm, .cm-editor, [role=table], [role=grid]') || el.querySelector(':scope table')) continue;
      if (['auto', 'scroll'].includes(getComputedStyle(el).overflowX)) found.push('scrolls sideways by ' + (el.scrollWidth - el.clientWidth) + ' px: ' + el.tagName.toLowerCase() + '.' + el.className);
    }
    return found;
  })()`);
}

/** Whether anything would still move, with the system asking for less motion. */
export function motionProblems(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(`(() => {
    const found = new Set();
    const longest = (text) => Math.max(...text.split(',').map((each) => parseFloat(each) * (each.trim().endsWith('ms') ? 1 : 1000)));
    for (const el of document.body.querySelectorAll('*')) {
      for (const part of [undefined, '::before', '::after']) {
        const style = getComputedStyle(el, part);
        if (part && style.content === 'none') continue;
        for (const what of ['transitionDuration', 'animationDuration'])
          if (longest(style[what]) > 10) found.add(what + ' ' + style[what] + ': ' + el.tagName.toLowerCase() + '.' + [...el.classList].join('.') + (part ?? ''));
      }
    }
    return [...found];
  })()`);
}

/** All of them, and WCAG. */
export async function placeProblems(page: Page, seen: Set<string>): Promise<string[]> {
  return [
    ...(await overflowProblems(page)),
    ...(await motionProblems(page)),
    ...(await accessibilityProblems(page)),
    // Last: it leaves the page with the focus elsewhere.
    ...(await focusProblems(page, seen)),
  ];
}
