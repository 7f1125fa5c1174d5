import type { Command } from 'commander';
import type { VmSummary } from '../contract/vm.ts';
import { appFolders } from '../platform/folders.ts';
import { HypervueError } from '../util/errors.ts';
import { createLogger } from '../util/logger.ts';
import { type Connection, connect } from './connection.ts';
import { EXIT_ERROR, EXIT_OK, reportError } from './output.ts';

export interface Session extends Connection {
  json: boolean;
  /** `value` as JSON with --json, else what `text` makes of it. */
  print<T>(value: T, text: (value: T) => string): void;
  /** The machine of this id or name. Rejects with 'not-found', or 'invalid-argument' when several share the name. */
  machine(nameOrId: string): Promise<VmSummary>;
  /** Does what this process does itself: it ends with `signal` when the user interrupts it, and removes what it had begun. */
  interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

/** What a shell says of a program that an interrupt ended: 128 and the number of SIGINT. */
const EXIT_INTERRUPTED = 130;

/**
 * What Ctrl+C does while a command runs: its tasks are cancelled, and it ends when they have removed what they had begun. Where there is nothing to
 * cancel, and for the second time, it ends at once.
 */
class Interruption {
  /** Of the command, once there is one. */
  connection: Connection | undefined;
  private readonly abort = new AbortController();
  private guarded = 0;
  private readonly stop = () => void this.interrupted();

  constructor() {
    process.on('SIGINT', this.stop).on('SIGTERM', this.stop);
  }

  async during<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.guarded++;
    try {
      return await work(this.abort.signal);
    } finally {
      this.guarded--;
    }
  }

  over(): void {
    process.off('SIGINT', this.stop).off('SIGTERM', this.stop);
  }

  private async interrupted(): Promise<void> {
    if (this.abort.signal.aborted) process.exit(EXIT_INTERRUPTED);
    this.abort.abort(new HypervueError('cancelled', 'interrupted'));
    const { cancelled } = (await this.connection?.client.call('task.cancelOwn', {}).catch(() => undefined)) ?? { cancelled: 0 };
    if (!cancelled && !this.guarded) process.exit(EXIT_INTERRUPTED);
  }
}

/** Runs one command over a connection and ends the process with its exit code. */
export type RunSession = (local: boolean, work: (session: Session) => Promise<number | undefined>) => Promise<void>;

export function sessionRunner(program: Command, entry: string): RunSession {
  return async (local, work) => {
    const json = [program, ...program.commands.flatMap((command) => [command, ...command.commands])].some((command) =>
      Boolean(command.opts<{ json?: boolean }>().json),
    );
    const log = createLogger((level, _scope, message) => {
      if (level === 'warn' || level === 'error') process.stderr.write(`[${level}] ${message}\n`);
    });
    let connection: Connection | undefined;
    let code: number = EXIT_OK;
    const interruption = new Interruption();
    try {
      connection = await connect({ folders: appFolders(), entry, log, local });
      interruption.connection = connection;
      code = (await work(session(connection, json, interruption))) ?? EXIT_OK;
    } catch (error) {
      reportError(error, json);
      code = EXIT_ERROR;
    }
    await connection?.close();
    interruption.over();
    // Written output may still be in the pipe.
    process.exitCode = code;
    await new Promise<void>((resolve) => process.stdout.write('', () => resolve()));
    process.exit(code);
  };
}

function session(connection: Connection, json: boolean, interruption: Interruption): Session {
  return {
    ...connection,
    json,
    interruptible: (work) => interruption.during(work),
    print: (value, text) => {
      const output = json ? JSON.stringify(value) : text(value);
      if (output !== '') process.stdout.write(output.endsWith('\n') ? output : `${output}\n`);
    },
    machine: async (nameOrId) => {
      const machines = await connection.client.call('vm.list', {});
      const byId = machines.find(({ id }) => id === nameOrId);
      if (byId) return byId;
      const named = machines.filter(({ name }) => name === nameOrId);
      if (named.length === 1) return named[0]!;
      if (named.length > 1)
        throw new HypervueError(
          'invalid-argument',
          `${named.length} machines are named ${nameOrId}`,
          { object: nameOrId },
          `Use an id: ${named.map(({ id }) => id).join(', ')}`,
        );
      throw new HypervueError('not-found', `there is no machine named ${nameOrId}`, { object: nameOrId }, 'See `hypervue list`.');
    },
  };
}
