import type { Caller } from '../contract/access.ts';
import type { ErrorDto } from '../contract/errors.ts';
import type { EventName, EventPayload } from '../contract/methods.ts';
import { ContractServer, type Handlers } from '../contract/server.ts';
import type { Transport } from '../contract/transport.ts';
import { asHypervueError } from '../util/errors.ts';
import type { Logger } from '../util/logger.ts';

/** Those who talk to the manager: windows, browsers, commands. */
export class Clients {
  private readonly log: Logger;
  private readonly servers = new Set<ContractServer>();

  constructor(log: Logger) {
    this.log = log;
  }

  get some(): boolean {
    return this.servers.size > 0;
  }

  /** Serves one client until its transport closes. */
  connect(transport: Transport, handlers: Handlers, caller: Caller, within: <T>(work: () => Promise<T>) => Promise<T>): ContractServer {
    const server = new ContractServer(transport, { handlers, caller, within, toError: (error, method) => this.toError(error, method) });
    this.servers.add(server);
    transport.onClose(() => this.servers.delete(server));
    return server;
  }

  /** Pushes an event to every client. */
  emit<E extends EventName>(event: E, payload: EventPayload<E>): void {
    for (const server of [...this.servers]) server.emit(event, payload);
  }

  private toError(error: unknown, method: string): ErrorDto {
    const failure = asHypervueError(error, { operation: method });
    if (failure.kind === 'internal') this.log.error(`${method}: ${failure.cause instanceof Error ? failure.cause.stack : failure.message}`);
    return failure.toJSON();
  }
}
