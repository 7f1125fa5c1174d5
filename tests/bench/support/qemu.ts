import { type ChildProcess, spawn } from 'node:child_process';
import { cpuSeconds } from './procstat.ts';

/** QEMU's PC with a processor of the given width under its own translator (TCG), one processor, with COM1 on its standard output. */
export class Qemu {
  readonly child: ChildProcess;
  serial = '';
  private errors = '';
  private wake: (() => void) | undefined;

  constructor(args: readonly string[], width: 32 | 64 = 32) {
    this.child = spawn(
      width === 64 ? 'qemu-system-x86_64' : 'qemu-system-i386',
      ['-accel', 'tcg', '-machine', 'pc', '-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-no-reboot', ...args],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    this.child.stdout!.on('data', (data: Buffer) => {
      this.serial += data.toString('latin1');
      this.wake?.();
    });
    this.child.stderr!.on('data', (data: Buffer) => {
      this.errors += data.toString();
    });
    this.child.on('error', (error) => {
      this.errors += String(error);
      this.wake?.();
    });
    this.child.on('exit', () => this.wake?.());
  }

  get pid(): number {
    return this.child.pid!;
  }

  cpuSeconds(): number {
    return cpuSeconds(this.pid);
  }

  async onSerial(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const found = pattern.exec(this.serial);
      if (found) return found;
      if (this.child.exitCode !== null || this.child.pid === undefined) throw new Error(`QEMU ended: ${this.errors}`);
      if (Date.now() > deadline) throw new Error(`QEMU did not print ${pattern}: ${this.serial.slice(-300)} ${this.errors}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 200);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Into COM1. */
  type(text: string): void {
    this.child.stdin!.write(text);
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.pid === undefined) return;
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await ended;
  }
}
