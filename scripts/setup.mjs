// Brings a fresh machine to the point where Hypervue can be built, started or tested. Plain JavaScript without dependencies: it runs
// before npm packages exist, on any Node from 20 on.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, lstatSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
const isWindows = process.platform === 'win32';
const say = (text) => console.log(`[setup] ${text}`);

/** Debian packages and what each is for. */
const startPackages = ['seabios', 'ovmf', 'nasm', 'osinfo-db', 'ipxe-qemu'];
const testPackages = [
  ...startPackages,
  'chromium',
  'fonts-noto-cjk',
  'qemu-utils',
  'qemu-system-x86',
  'xorriso',
  'mtools',
  'e2fsprogs',
  'cpio',
  'grub-common',
  'grub-pc-bin',
  'vncsnapshot',
  'gcc',
  'libc6-dev',
];

/** Where distributions, Homebrew and libosinfo itself keep the database. */
export const osinfoFolders = ['/usr/share/osinfo', '/usr/local/share/osinfo', '/opt/homebrew/share/osinfo'];

/** The Node 24 binary that scripts run on. */
export const node24 = () => {
  const local = path.join(root, 'node_modules', 'node', 'bin', isWindows ? 'node.exe' : 'node');
  return existsSync(local) ? local : process.execPath;
};

/** Environment for child processes: Node 24 and local tools first in PATH. */
export const childEnv = (extra = {}) => ({
  ...process.env,
  PATH: [path.dirname(node24()), path.join(root, 'node_modules', '.bin'), process.env.PATH].join(path.delimiter),
  ...extra,
});

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (result.error) throw new Error(`${command} could not be started: ${result.error.message}`);
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')} ended with code ${result.status ?? result.signal}`);
}

/** npm packages from the lockfile, without their install scripts; then the Node 24 binary, the only script we need. */
function npmPackages() {
  const lock = createHash('sha256')
    .update(readFileSync(path.join(root, 'package-lock.json')))
    .digest('hex');
  const folder = path.join(root, 'node_modules');
  const stamp = path.join(folder, '.hypervue-lock');
  // npm would empty the folder of another checkout that a link leads to.
  const shared = existsSync(folder) && lstatSync(folder).isSymbolicLink();
  if (shared) say('node_modules is a link to packages of another place; they are used as they are');
  else if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== lock) {
    say('installing npm packages');
    run(isWindows ? 'npm.cmd' : 'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { shell: isWindows });
    writeFileSync(stamp, lock);
  }
  // `npm run` may have started us with the very Node 24 that npm has just taken away with the old packages.
  const runner = existsSync(process.execPath) ? process.execPath : 'node';
  if (node24() === process.execPath && (runner === 'node' || Number(process.versions.node.split('.')[0]) < 24)) {
    say('installing Node 24');
    run(runner, ['installArchSpecificPackage.js'], { cwd: path.join(root, 'node_modules', 'node') });
    if (node24() === process.execPath)
      throw new Error('the Node 24 binary of the npm package "node" did not install; install Node 24 yourself and run this again');
  }
  // What the package's own install script would do, for `npx node`.
  const link = path.join(root, 'node_modules', '.bin', 'node');
  if (!isWindows && !existsSync(link) && node24() !== process.execPath) symlinkSync(path.relative(path.dirname(link), node24()), link);
}

function missingDebianPackages(names) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own placeholders
  const format = '${Package} ${db:Status-Status}\n';
  const result = spawnSync('dpkg-query', ['-W', '-f', format, ...names], { encoding: 'utf8' });
  const installed = new Set(
    (result.stdout ?? '')
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.split(' ')[0]),
  );
  return names.filter((name) => !installed.has(name));
}

function debianPackages(names) {
  if (!existsSync('/usr/bin/dpkg-query')) return;
  const missing = missingDebianPackages(names);
  if (!missing.length) return;
  if (process.getuid?.() !== 0) {
    say(`these Debian packages are missing: ${missing.join(' ')}. Install them with: sudo apt-get install ${missing.join(' ')}`);
    return;
  }
  say(`installing Debian packages: ${missing.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const quiet = { env, stdio: ['ignore', 'ignore', 'inherit'] };
  // A mirror in the middle of a sync fails one index and serves the others; what is then missing shows at the install.
  if (spawnSync('apt-get', ['update', '-qq'], quiet).status !== 0)
    say('apt-get update did not fetch every index; going on with those at hand');
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], quiet);
}

/** Well-known places of the firmware images, by distribution. */
const firmwareFolders = [
  '/usr/share/seabios',
  '/usr/share/qemu',
  '/usr/share/vgabios',
  '/usr/local/share/qemu',
  '/opt/homebrew/share/qemu',
  'C:\\Program Files\\qemu\\share',
];
export const firmwareFiles = ['bios-256k.bin', 'vgabios-stdvga.bin'];

function firmware() {
  const folder = path.join(root, 'resources', 'firmware');
  for (const file of firmwareFiles) {
    const target = path.join(folder, file);
    if (existsSync(target)) continue;
    const source = firmwareFolders.map((place) => path.join(place, file)).find((candidate) => existsSync(candidate));
    if (!source) {
      say(
        `firmware ${file} was not found. Install SeaBIOS (Debian: apt-get install seabios; Fedora: seabios-bin seavgabios-bin; Arch: seabios; macOS: brew install qemu) and start again.`,
      );
      continue;
    }
    mkdirSync(folder, { recursive: true });
    copyFileSync(source, target);
  }
}

/** True when the Electron runtime is present, after one attempt to get it. */
export function electronRuntime() {
  const folder = path.join(root, 'node_modules', 'electron');
  const present = () =>
    existsSync(path.join(folder, 'path.txt')) &&
    existsSync(path.join(folder, 'dist', readFileSync(path.join(folder, 'path.txt'), 'utf8').trim()));
  if (present()) return true;
  const tried = path.join(root, 'node_modules', '.hypervue-electron-tried');
  if (existsSync(tried) || !existsSync(path.join(folder, 'install.js'))) return false;
  say('fetching the Electron runtime');
  spawnSync(node24(), ['install.js'], { cwd: folder, stdio: 'ignore', timeout: 180_000 });
  if (present()) return true;
  writeFileSync(tried, 'remove this file to try again\n');
  say('the Electron runtime could not be fetched; using headless mode (delete node_modules/.hypervue-electron-tried to try again)');
  return false;
}

/** What is built from Debian packages. */
const builtWithPackages = ['out/sample/hypervue-check.img', 'out/systems/systems.json'];

/** `kind` is 'start' or 'test'. Throws an Error whose message says what to do. */
export function setUp(kind) {
  npmPackages();
  const haveFirmware = firmwareFiles.every((file) => existsSync(path.join(root, 'resources', 'firmware', file)));
  if (kind === 'test') debianPackages(testPackages);
  else if (!haveFirmware || !builtWithPackages.every((file) => existsSync(path.join(root, file)))) {
    try {
      debianPackages(startPackages);
    } catch (error) {
      // Without them the app still starts and says in its own words what is missing.
      say(`${error.message}; going on without`);
    }
  }
  firmware();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    setUp(process.argv[2] ?? 'test');
    execFileSync(node24(), ['--version'], { stdio: 'inherit' });
  } catch (error) {
    console.error(`[setup] ${error.message}`);
    process.exit(1);
  }
}
