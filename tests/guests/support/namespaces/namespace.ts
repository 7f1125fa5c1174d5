import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ProcessHandle, ProcessLauncher } from '../../../../core/engine/builtin/protocol.ts';
import type { FromNetworkProcess, ToNetworkProcess } from '../../../../core/net/processprotocol.ts';
import { VM_OPTIONS, vmEnvironment } from '../../../../core/platform/vmenvironment.ts';
import { TUN_FILE } from '../../../../core/platform/tap.ts';

const NETWORK_PROCESS = fileURLToPath(new URL('../../../../core/netprocess/main.ts', import.meta.url));
const MACHINE = fileURLToPath(new URL('tapmachine.ts', import.meta.url));
const COMMAND_MS = 60_000;

/** Why there can be no namespaces with TAP devices here; undefined where there can. */
export function noNamespaces(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces are there on Linux only';
  if (process.getuid?.() !== 0) return 'making network namespaces takes root';
  try {
    accessSync(TUN_FILE, constants.R_OK | constants.W_OK);
    const probes = ['tuntap add dev hvtap mode tap', 'link add hvbridge type bridge', 'link add hvone type veth peer name hvtwo'];
    execFileSync('unshare', ['--net', 'sh', '-c', probes.map((probe) => `ip ${probe}`).join(' && ')], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    return `no namespace with a TAP device: ${(error as Error).message.split('\n').slice(0, 2).join(' ')}`;
  }
}

/** A network namespace: a computer of its own, as far as interfaces go. Nothing in it is this computer's. */
export class Namespace {
  private readonly holder: ChildProcess;
  private readonly children: ChildProcess[] = [];

  private constructor(holder: ChildProcess) {
    this.holder = holder;
  }

  static async open(): Promise<Namespace> {
    // It says that it is in its own namespace before anything is done there.
    const holder = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up && echo there && exec sleep infinity'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise<void>((resolve, reject) => {
      holder.stdout!.once('data', () => resolve());
      holder.once('exit', (code) => reject(new Error(`unshare ended with ${code}`)));
      holder.once('error', reject);
    });
    return new Namespace(holder);
  }

  get pid(): number {
    return this.holder.pid!;
  }

  /** A command line that runs `words` in it. */
  inside(...words: string[]): [string, string[]] {
    return ['nsenter', ['--target', String(this.pid), '--net', '--', ...words]];
  }

  /** Runs a command in it; resolves with what it says. Rejects where it fails. */
  run(...words: string[]): Promise<string> {
    const [file, args] = this.inside(...words);
    return new Promise((resolve, reject) => {
      execFile(file, args, { timeout: COMMAND_MS, maxBuffer: 16 << 20 }, (error, out, err) =>
        error ? reject(new Error(`${words.join(' ')}: ${err || error.message}`)) : resolve(out),
      );
    });
  }

  ip(...words: string[]): Promise<string> {
    return this.run('ip', ...words);
  }

  /** A process of Node in it, ended with it. */
  node(entry: string, ...args: string[]): ChildProcess {
    const [file, words] = this.inside(process.execPath, entry, ...args);
    const child = spawn(file, words, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'], serialization: 'advanced', env: process.env });
    this.children.push(child);
    return child;
  }

  /** A machine on a network, whose system is the kernel in this namespace: its interface `device` is its card. Resolves once its cable is in. */
  async machine(device: string, socket: string, member: { vm: string; card: string; mac: string }): Promise<ChildProcess> {
    await this.ip('tuntap', 'add', 'dev', device, 'mode', 'tap');
    await this.ip('link', 'set', 'dev', device, 'address', member.mac);
    await this.ip('link', 'set', 'dev', device, 'up');
    const child = this.node(MACHINE, device, socket, member.vm, member.card, member.mac);
    await new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve());
      child.once('exit', (code) => reject(new Error(`the machine ended with ${code}`)));
    });
    return child;
  }

  /** Starts networks' processes in it. */
  readonly launcher: ProcessLauncher<ToNetworkProcess, FromNetworkProcess> = {
    launch: () => {
      const [file, args] = this.inside(process.execPath, ...VM_OPTIONS, NETWORK_PROCESS);
      const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], serialization: 'advanced', env: vmEnvironment() });
      this.children.push(child);
      return handleOf(child);
    },
  };

  async close(): Promise<void> {
    for (const child of [...this.children, this.holder]) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    }
  }
}

function handleOf(child: ChildProcess): ProcessHandle<ToNetworkProcess, FromNetworkProcess> {
  return {
    get pid() {
      return child.pid;
    },
    send: (message) => {
      if (child.connected) child.send(message, () => {});
    },
    onMessage: (listener) => void child.on('message', (message) => listener(message as FromNetworkProcess)),
    onExit: (listener) => void child.on('close', listener),
    onOutput: (listener) => {
      for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => listener(chunk.toString()));
    },
    kill: () => void child.kill('SIGKILL'),
  };
}
