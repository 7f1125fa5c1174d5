import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { FromVmProcess, ProcessLauncher, ToVmProcess, VmProcessHandle } from '../engine/builtin/protocol.ts';
import { VM_OPTIONS, vmEnvironment } from './vmenvironment.ts';

/** The VM process's entry: in the source tree when `from` (an import.meta.url below core/) is a source, else beside the bundle. */
export function vmProcessEntry(from: string): string {
  if (from.endsWith('.ts')) {
    const core = from.slice(0, from.lastIndexOf('/core/') + '/core/'.length);
    // Tests run managers, servers and the CLI without an emulator; a bundle has no such switch.
    const entry = process.env.HYPERVUE_FAKE_VM === '1' ? 'engine/builtin/testing/fakevmprocess.ts' : 'vmprocess/main.ts';
    return fileURLToPath(new URL(entry, core));
  }
  // Chunks of a bundle lie one folder deeper than its entries.
  for (const place of ['./vmprocess.js', '../vmprocess.js']) {
    const bundled = fileURLToPath(new URL(place, from));
    if (existsSync(bundled)) return bundled;
  }
  return fileURLToPath(new URL('./vmprocess.js', from));
}

/** ProcessLauncher of headless mode: plain child processes of Node. */
export class ChildProcessLauncher implements ProcessLauncher {
  private readonly entry: string;

  constructor(entry: string) {
    this.entry = entry;
  }

  launch(_name: string): VmProcessHandle {
    const env = vmEnvironment();
    // A terminal's Ctrl+C must reach the manager, which then ends its machines in order; so machines get a group of their own.
    const child = fork(this.entry, [], {
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env,
      execArgv: VM_OPTIONS,
      detached: process.platform !== 'win32',
    });
    return new ChildHandle(child);
  }
}

class ChildHandle implements VmProcessHandle {
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

  send(message: ToVmProcess): void {
    if (this.child.connected) this.child.send(message, () => {});
  }

  onMessage(listener: (message: FromVmProcess) => void): void {
    this.child.on('message', (message) => listener(message as unknown as FromVmProcess));
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
