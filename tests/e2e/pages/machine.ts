import type { Locator, Page } from 'playwright-core';
import { PNG } from 'pngjs';
import type { State } from './machines.ts';

/** The part of HTMLCanvasElement used here: tests are type-checked for Node, without the DOM. */
interface GuestCanvas {
  width: number;
  height: number;
  toDataURL(type: string): string;
}

interface SizedElement {
  getBoundingClientRect(): { width: number; height: number };
  parentElement: SizedElement;
}

/** What a US keyboard gives with Shift, and without. */
const SHIFTED: Readonly<Record<string, string>> = Object.fromEntries(
  [...'~!@#$%^&*()_+{}|:"<>?'].map((character, index) => [character, "`1234567890-=[]\\;',./"[index]!]),
);

export type Tab = 'machine' | 'console' | 'serial' | 'hardware' | 'performance' | 'log';

/** The page of one machine with its tabs. */
export class MachinePage {
  private readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  async tab(name: Tab): Promise<void> {
    await this.page.getByTestId(`tab-${name}`).click();
  }

  async waitForState(state: State, timeout = 30_000): Promise<void> {
    await this.page.locator(`[data-testid="machine-page"][data-state="${state}"]`).waitFor({ timeout });
  }

  async verb(verb: 'start' | 'pause' | 'resume' | 'shutdown' | 'reset'): Promise<void> {
    await this.page.getByTestId('machine-page').getByTestId(`${verb}-button`).first().click();
  }

  async menu(verb: 'forceOff' | 'delete'): Promise<void> {
    await this.page.getByTestId('more-button').click();
    await this.page.getByTestId(`menu-${verb}`).click();
  }

  get canvas(): Locator {
    return this.page.getByTestId('console-canvas');
  }

  /** Waits until noVNC shows a picture, then gives it the keyboard. */
  async focusConsole(): Promise<void> {
    await this.canvas.waitFor();
    const deadline = Date.now() + 15_000;
    while ((await this.canvas.evaluate((canvas) => (canvas as unknown as GuestCanvas).width)) === 0) {
      if (Date.now() > deadline) throw new Error('the console shows no picture');
      await this.page.waitForTimeout(50);
    }
    await this.canvas.focus();
  }

  /** Types on the browser's keyboard, through noVNC: keys of a US keyboard with Shift held where a person holds it. */
  async type(text: string, delay = 20): Promise<void> {
    await this.focusConsole();
    for (const character of text) {
      const unshifted = SHIFTED[character] ?? (/[A-Z]/.test(character) ? character.toLowerCase() : undefined);
      if (unshifted !== undefined) await this.page.keyboard.down('Shift');
      await this.page.keyboard.press(unshifted ?? character, { delay: delay / 2 });
      if (unshifted !== undefined) await this.page.keyboard.up('Shift');
      await this.page.waitForTimeout(delay / 2);
    }
  }

  async press(key: string): Promise<void> {
    await this.focusConsole();
    await this.page.keyboard.press(key);
  }

  /** Chooses how large the picture is; gives false where that choice is disabled. */
  async scale(how: 'fit' | 'exact' | 'follow'): Promise<boolean> {
    await this.page.getByTestId('scale').click();
    const choice = this.page.getByTestId(`scale-${how}`);
    await choice.waitFor();
    const possible = await choice.isEnabled();
    if (possible) await choice.check();
    await this.page.keyboard.press('Escape');
    await choice.waitFor({ state: 'detached' });
    return possible;
  }

  /** Size of the picture in guest pixels, and of the canvas and its window in pixels of the screen. */
  async sizes(): Promise<{ picture: [number, number]; canvas: [number, number]; room: [number, number] }> {
    return this.canvas.evaluate((element) => {
      const canvas = element as unknown as GuestCanvas & SizedElement;
      const ratio = (globalThis as unknown as { devicePixelRatio: number }).devicePixelRatio;
      const size = ({ width, height }: { width: number; height: number }): [number, number] => [width * ratio, height * ratio];
      return {
        picture: [canvas.width, canvas.height],
        canvas: size(canvas.getBoundingClientRect()),
        room: size(canvas.parentElement.getBoundingClientRect()),
      };
    });
  }

  async screenshot(what: 'save' | 'copy' | 'region'): Promise<void> {
    await this.page.getByTestId('screenshot').click();
    await this.page.getByTestId(`shot-${what}`).click();
  }

