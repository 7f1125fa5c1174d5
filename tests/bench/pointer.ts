import { launchBrowser, openWindow } from '../e2e/support/browser.ts';
import { startServer } from '../e2e/support/server.ts';
import { type Bench, fixed } from './support/report.ts';

/**
 * How long a movement of the pointer takes to show: from the browser's time stamp of the event in the page (it is made by the DevTools protocol), by way of noVNC, the
 * server, the VM process, the guest (the check image's drawing sheet, whose driver draws the pointer itself) and back, to the first drawing on the page's canvas
 * after which its pixels are others. What the compositor and a screen add comes on top.
 */
const MOVES = 60;
const PAUSE_MS = 120;
const STEP = 14;

/** Runs in the page: remembers pointer events over the canvas, and the first changed picture after each. */
const PROBE = `
  window.pointerTimes = [];
  let began = null;
  let before = null;
  addEventListener('pointermove', (event) => { began ??= event.timeStamp; }, true);
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (...args) {
    draw.apply(this, args);
    if (!this.canvas.isConnected || this.canvas.dataset.probe === undefined) return;
    const now = performance.now();
    const { data } = this.getImageData(0, 0, this.canvas.width, this.canvas.height);
    const changed = before === null || before.length !== data.length || data.some((byte, i) => byte !== before[i]);
    before = data;
    if (changed && began !== null) { window.pointerTimes.push(now - began); began = null; }
  };
`;

interface Probed {
  pointerTimes: number[];
}

export const pointer: Bench = async () => {
  const server = await startServer();
  const browser = await launchBrowser();
  try {
    const { page, app } = await openWindow(browser, server, {}, PROBE);
    await app.machines.trySample();
    const machine = app.machine();
    await machine.waitForState('running');
    await machine.tab('serial');
    while (!(await machine.serialText()).includes('HYPERVUE-CHECK READY')) await page.waitForTimeout(100);
    await machine.tab('console');
    // A text mode is 400 lines high, the sheet 480.
    while ((await machine.pixels()).height !== 480) {
      await machine.press('6');
      await page.waitForTimeout(500);
    }
    const canvas = page.getByTestId('console-canvas');
    await canvas.evaluate((it) => it.setAttribute('data-probe', ''));
    const box = (await canvas.boundingBox())!;
    const seen = () => page.evaluate(() => (globalThis as unknown as Probed).pointerTimes.length);
    // The guest's driver begins a moment after its page shows.
    for (let i = 0; (await seen()) === 0 && i < MOVES; i++) {
      await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2 + (i % 2) * STEP);
      await page.waitForTimeout(PAUSE_MS);
    }
    for (let i = 0; i < MOVES; i++) {
      await page.mouse.move(box.x + box.width / 2 + (i % 2 ? STEP : -STEP), box.y + box.height / 2 + (i % 3) * STEP);
      await page.waitForTimeout(PAUSE_MS);
    }
    // The first ones find the pointer and its picture.
    const times = (await page.evaluate(() => (globalThis as unknown as Probed).pointerTimes)).slice(5).sort((a, b) => a - b);
    if (times.length < MOVES / 2) throw new Error(`only ${times.length} of ${MOVES} movements showed`);
    const at = (share: number) => fixed(times[Math.min(times.length - 1, Math.floor(times.length * share))]!, 1);
    return [
      { what: 'pointer to changed canvas, median ms', ours: at(0.5), note: `${times.length} movements` },
      { what: 'pointer to changed canvas, 95 % ms', ours: at(0.95), note: `worst ${at(1)}` },
    ];
  } finally {
    await browser.close();
    await server.stop();
  }
};
