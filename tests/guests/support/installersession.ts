import { PNG } from 'pngjs';
import { expect } from 'vitest';
import { Guest } from './guest.ts';
import { FAST_BOOT, type GuestArch } from './images.ts';
import { installer } from './installer.ts';

const MINUTE = 60_000;

/** The text front end on the VGA text screen: the list of languages, used by keys. */
export async function textInstaller(arch: GuestArch): Promise<void> {
  // Without mode setting the kernel stays on the text screen, which can be read.
  const guest = await new Guest({
    memoryMiB: 512,
    ...(arch === 'amd64' ? { cpu: 'x86-64-v2' as const } : {}),
    kernel: { ...installer(arch, 'text'), cmdline: `console=ttyS0 console=tty0 nomodeset ${FAST_BOOT}` },
  }).start();
  try {
    await guest.onScreen(/\[!!\] Select a language(.*\n)*.* C +- +No localization .*\n(.*\n)*.* English +- +English /, 8 * MINUTE);
    // The highlighted line is where the cursor keys are; the installer leaves no cursor there, so what Enter chooses shows it.
    for (let i = 0; i < 20; i++) await guest.vm.sendKeys(['up']);
    await guest.vm.sendKeys(['enter']);
    await guest.onScreen(/Select your location(.*\n)*.*Continent or region:/, 4 * MINUTE);
  } finally {
    await guest.end();
  }
}

type Rgb = readonly [number, number, number];
interface Picture {
  width: number;
  height: number;
  at(x: number, y: number): Rgb;
}

function picture(guest: Guest): Picture {
  const { png } = guest.vm.screenshot();
  const { width, height, data } = PNG.sync.read(Buffer.from(png));
  const at = (x: number, y: number): Rgb => {
    const i = (Math.floor(y) * width + Math.floor(x)) * 4;
    return [data[i]!, data[i + 1]!, data[i + 2]!];
  };
  return { width, height, at };
}

const near = (a: Rgb, b: Rgb) => a.every((value, i) => Math.abs(value - b[i]!) < 24);
const NAVY: Rgb = [0, 66, 92];
const TEAL: Rgb = [42, 131, 123];
const PAPER: Rgb = [238, 235, 228];
const WHITE: Rgb = [255, 255, 255];

/** Rows of pixels between 20 and 97 % of the height that are selected from end to end of the list: samples near both ends and in the middle, beside the text. */
function selectedRows({ width, height, at }: Picture): number[] {
  const rows = [];
  for (let y = Math.floor(height * 0.2); y < height * 0.97; y++)
    if ([0.3, 0.5, 0.7, 0.9].every((x) => near(at(width * x, y), TEAL))) rows.push(y);
  return rows;
}

/** Debian's banner over the whole width, paper below it, and a white list with one selected line. */
function isLanguagePage(shown: Picture): boolean {
  if (shown.width < 800) return false;
  const { width, height, at } = shown;
  const selected = selectedRows(shown);
  return (
    near(at(8, 8), NAVY) &&
    near(at(4, height * 0.5), PAPER) &&
    near(at(width - 4, height * 0.98), PAPER) &&
    near(at(width * 0.5, height * 0.3), WHITE) &&
    selected.length >= 12 &&
    selected.length <= 60 &&
    selected.at(-1)! - selected[0]! === selected.length - 1
  );
}

/** The graphical front end (X, GTK): asserted by its pixels, before and after keys. */
export async function graphicalInstaller(arch: GuestArch): Promise<void> {
  const guest = await new Guest({
    memoryMiB: 768,
    ...(arch === 'amd64' ? { cpu: 'x86-64-v2' as const } : {}),
    kernel: { ...installer(arch, 'gtk'), cmdline: `console=ttyS0 console=tty0 ${FAST_BOOT}` },
  }).start();
  try {
    await guest.until('the list of languages in graphics', () => isLanguagePage(picture(guest)), 10 * MINUTE);
    // The list scrolls to the language that is selected at first.
    let first = -1;
    let since = Date.now();
    await guest.until(
      'the list at rest',
      () => {
        const now = selectedRows(picture(guest))[0] ?? -1;
        if (now !== first) since = Date.now();
        first = now;
        return first >= 0 && Date.now() - since > 4000;
      },
      2 * MINUTE,
    );
    await guest.vm.sendKeys(['down']);
    await guest.until(
      'the next line selected',
      () => {
        const moved = (selectedRows(picture(guest))[0] ?? -1) - first;
        return moved > 12 && moved < 60;
      },
      2 * MINUTE,
    );
    // The pointer is black with a white rim: moving the mouse far to a corner of the paper takes it there.
    const corner = () => {
      const { width, height, at } = picture(guest);
      let dark = 0;
      for (let y = height - 12; y < height; y++) for (let x = width - 12; x < width; x++) if (near(at(x, y), [0, 0, 0])) dark++;
      return dark;
    };
    expect(corner()).toBe(0);
    await guest.until(
      'the pointer in the corner',
      () => {
        guest.vm.input.pointerRelative(60, 60, 0);
        return corner() > 0;
      },
      2 * MINUTE,
    );
  } finally {
    await guest.end();
  }
}