  /** Drags over the still picture from one place to another, parts of its width and height. */
  async dragOver(x1: number, y1: number, x2: number, y2: number): Promise<void> {
    const surface = this.page.getByTestId('picture-selection');
    // It is laid over the picture a moment after it is there; before, it has no size.
    await surface.waitFor();
    const box = (await surface.boundingBox())!;
    const { mouse } = this.page;
    await mouse.move(box.x + box.width * x1, box.y + box.height * y1);
    await mouse.down();
    await mouse.move(box.x + box.width * x2, box.y + box.height * y2, { steps: 3 });
    await mouse.up();
  }

  /** `chord` as in the menu: 'ctrl-alt-delete'. */
  async sendKeys(chord: string): Promise<void> {
    await this.page.getByTestId('send-keys').click();
    await this.page.getByTestId(`chord-${chord}`).click();
  }

  /** Types through the "Type text" dialog and waits until it is done. */
  async typeText(text: string, pressEnter = false): Promise<void> {
    await this.page.getByTestId('type-text').click();
    const dialog = this.page.getByTestId('type-dialog');
    await dialog.getByTestId('type-field').locator('textarea').first().fill(text);
    if (pressEnter) await dialog.getByTestId('type-enter').check();
    await dialog.getByTestId('type-send').click();
    await dialog.waitFor({ state: 'detached' });
  }

  /** Pixels of the console's canvas as noVNC has drawn it, RGBA; 0x0 before the first picture. */
  async pixels(): Promise<{ width: number; height: number; data: Uint8Array }> {
    // As PNG: lossless, and much quicker than numbers through the debugger.
    const url = await this.canvas.evaluate((element) => {
      const canvas = element as unknown as GuestCanvas;
      return canvas.width === 0 ? '' : canvas.toDataURL('image/png');
    });
    if (url === '') return { width: 0, height: 0, data: new Uint8Array(0) };
    const { width, height, data } = PNG.sync.read(Buffer.from(url.slice(url.indexOf(',') + 1), 'base64'));
    return { width, height, data };
  }

  /** What the serial terminal shows, as its accessible tree says. */
  async serialText(): Promise<string> {
    const rows = await this.page.getByTestId('serial-terminal').locator('.xterm-accessibility-tree > div').allTextContents();
    return rows
      .map((row) => row.replaceAll('\u00a0', ' ').trimEnd())
      .join('\n')
      .trimEnd();
  }

  async typeSerial(text: string): Promise<void> {
    await this.page.getByTestId('serial-terminal').locator('textarea').focus();
    await this.page.keyboard.type(text, { delay: 10 });
  }

  /** Opens the page of one part on the hardware tab: `cpu`, `boot`, `ide0`, `serial1`, `config`. */
  async device(id: string): Promise<void> {
    await this.page.getByTestId(`device-${id}`).click();
    await this.page.locator(`[data-testid="device-${id}"][aria-current="true"]`).waitFor();
  }

  async applyHardware(): Promise<void> {
    await this.page.getByTestId('hardware-save').click();
    await this.page.locator('[data-testid="hardware-save"][disabled]').waitFor();
  }

  async changeMedium(drive: string, path: string): Promise<void> {
    await this.device(drive);
    await this.page.getByTestId(`change-${drive}`).click();
    const dialog = this.page.getByTestId('medium-dialog');
    await dialog.getByTestId('medium-path').locator('input').fill(path);
    await dialog.getByTestId('medium-insert').click();
    await dialog.waitFor({ state: 'detached' });
  }

  async logLines(): Promise<string[]> {
    await this.page.getByTestId('log-row').first().waitFor();
    // Rows outside the view are not laid out (content-visibility), so they have no inner text.
    return this.page.getByTestId('log-row').allTextContents();
  }

  /** Measures for the shortest time there is; gives the rows of the table of hottest code. */
  async profile(): Promise<string[]> {
    await this.page.getByTestId('profile-seconds').selectOption('2');
    await this.page.getByTestId('profile-measure').click();
    await this.page.getByTestId('profile-facts').waitFor();
    return this.page.getByTestId('profile-row').allInnerTexts();
  }

  async rename(name: string): Promise<void> {
    await this.page.getByTestId('machine-name').hover();
    await this.page.getByTestId('rename-button').click();
    await this.page.getByTestId('rename-field').fill(name);
    await this.page.getByTestId('rename-field').press('Enter');
  }
}
