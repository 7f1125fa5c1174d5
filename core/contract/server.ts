import type { ErrorDto } from './errors.ts';
import { type EventName, type EventPayload, type MethodName, methods, type ParsedParams, type Result } from './methods.ts';
import type { Transport, WireMessage } from './transport.ts';

/** The manager's side: one function a method. */
export type Handlers = { [M in MethodName]: (params: ParsedParams<M>) => Promise<Result<M>> };

export interface ContractServerOptions {
  handlers: Handlers;
  /** Turns anything thrown into what the client is told. */
  toError: (error: unknown, method: string) => ErrorDto;
  /** Calls one client may have under way; more are refused with 'resource-limit'. */
  maxPending?: number;
}

/** Serves the contract to one client: checks names and parameters, answers, pushes events. */
export class ContractServer {
  private readonly transport: Transport;
  private readonly options: ContractServerOptions;
  private pending = 0;
  private open = true;

  constructor(transport: Transport, options: ContractServerOptions) {
    this.transport = transport;
    this.options = options;
    transport.onMessage((message) => void this.receive(message));
    transport.onClose(() => {
      this.open = false;
    });
  }

  emit<E extends EventName>(event: E, payload: EventPayload<E>): void {
    this.send({ type: 'event', event, payload });
  }

  private async receive(message: unknown): Promise<void> {
    if (typeof message !== 'object' || message === null) return;
    const { type, id, method, params } = message as { type?: unknown; id?: unknown; method?: unknown; params?: unknown };
    if (type !== 'call' || typeof id !== 'number') return;
    if (typeof method !== 'string' || !Object.hasOwn(methods, method)) {
      this.fail(id, { kind: 'unsupported', message: 'there is no such method', context: { operation: String(method).slice(0, 64) } });
      return;
    }
    if (this.pending >= (this.options.maxPending ?? 256)) {
      this.fail(id, {
        kind: 'resource-limit',
        message: 'too many calls are under way',
        context: { operation: method },
        fix: 'Wait for earlier calls to finish.',
      });
      return;
    }
    const name = method as MethodName;
    const parsed = methods[name].params.safeParse(params);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      const field = issue?.path.join('.') ?? '';
      this.fail(id, {
        kind: 'invalid-argument',
        message: `${field || 'the request'}: ${issue?.message ?? 'is not valid'}`,
        context: { operation: method, field },
      });
      return;
    }
    this.pending++;
    try {
      const result = await (this.options.handlers[name] as (p: unknown) => Promise<unknown>)(parsed.data);
      this.send({ type: 'result', id, result });
    } catch (error) {
      this.fail(id, this.options.toError(error, method));
    } finally {
      this.pending--;
    }
  }

  private fail(id: number, error: ErrorDto): void {
    this.send({ type: 'error', id, error });
  }

  /** A line that breaks in the middle of a message is one that has closed. */
  private send(message: WireMessage): void {
    if (!this.open) return;
    try {
      this.transport.send(message);
    } catch {
      this.open = false;
      this.transport.close();
    }
  }
}
