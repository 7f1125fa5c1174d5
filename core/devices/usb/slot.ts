/** A device slot: xHCI 1.2, sections 4.5 and 4.6.3 to 4.6.11. Commands give completion codes. */
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { StateValue } from '../../snapshot/snapshottable.ts';
import * as X from './contexts.ts';
import { Endpoint, type EndpointHost } from './endpoint.ts';
import type { RootPort } from './rootport.ts';
import * as T from './trb.ts';

export interface SlotHost extends EndpointHost {
  /** Where the guest wants the slot's device context. */
  deviceContext(slot: number): number;
  port(number: number): RootPort | undefined;
  /** Another slot has the port's device already. */
  taken(port: RootPort, slot: DeviceSlot): boolean;
}

export class DeviceSlot {
  readonly id: number;
  enabled = false;
  port: RootPort | undefined;
  private state = X.SLOT_ENABLED;
  private contextAt = 0;
  private readonly host: SlotHost;
  private readonly memory: GuestMemory;
  private readonly endpoints = new Map<number, Endpoint>();

  constructor(host: SlotHost, id: number) {
    this.host = host;
    this.memory = host.memory;
    this.id = id;
  }

  endpoint(index: number): Endpoint | undefined {
    return this.endpoints.get(index);
  }

  get all(): Iterable<Endpoint> {
    return this.endpoints.values();
  }

  enable(): void {
    this.disable();
    this.enabled = true;
  }

  disable(): void {
    this.drop();
    this.enabled = false;
    this.port = undefined;
    this.state = X.SLOT_ENABLED;
    this.contextAt = 0;
  }

  /** Address device, section 4.6.5. */
  address(input: number, keepDefault: boolean): number {
    const { add, contexts } = X.Contexts.input(this.memory, input);
    if ((add & 3) !== 3 || contexts.endpointType(X.CONTROL) !== X.TYPE_CONTROL) return T.CC_PARAMETER;
    if (this.state > X.SLOT_DEFAULT || (this.state === X.SLOT_DEFAULT && keepDefault)) return T.CC_CONTEXT_STATE;
    const { port: number, hubs } = contexts.route;
    const port = this.host.port(number);
    if (!port || hubs !== 0) return T.CC_PARAMETER;
    if (this.host.taken(port, this)) return T.CC_PARAMETER;
    if (!port.enabled) return T.CC_TRANSACTION;
    this.port = port;
    this.contextAt = this.host.deviceContext(this.id);
    const output = this.contexts;
    output.copyFrom(contexts, 0);
    output.copyFrom(contexts, X.CONTROL);
    this.open(X.CONTROL);
    this.setState(keepDefault ? X.SLOT_DEFAULT : X.SLOT_ADDRESSED);
    return T.CC_SUCCESS;
  }

  /** Configure endpoint, section 4.6.6. Endpoint types that are not here (isochronous) are refused as a whole. */
  configure(input: number, deconfigure: boolean): number {
    if (this.state < X.SLOT_ADDRESSED) return T.CC_CONTEXT_STATE;
    const output = this.contexts;
    if (deconfigure) {
      for (const index of [...this.endpoints.keys()]) if (index !== X.CONTROL) this.close(index);
      this.setState(X.SLOT_ADDRESSED);
      return T.CC_SUCCESS;
    }
    const { drop, add, contexts } = X.Contexts.input(this.memory, input);
    if (drop & 3 || add & 2) return T.CC_PARAMETER;
    for (let index = 2; index <= X.LAST_ENDPOINT; index++) {
      if (!((add >>> index) & 1)) continue;
      const type = contexts.endpointType(index);
      if (!X.knownType(type) || type === X.TYPE_CONTROL || (index & 1) !== type >> 2) return T.CC_PARAMETER;
      if (this.endpoints.has(index) && !((drop >>> index) & 1)) return T.CC_PARAMETER;
    }
    for (let index = 2; index <= X.LAST_ENDPOINT; index++) {
      if ((drop >>> index) & 1) this.close(index);
      if (!((add >>> index) & 1)) continue;
      output.copyFrom(contexts, index);
      this.open(index);
    }
    if (add & 1) output.write(0, 0, contexts.read(0, 0));
    this.setState(this.endpoints.size > 1 ? X.SLOT_CONFIGURED : X.SLOT_ADDRESSED);
    return T.CC_SUCCESS;
  }

