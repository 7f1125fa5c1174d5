import { execFileSync } from 'node:child_process';
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, Platform } from 'electron-builder';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadEntry } from '../../electron/testing/loadentry.ts';
import { createStandIn } from '../../electron/testing/standin.ts';
import { AppPage } from '../e2e/pages/app.ts';
import { eventually, launchBrowser } from '../e2e/support/browser.ts';

/**
 * The packed desktop app as far as it goes without Electron's runtime: electron-builder packs a Linux folder around a stand-in for the runtime's program, which has
 * the fuses that it flips. Packages themselves (deb, rpm, AppImage) want tools that electron-builder downloads.
 */
const root = fileURLToPath(new URL('../..', import.meta.url));
const METAINFO = path.join(root, 'resources/linux/org.hypervue.Hypervue.metainfo.xml');
/** Where @electron/fuses finds the fuses in the program: this, a version, their number, and one character each. */
const SENTINEL = 'dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX';
/** Run as node, encrypted cookies, NODE_OPTIONS, inspector, integrity of the archive, archive only, snapshot of its own, privileges of file:. */
const FUSES = '01000000';
const version = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')).version as string;

// electron-builder asks npm for the production packages, which finds those of packages in a folder that is a link nowhere.
const why = lstatSync(path.join(root, 'node_modules')).isSymbolicLink() ? 'node_modules is a link' : undefined;
if (why) console.log(`packing is not tested: ${why}`);

