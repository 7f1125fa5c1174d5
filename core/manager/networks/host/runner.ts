/** Looks at this computer's interfaces, and changes them where there are rights. */
import { execFile, spawn } from 'node:child_process';
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { DeviceRights } from '../../../contract/networks.ts';
import { TUN_FILE } from '../../../platform/tap.ts';
import { HypervueError } from '../../../util/errors.ts';
import { say, type Saying } from '../../../util/say.ts';
import { batch, type Change } from './steps.ts';

/** Where the programs of administrators are; many users' PATH lacks them. */
const PROGRAM_FOLDERS = ['/usr/sbin', '/sbin', '/usr/bin', '/bin'];
const LOOK_MS = 10_000;
/** Somebody may have to type a password. */
const CHANGE_MS = 180_000;
const CAP_NET_ADMIN = 12n;

/**
 * All of a change at once, so that a password is asked for once. Its words are given as arguments and go into `ip -batch`, never into the text of the script. $1: what makes something new;
 * $2: what follows; $3: what takes everything back; $4: not empty where this computer has to pass on what is for others.
 */
const CHANGE_SCRIPT = `
PATH=/usr/sbin:/sbin:/usr/bin:/bin
printf '%s' "$1" | ip -batch - || exit 1
if printf '%s' "$2" | ip -batch - && { [ -z "$4" ] || sysctl -q -w net.ipv4.ip_forward=1; }; then exit 0; fi
printf '%s' "$3" | ip -force -batch - 2>/dev/null
exit 1
`;

/**
 * Makes something that is taken back by itself. The same words as above, and $4: the file that says to keep it; $5: the file that says to take it back now; $6: seconds. It says what it did, a word a
 * line, and is there on its own: whoever started it may be gone by then. A file is looked for, not waited for, so nobody has to be there to be asked either.
 */
const TRIAL_SCRIPT = `
PATH=/usr/sbin:/sbin:/usr/bin:/bin
undo=$3 keep=$4 drop=$5 left=$6
back() { trap '' HUP INT TERM; printf '%s' "$undo" | ip -force -batch -; echo undone; exit 0; }
printf '%s' "$1" | ip -batch - || { echo failed; exit 1; }
trap back HUP INT TERM
printf '%s' "$2" | ip -batch - || back
echo applied
while [ "$left" -gt 0 ]; do
  if [ -e "$keep" ]; then echo kept; exit 0; fi
  if [ -e "$drop" ]; then back; fi
  sleep 1
  left=$((left - 1))
done
if [ -e "$keep" ]; then echo kept; exit 0; fi
back
`;

/** Files of a trial. */
export interface TrialFiles {
  keep: string;
  drop: string;
  /** What was done: `failed`, or `applied`, then `kept` or `undone`; and `undone` alone where it failed halfway. */
  log: string;
  /** What the system said to it. */
  errors: string;
}

export interface HostRunner {
  /** Why no such network can be had here, and what to do about it; undefined where it can. */
  missing(): { reason: Saying; fix: Saying } | undefined;
  rights(): DeviceRights;
  /** What `ip` says. */
  ip(args: readonly string[]): Promise<string>;
  forwards(): Promise<boolean>;
  /** Rejects with 'permission-denied' without rights, and where the password was not given. */
  change(change: Change): Promise<void>;
  /** Begins a change that is taken back after some seconds by a process of its own; resolves with its id. */
  begin(change: Change, files: TrialFiles, seconds: number): Promise<number>;
}