  /** Evaluate context, section 4.6.7: exit latency and interrupter of the slot, packet size of the control endpoint. */
  evaluate(input: number): number {
    if (this.state === X.SLOT_ENABLED) return T.CC_CONTEXT_STATE;
    const { add, contexts } = X.Contexts.input(this.memory, input);
    const output = this.contexts;
    if (add & 1) {
      output.write(0, 1, (output.read(0, 1) & ~0xffff) | (contexts.read(0, 1) & 0xffff));
      output.write(0, 2, (output.read(0, 2) & 0x3f_ffff) | (contexts.read(0, 2) & ~0x3f_ffff));
    }
    if (add & 2) output.write(X.CONTROL, 1, (output.read(X.CONTROL, 1) & 0xffff) | (contexts.read(X.CONTROL, 1) & ~0xffff));
    return T.CC_SUCCESS;
  }

  /** Reset device, section 4.6.11. */
  resetDevice(): number {
    if (this.state < X.SLOT_ADDRESSED) return T.CC_CONTEXT_STATE;
    for (const index of [...this.endpoints.keys()]) if (index !== X.CONTROL) this.close(index);
    this.setState(X.SLOT_DEFAULT);
    return T.CC_SUCCESS;
  }

  stopEndpoint(index: number): number {
    return this.inState(index, [X.EP_RUNNING], (endpoint) => endpoint.stop());
  }

  resetEndpoint(index: number): number {
    return this.inState(index, [X.EP_HALTED], (endpoint) => endpoint.setState(X.EP_STOPPED));
  }

  setDequeue(index: number, at: number, cycle: number): number {
    return this.inState(index, [X.EP_STOPPED, X.EP_ERROR], (endpoint) => {
      endpoint.ring.set(at, cycle);
      endpoint.setState(X.EP_STOPPED);
    });
  }

  save(): StateValue {
    return {
      id: this.id,
      state: this.state,
      contextAt: this.contextAt,
      port: this.port?.number ?? 0,
      endpoints: [...this.endpoints.values()].map((endpoint) => endpoint.save()),
    };
  }

  restore(state: StateReader): void {
    this.disable();
    this.enabled = true;
    this.state = state.number('state', 0, X.SLOT_CONFIGURED);
    this.contextAt = state.number('contextAt', 0);
    this.port = this.host.port(state.number('port', 0, 0xff));
    for (const saved of state.list('endpoints', X.LAST_ENDPOINT)) {
      const index = saved.number('index', X.CONTROL, X.LAST_ENDPOINT);
      const type = saved.number('type', 0, 7);
      this.make(index, type).restore(saved);
    }
  }

  private get contexts(): X.Contexts {
    return new X.Contexts(this.memory, this.contextAt);
  }

  private setState(state: number): void {
    this.state = state;
    // Addresses are given by the controller: that of the slot.
    this.contexts.setSlot(state, state >= X.SLOT_ADDRESSED ? this.id : 0);
  }

  private inState(index: number, states: readonly number[], act: (endpoint: Endpoint) => void): number {
    const endpoint = this.endpoints.get(index);
    if (!endpoint) return T.CC_ENDPOINT_NOT_ENABLED;
    if (!states.includes(endpoint.state)) return T.CC_CONTEXT_STATE;
    act(endpoint);
    return T.CC_SUCCESS;
  }

  /** An endpoint as its context has it, ready to run. */
  private open(index: number): void {
    this.endpoints.get(index)?.recall();
    const output = this.contexts;
    const endpoint = this.make(index, output.endpointType(index));
    const { at, cycle } = output.dequeue(index);
    endpoint.ring.set(at, cycle);
    endpoint.setState(X.EP_RUNNING);
  }

  private make(index: number, type: number): Endpoint {
    const endpoint = new Endpoint({
      host: this.host,
      slot: this.id,
      index,
      type,
      device: () => (this.port?.enabled ? this.port.device : undefined),
      contexts: () => this.contexts,
    });
    this.endpoints.set(index, endpoint);
    return endpoint;
  }

  private close(index: number): void {
    const endpoint = this.endpoints.get(index);
    if (!endpoint) return;
    endpoint.recall();
    endpoint.setState(X.EP_DISABLED);
    this.endpoints.delete(index);
  }

  private drop(): void {
    for (const endpoint of this.endpoints.values()) endpoint.recall();
    this.endpoints.clear();
  }
}
