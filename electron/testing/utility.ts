import { type ChildProcess, fork } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';

/** Gives a Node child what a utility process has: `process.parentPort`, and an end together with its parent. Its threads load it too, and have neither. */
const PARENT_PORT = `import { isMainThread } from 'node:worker_threads';
if (isMainThread) {
  process.parentPort = {
    postMessage: (message) => process.connected && process.send(message, () => {}),
    on: (_event, listener) => process.on('message', (data) => listener({ data })),
  };
  process.on('disconnect', () => process.exit());
}`;

/** A utility process as a child process of Node: like Electron's it has no pid before it runs, and its end is a number. */
export class Utility extends EventEmitter {
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  pid: number | undefined;
  readonly serviceName: string;
  private readonly child: ChildProcess;

  constructor(entry: string, env: NodeJS.ProcessEnv, serviceName: string) {
    super();
    this.serviceName = serviceName;
    // In Electron every process has the packed app's folder of resources.
    const { resourcesPath } = process as { resourcesPath?: string };
    const resources = resourcesPath === undefined ? '' : `process.resourcesPath = ${JSON.stringify(resourcesPath)};\n`;
    this.child = fork(entry, [], {
      env,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      serialization: 'advanced',
      execArgv: ['--import', `data:text/javascript,${encodeURIComponent(resources + PARENT_PORT)}`],
    });
    this.stdout = this.child.stdout;
    this.stderr = this.child.stderr;
    this.child.on('spawn', () => {
      this.pid = this.child.pid;
      this.emit('spawn');
    });
    this.child.on('message', (message) => this.emit('message', message));
    this.child.on('exit', (code, signal) => {
      this.pid = undefined;
      this.emit('exit', code ?? 128 + (signal ? constants.signals[signal] : 0));
    });
  }

  postMessage(message: unknown): void {
    if (this.child.connected) this.child.send(message as object, () => {});
  }

  kill(): boolean {
    return this.pid === undefined ? false : this.child.kill('SIGTERM');
  }
}
