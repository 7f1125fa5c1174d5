import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { CpuModel } from '../../../core/contract/cpumodels.ts';
import type { NetworkCard } from '../../../core/contract/networks.ts';
import type { Drive } from '../../../core/contract/vm.ts';
import { VM_OPTIONS, vmEnvironment } from '../../../core/platform/vmenvironment.ts';
import { linuxProgram, type Width } from './programs.ts';

/** For both widths: what a 32-bit system finds on a 64-bit processor is part of what it costs. */
export const OUR_MODEL: CpuModel = 'x86-64-v2';

export type Accel = 'interp' | 'jit';

/** What is to be booted. */
export interface Boot {
  width: Width;
  kernel: string;
  initrd: string;
  cmdline: string;
  memoryMiB: number;
  /** Of ours. */
  drives?: Drive[];
  /** Of ours: where the cable of its card leads. */
  card?: Pick<NetworkCard, 'model' | 'mac'> & { socket: string };
}

const script = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Each runs a guest in a process of its own, ours with the options of a VM process, with COM1 on its standard output. */
export const emulators = {
  ours: ({ kernel, initrd, cmdline, memoryMiB, drives = [], card }: Boot, accel: Accel) =>
    spawn(
      process.execPath,
      [...VM_OPTIONS, script('ourguest.ts'), accel, kernel, initrd, cmdline, String(memoryMiB), JSON.stringify({ drives, card })],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, ...vmEnvironment() },
      },
    ),
  tcg: (boot: Boot) =>
    spawn(
      boot.width === 64 ? 'qemu-system-x86_64' : 'qemu-system-i386',
      [
        ...['-accel', 'tcg', '-machine', 'pc', '-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-no-reboot'],
        ...['-kernel', boot.kernel, '-initrd', boot.initrd, '-append', boot.cmdline, '-m', String(boot.memoryMiB)],
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    ),
  v86: (boot: Boot) =>
    spawn(process.execPath, [script('v86guest.ts'), boot.kernel, boot.initrd, boot.cmdline, String(boot.memoryMiB)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
} as const;

/** The same program on the host, in the folder's files; needs root for the chroot. */
export const native = (width: Width, root: string, names: string, percent: number): ChildProcess =>
  spawn(linuxProgram(width), ['native', names, String(percent), root], { stdio: ['ignore', 'pipe', 'pipe'] });

/** Gives every piece of output to `onText` until that says it has enough, the process ends or the time is over; ends the process. */
export async function watch(child: ChildProcess, limitMs: number, onText: (text: string) => boolean): Promise<void> {
  let errors = '';
  let tail = '';
  try {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`not done in ${limitMs / 1000} s; the last output: ${tail}`)), limitMs);
      child.stdout!.on('data', (data: Buffer) => {
        const text = data.toString('latin1');
        tail = (tail + text).slice(-300);
        if (!onText(text)) return;
        clearTimeout(timer);
        resolve();
      });
      child.stderr!.on('data', (data: Buffer) => {
        errors = (errors + data.toString()).slice(-2000);
      });
      child.on('error', reject);
      child.on('close', (code) => {
        clearTimeout(timer);
        reject(new Error(`ended with ${code} before it was done: ${errors} ${tail}`));
      });
    });
  } finally {
    if (child.exitCode === null && child.pid !== undefined) {
      const closed = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGTERM');
      await closed;
    }
  }
}
