import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { Mailbox } from '../memory/mailbox.ts';
import { errorFrom, HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { Logger } from '../util/logger.ts';
import type { CompileThreadData, FromMachine, MachineCommand, MachineThreadData, ToMachine } from './machinemessages.ts';
import { compileThreadBeside } from './runtimepaths.ts';
import { tuneWasm } from './wasmsetup.ts';

/** Neither thread keeps many young objects; V8's usual 48 MiB for them would only fill up with garbage before it is collected. */
const THREAD_LIMITS = { maxYoungGenerationSizeMb: 6 };
/** Milliseconds that the machine thread has to end by itself. */
const STOP_MS = 2000;

type Done = Extract<FromMachine, { t: 'done' }>;

export interface MachineThreadsParts {
  /** Name of the machine. */
  name: string;
  /** Entry of the machine thread; that of the compile thread lies beside it. */
  entry: URL;
  log: Logger;
  /** What the machine thread says by itself. */
  receive(message: FromMachine): void;
  /** It ended without being told to. */
  died(error: Error): void;
}

/** The whole memory behind an image, where nothing else lies in it. */
function ownBuffer(image: Uint8Array | undefined): ArrayBuffer | undefined {
  return image?.buffer instanceof ArrayBuffer && image.byteLength === image.buffer.byteLength ? image.buffer : undefined;
}

const errorOf = ({ error }: { error: NonNullable<Done['error']> }) => errorFrom(error);

/** The machine thread and the compile thread of a machine, as its process's main thread talks to them: messages, and requests that are answered. */
export class MachineThreads {
  private readonly parts: MachineThreadsParts;
  private mailbox: Mailbox | undefined;
  private worker: Worker | undefined;
  private compiler: Worker | undefined;
  private port: MessagePort | undefined;
  private readonly commands = new Map<number, { resolve: (message: Done) => void; reject: (error: Error) => void }>();
  private nextCommand = 1;

  constructor(parts: MachineThreadsParts) {
    this.parts = parts;
  }

  /** Resolves when the machine is set up and stands. `compile`: with the recompiler. */
  async start(data: Omit<MachineThreadData, 'port' | 'compilePort'>, compile: boolean): Promise<void> {
    this.mailbox = new Mailbox(data.memory);
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    const { bios, vgaBios, directBoot } = data.definition;
    // The machine thread alone needs the images from here on; a kernel and its initrd are large.
    const images = [bios, vgaBios, directBoot?.kernel, directBoot?.initrd].flatMap((image) => ownBuffer(image) ?? []);
    const transfer: (MessagePort | ArrayBuffer)[] = [port2, ...new Set(images)];
    const compilePort = compile ? this.startCompiler(data.memory) : undefined;
    if (compilePort) transfer.push(compilePort);
    const worker = new Worker(this.parts.entry, {
      workerData: { ...data, port: port2, compilePort } satisfies MachineThreadData,
      transferList: transfer,
      name: 'machine',
      resourceLimits: THREAD_LIMITS,
    });
    this.worker = worker;
    await new Promise<void>((resolve, reject) => {
      port1.on('message', (message: FromMachine) => {
        if (message.t === 'started') resolve();
        else if (message.t === 'failed') reject(errorOf(message));
        else if (message.t === 'done') this.settle(message);
        else this.parts.receive(message);
      });
      worker.on('error', (error) => {
        reject(error);
        this.parts.died(error instanceof Error ? error : new Error(String(error)));
      });
      worker.on('exit', (code) => {
        reject(new Error(`the machine thread ended with code ${code}`));
        this.parts.died(new Error(`the machine thread ended with code ${code}`));
      });
    });
  }

  post(message: ToMachine, transfer: ArrayBuffer[] = []): void {
    this.port?.postMessage(message, transfer);
    this.mailbox?.ring();
  }

  command(command: MachineCommand): Promise<Done> {
    return this.ask((id) => ({ t: 'command', id, command }), command);
  }

  /** Sends a request that the machine thread answers with `done`. */
  ask(message: (id: number) => ToMachine, operation: string): Promise<Done> {
    const { name } = this.parts;
    if (!this.port) throw new HypervueError('invalid-state', say('notRunning', { name }), { object: name, operation });
    const id = this.nextCommand++;
    return new Promise((resolve, reject) => {
      this.commands.set(id, { resolve, reject });
      this.post(message(id));
    });
  }

  /** Requests that are under way get no answer any more. */
  reject(reason: HypervueError): void {
    for (const command of this.commands.values()) command.reject(reason);
    this.commands.clear();
  }

  /** Ends both threads. */
  async stop(): Promise<void> {
    const { worker } = this;
    if (worker && this.port) {
      const stopped = new Promise<void>((resolve) => {
        worker.once('exit', () => resolve());
        setTimeout(resolve, STOP_MS).unref();
      });
      this.post({ t: 'command', id: 0, command: 'stop' });
      await stopped;
      await worker.terminate();
    }
    await this.compiler?.terminate();
    this.compiler = undefined;
  }

  /** After `stop`. */
  close(): void {
    const { name } = this.parts;
    this.reject(new HypervueError('cancelled', say('offMeanwhile', { name }), { object: name }));
    this.port?.close();
    this.port = undefined;
    this.worker = undefined;
  }

  /** Gives the machine thread's end of what it and the compile thread talk through. */
  private startCompiler(memory: WebAssembly.Memory): MessagePort {
    tuneWasm();
    const channel = new MessageChannel();
    const compileData: CompileThreadData = { memory, port: channel.port2 };
    this.compiler = new Worker(compileThreadBeside(this.parts.entry), {
      workerData: compileData,
      transferList: [channel.port2],
      name: 'compile',
      resourceLimits: THREAD_LIMITS,
    });
    // Without it the guest goes on in the interpreter.
    this.compiler.on('error', (error) =>
      this.parts.log.error(`the compile thread failed: ${error instanceof Error ? error.message : String(error)}`),
    );
    this.compiler.on('message', (error: string) => this.parts.log.error(`a region could not be compiled: ${error}`));
    return channel.port1;
  }

  private settle(message: Done): void {
    const command = this.commands.get(message.id);
    this.commands.delete(message.id);
    if (message.error) command?.reject(errorOf({ error: message.error }));
    else command?.resolve(message);
  }
}
