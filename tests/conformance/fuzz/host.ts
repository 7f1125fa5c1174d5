/** The host's processor as the reference: native.c, compiled on first use. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { RECORD_SIZE } from './layout.ts';

/** Flags of /proc/cpuinfo for what the guest's processor has. */
const NEEDED = ['avx2', 'fma', 'f16c', 'bmi1', 'bmi2', 'adx', 'movbe', 'aes', 'pclmulqdq', 'sse4_2', 'abm', 'fsgsbase', 'lahf_lm', 'cx16'];

let folder: string | undefined;

/** Why the host can't be asked, or undefined when it can. */
export function unavailable(): string | undefined {
  if (process.arch !== 'x64' || process.platform !== 'linux') return 'the reference is an x86-64 Linux host';
  const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.trim().split(' '));
  const missing = NEEDED.filter((name) => !flags.has(name));
  if (missing.length) return `this processor lacks ${missing.join(', ')}`;
  if (folder) return undefined;
  folder = mkdtempSync(path.join(tmpdir(), 'hypervue-fuzz-'));
  try {
    const options = ['-O2', '-Wall', '-fno-stack-protector', '-fcf-protection=none', '-mno-red-zone', '-Wl,-z,now'];
    execFileSync('gcc', [...options, '-o', path.join(folder, 'native'), 'native.c'], { cwd: import.meta.dirname, stdio: 'pipe' });
  } catch (error) {
    dispose();
    return `native.c does not compile: ${String(error).split('\n')[0]}`;
  }
  return undefined;
}

let segments: boolean | undefined;
/** The host's system lets a process have segments of its own. */
export function hasSegments(): boolean {
  segments ??= folder !== undefined && spawnSync(path.join(folder, 'native')).status === 0;
  return segments;
}

export function dispose(): void {
  if (folder) rmSync(folder, { recursive: true, force: true });
  folder = undefined;
}

/** What the records are after the host executed them. */
export function runOnHost(records: Uint8Array): Uint8Array {
  if (!folder) throw new Error('the host is not available');
  const file = path.join(folder, `cases-${process.pid}`);
  writeFileSync(file, records);
  const result = spawnSync(path.join(folder, 'native'), [file, String(records.length / RECORD_SIZE)], { timeout: 300_000 });
  if (result.status !== 0) throw new Error(`the host's run ended with ${result.status ?? result.signal}`);
  return readFileSync(file);
}
