import { type Caller, type Role, roleCovers } from './access.ts';
import type { ErrorDto } from './errors.ts';
import { Floodgate } from './floodgate.ts';
import { type EventName, type EventPayload, type MethodName, methods, type ParsedParams, type Result } from './methods.ts';
import { noSuchMethod, tooManyCalls, wrongParams } from './refusals.ts';
import { eventRoles, methodRoles } from './roles.ts';
import { type SaidKey, saidTexts } from './saidtexts.ts';
import { fill } from './texts.ts';
import type { Transport, WireMessage } from './transport.ts';

/** The manager's side: one function a method. `caller` is absent when the program itself calls. */
export type Handlers = { [M in MethodName]: (params: ParsedParams<M>, caller?: Caller) => Promise<Result<M>> };

/** Why a client that floods the contract is cut off. */
export const FLOODED = 'too many messages: this client was cut off';

const roleKeys = { view: 'roleView', operate: 'roleOperate', manage: 'roleManage' } as const satisfies Record<Role, SaidKey>;

export interface ContractServerOptions {
  handlers: Handlers;
  /** Who the client is; its role decides what it may call. */
  caller: Caller;
  /** Turns anything thrown into what the client is told. */
  toError: (error: unknown, method: string) => ErrorDto;
  /** What a handler does is done within this. */
  within?: (work: () => Promise<unknown>) => Promise<unknown>;
  /** Calls one client may have under way; more are refused with 'resource-limit'. */
  maxPending?: number;
  now?: () => number;
}

/** Serves the contract to one client: checks names and parameters, answers, pushes events. */
export class ContractServer {
  private readonly transport: Transport;
  private readonly options: ContractServerOptions;
  private readonly gate: Floodgate;
  private pending = 0;
  private open = true;

  constructor(transport: Transport, options: ContractServerOptions) {
    this.transport = transport;
    this.options = options;
    this.gate = new Floodgate(options.now ?? Date.now);
    transport.onMessage((message) => void this.receive(message));
    transport.onClose(() => {
      this.open = false;
    });
  }

  emit<E extends EventName>(event: E, payload: EventPayload<E>): void {
    const { role } = this.options.caller;
    if (roleCovers(role, eventRoles[event] ?? 'view')) this.send({ type: 'event', event, payload });
  }

  /** Ends the connection; the client is told why where its line can carry that. */
  cut(reason: string): void {
    if (!this.open) return;
    this.open = false;
    this.transport.close(reason);
  }

  private async receive(message: unknown): Promise<void> {
    // What a client had sent before it was cut off.
    if (!this.open) return;
    if (!this.gate.message()) {
      this.cut(FLOODED);
      return;
    }
    const { type, id, method, params } = (typeof message === 'object' ? (message ?? {}) : {}) as Record<string, unknown>;
    if (type !== 'call' || typeof id !== 'number') {
      this.refuse();
      return;
    }
    if (typeof method !== 'string' || !Object.hasOwn(methods, method)) {
      this.fail(id, noSuchMethod(method));
      return;
    }
    const name = method as MethodName;
    // A method that nobody gave a role is for managers only.
    const needed = methodRoles[name] ?? 'manage';
    const { role } = this.options.caller;
    if (!roleCovers(role, needed)) {
      this.fail(id, {
        kind: 'permission-denied',
        message: fill(saidTexts.roleNeeded, { needed: saidTexts[roleKeys[needed]], role: saidTexts[roleKeys[role]] }),
        said: { key: 'roleNeeded', params: { needed: { key: roleKeys[needed], params: {} }, role: { key: roleKeys[role], params: {} } } },
        context: { operation: method, reason: 'role', needed, role },
        fix: saidTexts.fixRoleNeeded,
        saidFix: { key: 'fixRoleNeeded', params: {} },
      });
      return;
    }
    if (this.pending >= (this.options.maxPending ?? 256)) {
      this.fail(id, tooManyCalls(method));
      return;
    }
    const parsed = methods[name].params.safeParse(params);
    if (!parsed.success) {
      this.fail(id, wrongParams(method, parsed.error.issues[0]!, params));
      return;
    }
    this.pending++;
    try {
      const { handlers, caller, within } = this.options;
      const work = () => (handlers[name] as (p: unknown, c: Caller) => Promise<unknown>)(parsed.data, caller);
      const result = await (within ? within(work) : work());
      this.send({ type: 'result', id, result });
    } catch (error) {
      // The call was in order; what came of it is no refusal.
      this.send({ type: 'error', id, error: this.options.toError(error, method) });
    } finally {
      this.pending--;
    }
  }

  private fail(id: number, error: ErrorDto): void {
    this.send({ type: 'error', id, error });
    this.refuse();
  }

  private refuse(): void {
    if (!this.gate.refused()) this.cut(FLOODED);
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
