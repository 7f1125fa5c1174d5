import type { Readable } from 'node:stream';
import type { UtilityProcess, utilityProcess as UtilityProcessModule } from 'electron';
import type { FromVmProcess, ProcessHandle, ProcessLauncher, ToVmProcess } from '../../core/engine/builtin/protocol.ts';
import { V8_OPTIONS, vmEnvironment } from '../../core/platform/vmenvironment.ts';

/** How long a process that ended may still be heard. */
const OUTPUT_MS = 250;

/** ProcessLauncher over Electron's utility processes: a crash of one is seen here and takes nothing else down. */
export class UtilityProcessLauncher<To = ToVmProcess, From = FromVmProcess> implements ProcessLauncher<To, From> {
  private readonly utilityProcess: typeof UtilityProcessModule;
  private readonly entry: string;
  private readonly what: string;

  /** `entry` is the path of a bundle such as vmprocess.js, `what` it runs. */
  constructor(utilityProcess: typeof UtilityProcessModule, entry: string, what: 'machine' | 'network' = 'machine') {
    this.utilityProcess = utilityProcess;
    this.entry = entry;
    this.what = what;
  }

  launch(name: string): ProcessHandle<To, From> {
    const env = vmEnvironment();
    // Chromium's switch for options of V8.
    const execArgv = [`--js-flags=${V8_OPTIONS.join(' ')}`];
    const child = this.utilityProcess.fork(this.entry, [], { serviceName: `Hypervue ${this.what}: ${name}`, stdio: 'pipe', env, execArgv });
    return new UtilityHandle<To, From>(child);
  }
}

class UtilityHandle<To, From> implements ProcessHandle<To, From> {
  private readonly child: UtilityProcess;
  private readonly outputListeners: ((text: string) => void)[] = [];

  constructor(child: UtilityProcess) {
    this.child = child;
    // V8 gave up, out of memory for one. The process ends by itself and 'exit' follows; without a listener the error would end this process too.
    child.on('error', (type, location) => {
      for (const listener of this.outputListeners) listener(`${type} in ${location}\n`);
    });
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  send(message: To): void {
    this.child.postMessage(message);
  }

  onMessage(listener: (message: From) => void): void {
    this.child.on('message', listener);
  }

  onExit(listener: (code: number | null, signal: string | null) => void): void {
    // Electron reports a signal as a code above 128 or a platform-specific number; 0 is the only clean end.
    this.child.on('exit', (code) => void this.outputEnded().then(() => listener(code, null)));
  }

  onOutput(listener: (text: string) => void): void {
    this.outputListeners.push(listener);
    this.child.stdout?.on('data', (chunk: Buffer) => listener(chunk.toString()));
    this.child.stderr?.on('data', (chunk: Buffer) => listener(chunk.toString()));
  }

  /** The last output may come after the end, and the error of a crash wants to quote it. */
  private async outputEnded(): Promise<void> {
    const ends = [this.child.stdout, this.child.stderr].map((stream) => {
      if (!stream || (stream as Readable).readableEnded || (stream as Readable).destroyed) return undefined;
      return new Promise<void>((resolve) => {
        stream.once('end', () => resolve());
        stream.once('close', () => resolve());
      });
    });
    await Promise.race([Promise.all(ends), new Promise((resolve) => setTimeout(resolve, OUTPUT_MS))]);
  }

  kill(): void {
    const { pid } = this.child;
    if (pid === undefined) {
      // Not there yet, or gone: Electron can only end what runs.
      this.child.once('spawn', () => this.kill());
      return;
    }
    // Electron's own kill is SIGTERM, which a process that hangs never hears; it also reaps.
    this.child.kill();
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended already.
    }
  }
}
