import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { FromVmProcess, ProcessHandle, ProcessLauncher, ToVmProcess } from '../engine/builtin/protocol.ts';
import { VM_OPTIONS, vmEnvironment } from './vmenvironment.ts';

/** The VM process's entry: in the source tree when `from` (an import.meta.url below core/) is a source, else beside the bundle. */
export function vmProcessEntry(from: string): string {
  // Tests run managers, servers and the CLI without an emulator; a bundle has no such switch.
  const source = process.env.HYPERVUE_FAKE_VM === '1' ? 'engine/builtin/testing/fakevmprocess.ts' : 'vmprocess/main.ts';
  return processEntry(from, source, 'vmprocess.js');
}

/** The same of a network's process. */
export const networkProcessEntry = (from: string): string => processEntry(from, 'netprocess/main.ts', 'netprocess.js');

function processEntry(from: string, source: string, bundle: string): string {
  if (from.endsWith('.ts')) {
    const core = from.slice(0, from.lastIndexOf('/core/') + '/core/'.length);
    return fileURLToPath(new URL(source, core));
  }
  // Chunks of a bundle lie one folder deeper than its entries.
  for (const place of [`./${bundle}`, `../${bundle}`]) {
    const bundled = fileURLToPath(new URL(place, from));
    if (existsSync(bundled)) return bundled;
  }
  return fileURLToPath(new URL(`./${bundle}`, from));
}

/** ProcessLauncher of headless mode: plain child processes of Node. */
export class ChildProcessLauncher<To = ToVmProcess, From = FromVmProcess> implements ProcessLauncher<To, From> {
  private readonly entry: string;

  constructor(entry: string) {
    this.entry = entry;
  }

  launch(_name: string): ProcessHandle<To, From> {
    const env = vmEnvironment();
    // A terminal's Ctrl+C must reach the manager, which then ends its machines in order; so machines get a group of their own.
    const child = fork(this.entry, [], {
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env,
      execArgv: VM_OPTIONS,
      detached: process.platform !== 'win32',
    });
    return new ChildHandle<To, From>(child);
  }
}

class ChildHandle<To, From> implements ProcessHandle<To, From> {
  private readonly child: ChildProcess;
  private readonly exitListeners: ((code: number | null, signal: string | null) => void)[] = [];

  constructor(child: ChildProcess) {
    this.child = child;
    // A process that can't be started reports here, and then 'exit' never comes: its listeners are told all the same.
    child.on('error', (error) => {
      if (child.pid !== undefined) return;
      for (const listener of this.exitListeners) listener(null, error.message);
    });
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  send(message: To): void {
    if (this.child.connected) this.child.send(message as object, () => {});
  }

  onMessage(listener: (message: From) => void): void {
    this.child.on('message', (message) => listener(message as From));
  }

  onExit(listener: (code: number | null, signal: string | null) => void): void {
    this.exitListeners.push(listener);
    // 'close' comes after the last output, which the error wants to quote.
    this.child.on('close', listener);
  }

  onOutput(listener: (text: string) => void): void {
    this.child.stdout?.on('data', (chunk: Buffer) => listener(chunk.toString()));
    this.child.stderr?.on('data', (chunk: Buffer) => listener(chunk.toString()));
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}
