/** qemu-img and qemu-io as the reference, over files in a folder that goes away with the test. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';

/** A folder for the running test. */
export function scratch(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-disk-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What qemu-img says when it measured how quick this computer derives keys and the clock of its thread stood still or jumped; it knows no other way then. */
const CLOCK_TROUBLE = 'Unable to get accurate CPU usage';

/** Runs qemu-img; throws with what it printed when it fails. */
export function qemuImg(...args: string[]): string {
  let result = spawnSync('qemu-img', args, { encoding: 'utf8' });
  for (let tries = 1; tries < 10 && result.stderr.includes(CLOCK_TROUBLE); tries++)
    result = spawnSync('qemu-img', args, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`qemu-img ${args.join(' ')}: code ${result.status}\n${result.stdout}${result.stderr}`);
  return result.stdout;
}

/** qemu-io with the given commands on an image; throws when a pattern does not match. */
export function qemuIo(image: string, format: string, ...commands: string[]): string {
  const out = execFileSync('qemu-io', ['-f', format, ...commands.flatMap((command) => ['-c', command]), image], { encoding: 'utf8' });
  if (/failed|mismatch|error/i.test(out)) throw new Error(`qemu-io ${commands.join('; ')}: ${out}`);
  return out;
}

export interface CheckResult {
  errors: number;
  corruptions: number;
  leaks: number;
  text: string;
}

/** What `qemu-img check` finds, or what is left after it repaired leaks. */
export function qemuCheck(image: string, format = 'qcow2', repair?: 'leaks'): CheckResult {
  const result = spawnSync('qemu-img', ['check', '-f', format, ...(repair ? ['-r', repair] : []), '--output=json', image], {
    encoding: 'utf8',
  });
  const text = result.stdout + result.stderr;
  const json = JSON.parse(result.stdout.slice(result.stdout.indexOf('{'))) as {
    'check-errors': number;
    corruptions?: number;
    leaks?: number;
  };
  return { errors: json['check-errors'], corruptions: json.corruptions ?? 0, leaks: json.leaks ?? 0, text };
}