describe.skipIf(why)('the packed app', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-pack-'));
  const app = path.join(folder, 'dist/linux-unpacked/resources/app');
  const resources = path.dirname(app);
  let desktopEntry = '';
  let mimeTypes = '';
  let browser: Browser | undefined;

  beforeAll(async () => {
    const runtime = path.join(folder, 'runtime');
    mkdirSync(path.join(runtime, 'resources'), { recursive: true });
    mkdirSync(path.join(runtime, 'locales'));
    // All fuses the other way round.
    const wire = [...FUSES].map((fuse) => (fuse === '0' ? '1' : '0')).join('');
    writeFileSync(path.join(runtime, 'electron'), `#!/bin/sh\nexit 1\n${SENTINEL}\x01${String.fromCharCode(wire.length)}${wire}`, 'latin1');
    chmodSync(path.join(runtime, 'electron'), 0o755);
    writeFileSync(path.join(runtime, 'version'), '41.7.1');
    for (const file of ['LICENSE', 'LICENSES.chromium.html', 'chrome-sandbox']) writeFileSync(path.join(runtime, file), '');
    const { LinuxTargetHelper } = createRequire(import.meta.url)('app-builder-lib/out/targets/LinuxTargetHelper.js');
    await build({
      projectDir: root,
      targets: Platform.LINUX.createTarget('dir'),
      publish: 'never',
      config: {
        directories: { output: path.join(folder, 'dist') },
        electronDist: runtime,
        afterPack: async ({ packager }) => {
          const helper = new LinuxTargetHelper(packager);
          desktopEntry = await helper.computeDesktopEntry(
            (packager as { platformSpecificBuildOptions?: unknown }).platformSpecificBuildOptions,
          );
          mimeTypes = readFileSync(await helper.mimeTypeFiles, 'utf8');
        },
      },
    });
  }, 600_000);

  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  });

  const filesIn = (below: string): string[] =>
    readdirSync(below, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(path.join(below, name)).isFile());

  test('has what it runs from, and of packages the one that loads a library', () => {
    const files = filesIn(app);
    for (const name of ['package.json', 'out/main/index.js', 'out/preload/index.cjs', 'out/renderer/index.html'])
      expect(files).toContain(name);
    const packages = readdirSync(path.join(app, 'node_modules')).sort();
    expect(packages).toEqual(['@koromix', 'koffi']);
    expect(files.filter((name) => name.endsWith('.node')).length).toBeGreaterThan(0);
    expect(files.filter((name) => /\.map$|\.test\.|\.ts$|koffi\/(doc|vendor)\//.test(name) && !name.endsWith('.d.ts'))).toEqual([]);
    expect(JSON.parse(readFileSync(path.join(app, 'package.json'), 'utf8'))).not.toHaveProperty('devDependencies');
    const beside = filesIn(resources).filter((name) => !name.startsWith('app/'));
    for (const name of [
      'wasm/cpu.wasm',
      'sample/hypervue-check.img',
      'systems/systems.json',
      'icons/tray-idle.png',
      'firmware/bios-256k.bin',
      'firmware/vgabios-stdvga.bin',
    ])
      expect(beside).toContain(name);
  });

  test('loads its library from there', () => {
    const output = execFileSync(process.execPath, ['-e', "console.log(typeof require('koffi').load)"], { cwd: app, encoding: 'utf8' });
    expect(output).toBe('function\n');
  });

  test('has its fuses blown as electron-builder.yml says', () => {
    const program = readFileSync(path.join(folder, 'dist/linux-unpacked/hypervue'), 'latin1');
    expect(program.slice(program.indexOf(SENTINEL) + SENTINEL.length + 2)).toBe(FUSES);
  });

  test('starts over the stand-in, and runs a machine from the packed files', async () => {
    const kept = { ...process.env };
    const home = path.join(folder, 'home');
    mkdirSync(home);
    writeFileSync(path.join(home, 'settings.json'), '{"welcomed":true}');
    const electronProcess = process as { resourcesPath?: string };
    Object.assign(process.env, { HYPERVUE_HOME: home, XDG_RUNTIME_DIR: path.join(home, 'xdg') });
    electronProcess.resourcesPath = resources;
    try {
      browser = await launchBrowser();
      const desktop = createStandIn(browser, path.join(app, 'out'));
      loadEntry(path.join(app, 'out/main/index.js'), desktop.electron);
      desktop.ready();
      const page = await eventually('the window', () => desktop.pages[0]);
      await page.getByTestId('machines-empty').waitFor({ timeout: 30_000 });
      // Its image, the processor's code and the firmware lie beside the program, not in a checkout.
      await page.getByTestId('empty-sample').click();
      await page.getByTestId('machine-page').waitFor({ timeout: 30_000 });
      const machine = new AppPage(page).machine();
      await machine.tab('console');
      await machine.focusConsole();
      await eventually('the blue bar of its title', async () => {
        const { width, height, data } = await machine.pixels();
        const at = (8 * width + width / 2) * 4;
        return height > 300 && data[at] === 0 && data[at + 2]! > 100;
      });
      for (const { pid } of desktop.utilities) if (pid !== undefined) process.kill(pid, 'SIGKILL');
    } finally {
      delete electronProcess.resourcesPath;
      process.env = kept;
    }
  }, 180_000);

  test('has a desktop entry that the desktop takes, with its kinds of files and its links', () => {
    const file = path.join(folder, 'hypervue.desktop');
    writeFileSync(file, desktopEntry);
    expect(desktopEntry).toContain(
      'MimeType=application/x-cd-image;application/x-qemu-disk;application/x-virtualbox-ova;x-scheme-handler/hypervue;\n',
    );
    expect(desktopEntry).toMatch(/^Exec=\/opt\/Hypervue\/hypervue %U$/m);
    expect(desktopEntry).toMatch(/^Icon=hypervue$/m);
    for (const [ext, type] of [
      ['iso', 'application/x-cd-image'],
      ['qcow2', 'application/x-qemu-disk'],
      ['ova', 'application/x-virtualbox-ova'],
    ])
      expect(mimeTypes).toMatch(new RegExp(`type="${type}">\\s*<glob pattern="\\*\\.${ext}"`));
    try {
      execFileSync('desktop-file-validate', ['--no-hints', file], { encoding: 'utf8', stdio: 'pipe' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        throw new Error(`desktop-file-validate: ${(error as { stdout?: string }).stdout}`);
      console.log('the desktop entry was not validated: desktop-file-utils is not installed');
    }
  });
});

describe('the AppStream metadata', () => {
  const metainfo = readFileSync(METAINFO, 'utf8');

  test('names what the packages install and the version there is', () => {
    const settings = readFileSync(path.join(root, 'electron-builder.yml'), 'utf8');
    expect(metainfo).toContain('<id>org.hypervue.Hypervue</id>');
    expect(settings).toContain('appId: org.hypervue.Hypervue');
    expect(settings).toContain('executableName: hypervue');
    expect(metainfo).toContain('<launchable type="desktop-id">hypervue.desktop</launchable>');
    expect(metainfo).toMatch(new RegExp(`<release version="${version.replaceAll('.', '\\.')}" `));
    const types = [...settings.matchAll(/mimeType: (\S+)/g)].map(([, type]) => type);
    expect(types.length).toBe(3);
    for (const type of types) expect(metainfo).toContain(`<mediatype>${type}</mediatype>`);
    expect(settings.match(/metainfo\.xml=\/usr\/share\/metainfo\/org\.hypervue\.Hypervue\.metainfo\.xml/g)?.length).toBe(2);
  });

  test('is valid', () => {
    try {
      execFileSync('appstreamcli', ['validate', '--no-net', METAINFO], { encoding: 'utf8', stdio: 'pipe' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw new Error(`appstreamcli: ${(error as { stdout?: string }).stdout}`);
      console.log('the metadata was not validated: appstream is not installed');
    }
  });
});
