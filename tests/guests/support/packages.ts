import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** Everything fetched or built for tests; never committed. */
export const cacheFolder = fileURLToPath(new URL('../../../.cache/guests', import.meta.url));

/** Runs a program quietly; a failure's message has its standard error. */
export function run(command: string, args: readonly string[], options: { cwd?: string; input?: Uint8Array } = {}): string {
  return execFileSync(command, args, {
    cwd: options.cwd,
    input: options.input,
    encoding: 'latin1',
    stdio: ['pipe', 'pipe', 'pipe'],
    maxBuffer: 1 << 26,
  });
}

/** An index is fresh for so long; archives change it a few times a day. */
const INDEX_HOURS = 3;

/** Asks the archives what they have, once for all files of tests. */
function refreshIndex(): void {
  const marker = path.join(cacheFolder, 'index-refreshed');
  const fresh = () => existsSync(marker) && Date.now() - statSync(marker).mtimeMs < INDEX_HOURS * 3_600_000;
  if (!fresh())
    exclusively('index', () => {
      if (fresh()) return;
      updateIndex();
      writeFileSync(marker, '');
    });
}

function updateIndex(): void {
  if (!run('dpkg', ['--print-foreign-architectures']).split('\n').includes('i386')) run('dpkg', ['--add-architecture', 'i386']);
  try {
    run('apt-get', ['update', '-qq']);
  } catch (error) {
    // A mirror in the middle of a sync fails one index and serves the others; what is then missing shows at the download.
    console.warn(`apt-get update: ${String((error as { stderr?: string }).stderr ?? error).split('\n')[0]}`);
  }
}

/**
 * Does `work` while no other process does work of this name: files of tests that run at the same time want the same packages and images. A process that died with
 * the lock holds it no longer.
 */
function exclusively<T>(name: string, work: () => T): T {
  const lock = path.join(cacheFolder, 'locks', encodeURIComponent(name));
  mkdirSync(path.dirname(lock), { recursive: true });
  const nap = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (holderIsGone(lock)) rmSync(lock, { force: true });
      else Atomics.wait(nap, 0, 0, 100);
    }
  }
  try {
    return work();
  } finally {
    rmSync(lock, { force: true });
  }
}

function holderIsGone(lock: string): boolean {
  try {
    const holder = Number(readFileSync(lock, 'utf8'));
    // Empty for the moment between its making and its writing.
    if (!holder) return Date.now() - statSync(lock).mtimeMs > 10_000;
    process.kill(holder, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/**
 * Downloads a Debian package without installing it and unpacks it under the cache; returns the folder. apt verifies the archive's signature and
 * checksums; the package's SHA-256 is recorded beside it and checked on later use.
 */
export function debianPackage(name: string): string {
  const folder = path.join(cacheFolder, 'packages', name.replace(':', '_'));
  const complete = () => existsSync(path.join(folder, '.complete'));
  if (!complete())
    exclusively(`package ${name}`, () => {
      if (!complete()) downloadPackage(name, folder);
    });
  return folder;
}

function downloadPackage(name: string, folder: string): void {
  refreshIndex();
  const download = `${folder}.download`;
  rmSync(download, { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(download, { recursive: true });
  const get = () => run('apt-get', ['download', '-q', '-o', 'APT::Sandbox::User=root', name], { cwd: download });
  try {
    get();
  } catch {
    // The index may know a version that is gone, or be of another computer than the cache is from.
    exclusively('index', updateIndex);
    get();
  }
  const archive = readdirSync(download).find((file) => file.endsWith('.deb'));
  if (!archive) throw new Error(`apt-get download ${name} left no package`);
  const unpacked = path.join(download, 'root');
  mkdirSync(unpacked);
  run('dpkg-deb', ['-x', path.join(download, archive), unpacked]);
  writeFileSync(
    path.join(unpacked, '.complete'),
    `${archive} ${createHash('sha256')
      .update(readFileSync(path.join(download, archive)))
      .digest('hex')}\n`,
  );
  renameSync(unpacked, folder);
  rmSync(download, { recursive: true, force: true });
}

/** Newest package whose name matches, from apt's index: kernel packages carry their version in the name. */
export function newestPackage(pattern: RegExp, search: string, architecture?: string): string {
  // A name found earlier stays, so that a filled cache needs no network.
  const memory = path.join(cacheFolder, 'names', encodeURIComponent(`${pattern.source} ${architecture ?? ''}`.trim()));
  if (existsSync(memory)) return readFileSync(memory, 'utf8');
  refreshIndex();
  const names = run('apt-cache', ['pkgnames', search])
    .split('\n')
    .filter((name) => pattern.test(name))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  const newest = names.at(-1);
  if (!newest) throw new Error(`no package matches ${pattern}`);
  const name = architecture ? `${newest}:${architecture}` : newest;
  mkdirSync(path.dirname(memory), { recursive: true });
  writeFileSync(memory, name);
  return name;
}

/** Where this Debian's own packages come from, as apt is set up. */
export function debianMirror(): { url: string; codename: string } {
  const codename = /^VERSION_CODENAME=(.*)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  const line = run('apt-get', ['indextargets', '--format', '$(CODENAME) $(COMPONENT) $(REPO_URI)', 'Created-By: Packages'])
    .split('\n')
    .find((entry) => entry.startsWith(`${codename} main `));
  if (!codename || !line) throw new Error('apt knows no main archive of the running Debian');
  return { codename, url: line.split(' ')[2]! };
}

/** First file under `folder` whose path matches. */
export function findFile(folder: string, pattern: RegExp): string {
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort())
    if (pattern.test(file)) return path.join(folder, file);
  throw new Error(`nothing under ${folder} matches ${pattern}`);
}

/** Builds a file once: `make` writes to the path it is given, which then moves into place. */
export function built(name: string, make: (target: string) => void): string {
  const target = path.join(cacheFolder, 'built', name);
  if (!existsSync(target))
    exclusively(`built ${name}`, () => {
      if (existsSync(target)) return;
      mkdirSync(path.dirname(target), { recursive: true });
      const partial = `${target}.partial`;
      rmSync(partial, { recursive: true, force: true });
      make(partial);
      renameSync(partial, target);
    });
  return target;
}
