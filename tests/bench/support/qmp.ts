import { createConnection, type Socket } from 'node:net';

interface Answer {
  return?: unknown;
  error?: { desc: string };
  event?: string;
}

/** QEMU's machine protocol over a Unix socket: one JSON object a line each way. One command at a time. */
export class Qmp {
  private readonly socket: Socket;
  private rest = '';
  private readonly waiting: ((answer: Answer) => void)[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => {
      const lines = (this.rest + data.toString()).split('\n');
      this.rest = lines.pop()!;
      for (const line of lines) {
        const answer = JSON.parse(line) as Answer;
        // The greeting and events are nobody's answer.
        if ('return' in answer || 'error' in answer) this.waiting.shift()?.(answer);
      }
    });
  }

  static async connect(path: string): Promise<Qmp> {
    const socket = createConnection(path);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    const qmp = new Qmp(socket);
    await qmp.execute('qmp_capabilities');
    return qmp;
  }

  async execute(execute: string, args?: Record<string, unknown>): Promise<unknown> {
    const answer = await new Promise<Answer>((resolve) => {
      this.waiting.push(resolve);
      this.socket.write(`${JSON.stringify({ execute, ...(args ? { arguments: args } : {}) })}\n`);
    });
    if (answer.error) throw new Error(`${execute}: ${answer.error.desc}`);
    return answer.return;
  }

  /** A line of the human monitor; gives what it prints. */
  async monitor(line: string): Promise<string> {
    return (await this.execute('human-monitor-command', { 'command-line': line })) as string;
  }

  end(): void {
    this.socket.destroy();
  }
}