export function program(name: string): string | undefined {
  return PROGRAM_FOLDERS.map((folder) => path.join(folder, name)).find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Whether programs that are started here may change interfaces, by `/proc/self/status`: root's get what it has, others' only what is ambient. */
export function mayChange(status: string, uid: number): boolean {
  const field = uid === 0 ? 'CapEff' : 'CapAmb';
  const bits = new RegExp(`^${field}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1];
  return bits !== undefined && ((BigInt(`0x${bits}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}

export const reads = (file: string): string | undefined => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
};

/** The script's interpreter with its arguments, behind what asks for rights where that has to be. */
export function asAdministrator(rights: DeviceRights, script: string, args: readonly string[]): { file: string; args: string[] } {
  const own = ['-c', script, 'hypervue', ...args];
  const pkexec = program('pkexec');
  return rights === 'ask' && pkexec ? { file: pkexec, args: ['/bin/sh', ...own] } : { file: '/bin/sh', args: own };
}

export class SystemRunner implements HostRunner {
  missing(): { reason: Saying; fix: Saying } | undefined {
    if (process.platform !== 'linux') return { reason: say('hostNetworksLinux'), fix: say('fixHostNetworksLinux') };
    if (!program('ip')) return { reason: say('hostNetworksNoIp'), fix: say('fixHostNetworksNoIp') };
    try {
      accessSync(TUN_FILE, constants.R_OK | constants.W_OK);
      return undefined;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT'
        ? { reason: say('hostNetworksNoTun', { file: TUN_FILE }), fix: say('fixHostNetworksNoTun') }
        : { reason: say('hostNetworksTunForbidden', { file: TUN_FILE }), fix: say('fixHostNetworksTunForbidden', { file: TUN_FILE }) };
    }
  }

  rights(): DeviceRights {
    const uid = process.getuid?.() ?? -1;
    if (mayChange(reads('/proc/self/status') ?? '', uid)) return 'have';
    const { DISPLAY, WAYLAND_DISPLAY } = process.env;
    return uid > 0 && (DISPLAY || WAYLAND_DISPLAY) && program('pkexec') ? 'ask' : 'none';
  }

  async ip(args: readonly string[]): Promise<string> {
    const file = program('ip');
    if (!file) throw new HypervueError('unsupported', say('hostNetworksNoIp'), { operation: 'ip' }, say('fixHostNetworksNoIp'));
    const { code, out, err } = await this.run(file, args, LOOK_MS);
    if (code === 0) return out;
    throw new HypervueError('io-error', say('hostLookFailed', { words: err.trim() || String(code) }), { operation: 'ip' });
  }

  async forwards(): Promise<boolean> {
    const { out } = await this.run('/bin/cat', ['/proc/sys/net/ipv4/ip_forward'], LOOK_MS);
    return out.trim() === '1';
  }

  async change({ steps, undo, forwarding }: Change): Promise<void> {
    const rights = this.rights();
    const words = [batch(steps.slice(0, 1)), batch(steps.slice(1)), batch(undo), forwarding ? 'forwarding' : ''];
    const { file, args } = asAdministrator(rights, CHANGE_SCRIPT, words);
    if (rights === 'none') throw new HypervueError('permission-denied', say('hostNoRights'), { operation: 'ip' });
    const { code, err } = await this.run(file, args, CHANGE_MS);
    if (code === 0) return;
    // pkexec(1): 126 when the window was closed, 127 when it may not.
    if (rights === 'ask' && (code === 126 || code === 127))
      throw new HypervueError('permission-denied', say('hostNotAllowed'), { operation: 'ip' }, say('fixHostNotAllowed'));
    const said = err.trim().split('\n').slice(-3).join(' ') || String(code ?? 'timeout');
    throw new HypervueError('io-error', say('hostChangeFailed', { words: said }), { operation: 'ip' }, say('fixHostChangeFailed'));
  }

  async begin({ steps, undo }: Change, files: TrialFiles, seconds: number): Promise<number> {
    const rights = this.rights();
    if (rights === 'none') throw new HypervueError('permission-denied', say('hostNoRights'), { operation: 'ip' });
    const words = [batch(steps.slice(0, 1)), batch(steps.slice(1)), batch(undo), files.keep, files.drop, String(seconds)];
    const script = asAdministrator(rights, TRIAL_SCRIPT, words);
    const [file, args] = this.place(script.file, script.args);
    const [log, errors] = [openSync(files.log, 'wx', 0o600), openSync(files.errors, 'wx', 0o600)];
    try {
      // A session of its own: it outlives this process, and its terminal.
      const child = spawn(file, args, { detached: true, stdio: ['ignore', log, errors], env: { ...process.env, LC_ALL: 'C' } });
      await new Promise<void>((resolve, reject) => {
        child.once('spawn', () => resolve());
        child.once('error', reject);
      });
      child.unref();
      return child.pid!;
    } finally {
      closeSync(log);
      closeSync(errors);
    }
  }

  /** Where programs run: here. */
  protected place(file: string, args: readonly string[]): [string, readonly string[]] {
    return [file, args];
  }

  private run(file: string, args: readonly string[], timeout: number): Promise<{ code: number | string | null; out: string; err: string }> {
    const [program, words] = this.place(file, args);
    return new Promise((resolve) => {
      execFile(program, words, { timeout, maxBuffer: 16 << 20, env: { ...process.env, LC_ALL: 'C' } }, (error, out, err) =>
        resolve({ code: error ? (error.code ?? null) : 0, out, err }),
      );
    });
  }
}
