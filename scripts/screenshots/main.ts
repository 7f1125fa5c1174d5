// `npm run screenshots [-- --all] [NAME…]`: takes the pictures in docs/screenshots from the built app, with real machines running: every place in light, English,
// 1280x800, and in variants/ those combinations of theme, language, window and scale in which every two of their values meet. `--all` takes all 24 combinations,
// into out/screenshots. NAME: only places whose names begin with it. What a look at a picture would not tell (overflow, WCAG, errors in the page's log) is printed.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { accessibilityProblems } from '../../tests/e2e/support/accessibility.ts';
import { launchBrowser, openWindow, type Window } from '../../tests/e2e/support/browser.ts';
import { places } from './places.ts';
import { openShowcase } from './showcase.ts';

interface Variant {
  theme: 'light' | 'dark';
  language: 'en' | 'zh-CN';
  width: number;
  height: number;
  scale: number;
}
const variant = (theme: Variant['theme'], language: Variant['language'], width: number, scale: number): Variant => ({
  theme,
  language,
  width,
  height: width === 900 ? 600 : 800,
  scale,
});
const plain = variant('light', 'en', 1280, 1);
const pairwise = [
  plain,
  variant('dark', 'zh-CN', 900, 1),
  variant('dark', 'en', 1280, 1.25),
  variant('light', 'zh-CN', 900, 1.25),
  variant('dark', 'en', 900, 1.5),
  variant('light', 'zh-CN', 1280, 1.5),
];
const every = (['light', 'dark'] as const).flatMap((theme) =>
  (['en', 'zh-CN'] as const).flatMap((language) =>
    [1280, 900].flatMap((width) => [1, 1.25, 1.5].map((scale) => variant(theme, language, width, scale))),
  ),
);

/** Of WebP: letters have no halo yet. */
const QUALITY = 60;
const args = process.argv.slice(2);
const all = args.includes('--all');
const names = args.filter((arg) => !arg.startsWith('-'));
const wanted = places.filter(({ name }) => !names.length || names.some((start) => name.startsWith(start)));
const folder = fileURLToPath(new URL(all ? '../../out/screenshots' : '../../docs/screenshots', import.meta.url));
mkdirSync(path.join(folder, 'variants'), { recursive: true });

async function shoot({ page }: Window, name: string, as: Variant): Promise<void> {
  // Transitions are short; a toast would tell of the script, not of the app.
  await page.waitForTimeout(600);
  const { theme, language, width, height, scale } = as;
  const file = as === plain ? `${name}.png` : `variants/${name}.${theme}.${language}.${width}x${height}@${scale}.webp`;
  if (as === plain) await page.screenshot({ path: path.join(folder, file) });
  else {
    // WebP, which Playwright does not write, is small enough for all to be kept. The debugger gives as many pixels as the clip asks for: each of the screen's.
    const session = await page.context().newCDPSession(page);
    const clip = { x: 0, y: 0, width, height, scale };
    const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: QUALITY, clip });
    writeFileSync(path.join(folder, file), Buffer.from(data, 'base64'));
  }
  const beyond = await page.evaluate<number>('document.documentElement.scrollWidth - document.documentElement.clientWidth');
  if (beyond > 0) console.log(`${file}: ${beyond} px wider than the window`);
  // `tests/long/places.test.ts` looks at both themes and languages.
  if (as === plain) for (const problem of await accessibilityProblems(page)) console.log(`${file}: ${problem}`);
}

const showcase = await openShowcase();
const { server, contract } = showcase;
const browser = await launchBrowser();
const open = ({ width, height, scale }: Variant) => openWindow(browser, server, { viewport: { width, height }, deviceScaleFactor: scale });
try {
  if (!names.length || names.some((start) => 'machines-empty'.startsWith(start))) {
    const window = await open(plain);
    await window.app.byId('machines-empty').waitFor();
    await shoot(window, 'machines-empty', plain);
    await window.close();
  }
  await showcase.fill();
  for (const as of all ? every : pairwise) {
    await contract.call('settings.set', { theme: as.theme, language: as.language });
    for (const place of wanted) {
      const window = await open(as);
      try {
        await window.page.goto(`${server.url.replace(/\/$/, '')}/#${place.path(showcase)}`);
        await place.reach?.(window.app, showcase);
        await shoot(window, place.name, as === every[0] ? plain : as);
        for (const problem of window.problems) console.log(`${place.name}: ${problem}`);
      } catch (error) {
        process.exitCode = 1;
        console.log(`${place.name}: no picture: ${error instanceof Error ? error.message : error}`);
      } finally {
        await window.close();
      }
    }
    console.log(`${as.theme} ${as.language} ${as.width}x${as.height} @${as.scale}: ${wanted.length} places`);
  }
} finally {
  await browser.close();
  await showcase.end();
}
