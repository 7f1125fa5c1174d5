import { type ErrorDto, errorSchema } from './errors.ts';
import { type EventName, type EventPayload, events, type MethodName, methods, type Params, type Result } from './methods.ts';
import type { Transport } from './transport.ts';

/** A failed call, as the manager reported it or as the transport broke. */
export class ContractError extends Error {
  readonly dto: ErrorDto;

  constructor(dto: ErrorDto) {
    super(dto.message);
    this.name = 'ContractError';
    this.dto = dto;
  }

  get kind(): ErrorDto['kind'] {
    return this.dto.kind;
  }
}

/** The one client of the contract: renderer, CLI and tests all use it, over any Transport. */
export class ContractClient {
  private readonly transport: Transport;
  private readonly calls = new Map<
    number,
    { method: MethodName; resolve: (value: never) => void; reject: (error: ContractError) => void }
  >();
  private readonly listeners = new Map<string, Set<(payload: never) => void>>();
  private nextId = 1;
  private closed = false;
  private readonly closeListeners = new Set<() => void>();

  constructor(transport: Transport) {
    this.transport = transport;
    transport.onMessage((message) => this.receive(message));
    transport.onClose(() => this.handleClose());
  }

  /** Resolves with the checked result, rejects with ContractError. */
  call<M extends MethodName>(method: M, params: Params<M>): Promise<Result<M>> {
    return new Promise((resolve, reject) => {
      if (this.closed) {
        reject(disconnected(method));
        return;
      }
      const id = this.nextId++;
      this.calls.set(id, { method, resolve, reject });
      this.transport.send({ type: 'call', id, method, params });
    });
  }

  /** Returns the function that unsubscribes. */
  on<E extends EventName>(event: E, listener: (payload: EventPayload<E>) => void): () => void {
    let set = this.listeners.get(event);
    if (!set) this.listeners.set(event, (set = new Set()));
    set.add(listener as (payload: never) => void);
    return () => set.delete(listener as (payload: never) => void);
  }

  onClose(listener: () => void): () => void {
    this.closeListeners.add(listener);
    return () => this.closeListeners.delete(listener);
  }

  close(): void {
    this.transport.close();
    this.handleClose();
  }

  private receive(message: unknown): void {
    if (typeof message !== 'object' || message === null) return;
    const m = message as { type?: unknown; id?: unknown; result?: unknown; error?: unknown; event?: unknown; payload?: unknown };
    if (m.type === 'event' && typeof m.event === 'string' && Object.hasOwn(events, m.event)) {
      const parsed = events[m.event as EventName].safeParse(m.payload);
      if (parsed.success) for (const listener of [...(this.listeners.get(m.event) ?? [])]) listener(parsed.data as never);
      return;
    }
    if (typeof m.id !== 'number') return;
    const call = this.calls.get(m.id);
    if (!call) return;
    this.calls.delete(m.id);
    if (m.type === 'result') {
      const parsed = methods[call.method].result.safeParse(m.result);
      if (parsed.success) call.resolve(parsed.data as never);
      else
        call.reject(
          new ContractError({
            kind: 'internal',
            message: `the answer to ${call.method} has an unexpected shape`,
            context: { operation: call.method },
          }),
        );
    } else {
      const parsed = errorSchema.safeParse(m.error);
      call.reject(
        new ContractError(
          parsed.success ? parsed.data : { kind: 'internal', message: `${call.method} failed`, context: { operation: call.method } },
        ),
      );
    }
  }

  private handleClose(): void {
    if (this.closed) return;
    this.closed = true;
    for (const call of this.calls.values()) call.reject(disconnected(call.method));
    this.calls.clear();
    for (const listener of [...this.closeListeners]) listener();
  }
}

function disconnected(method: string): ContractError {
  return new ContractError({
    kind: 'io-error',
    message: 'the connection to Hypervue is closed',
    context: { operation: method },
    fix: 'Reload the page, or start Hypervue again.',
  });
}
