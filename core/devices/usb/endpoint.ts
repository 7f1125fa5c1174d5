/** An endpoint of a device slot and its transfer ring: xHCI 1.2, sections 4.6.8 to 4.6.10, 4.8 and 4.10. */
import type { UsbDevice, UsbStatus } from '../../bus/usb/usbdevice.ts';
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { StateValue } from '../../snapshot/snapshottable.ts';
import * as X from './contexts.ts';
import type { UsbEvent } from './eventring.ts';
import * as T from './trb.ts';
import { gather, type TransferDescriptor, transferEvents } from './transferdescriptor.ts';
import { TrbRing } from './trbring.ts';

/** Transfers in one go; then others have their turn. */
const TURN = 64;

/** What endpoints ask of their controller. */
export interface EndpointHost {
  readonly memory: GuestMemory;
  /** The controller runs, and its events have room. */
  ready(): boolean;
  post(event: UsbEvent, quiet: boolean): void;
  /** Lets the controller call `run` of every endpoint a little later. */
  later(): void;
}

export class Endpoint {
  readonly index: number;
  readonly type: number;
  readonly ring: TrbRing;
  state = X.EP_RUNNING;
  private readonly host: EndpointHost;
  private readonly slot: number;
  private readonly device: () => UsbDevice | undefined;
  private readonly contexts: () => X.Contexts;
  /** The guest has rung, and not all that lay there then is done. */
  private rung = false;
  private turning = false;
  private current: TransferDescriptor | undefined;

  constructor(parts: {
    host: EndpointHost;
    slot: number;
    index: number;
    type: number;
    /** Undefined when nobody answers. */
    device: () => UsbDevice | undefined;
    contexts: () => X.Contexts;
  }) {
    this.host = parts.host;
    this.slot = parts.slot;
    this.index = parts.index;
    this.type = parts.type;
    this.device = parts.device;
    this.contexts = parts.contexts;
    this.ring = new TrbRing(parts.host.memory);
  }

  ringDoorbell(): void {
    if (this.state === X.EP_STOPPED) this.setState(X.EP_RUNNING);
    if (this.state !== X.EP_RUNNING) return;
    this.rung = true;
    this.run();
  }

  /** Does what lies on the ring, as far as the device answers at once. */
  run(): void {
    if (this.turning) return;
    this.turning = true;
    for (let turn = 0; this.rung && this.state === X.EP_RUNNING && !this.current && this.host.ready(); turn++) {
      if (turn === TURN) {
        this.host.later();
        break;
      }
      const next = gather(this.host.memory, this.ring, this.type === X.TYPE_CONTROL);
      if (next === undefined) this.rung = false;
      else if (next === 'malformed') this.malformed();
      else this.begin(next);
    }
    this.turning = false;
  }

  /** Stop endpoint: what was under way is told, and stays on the ring. */
  stop(): void {
    const { current } = this;
    this.recall();
    if (current) {
      const first = current.trbs[0]!;
      this.tell(first, T.CC_STOPPED, T.trbLength(first));
    }
    this.setState(X.EP_STOPPED);
  }

  /** Takes what is under way back from the device, to give it again later. */
  recall(): void {
    if (!this.current) return;
    this.current = undefined;
    this.device()?.cancel(X.endpointAddress(this.index));
  }

  /** The device is gone: what was under way has failed. */
  lost(): void {
    const { current } = this;
    this.current = undefined;
    if (current) this.finish(current, 'failed', 0);
  }

  /** Forgets what is under way without a word: the device was reset, and software knows. */
  forget(): void {
    this.current = undefined;
    this.rung = false;
  }

  setState(state: number): void {
    this.state = state;
    this.contexts().setEndpoint(this.index, state, this.ring.place);
  }

  save(): StateValue {
    return { index: this.index, type: this.type, state: this.state, rung: this.rung || this.current !== undefined, ring: this.ring.save() };
  }

  restore(state: StateReader): void {
    this.current = undefined;
    this.state = state.number('state', 0, X.EP_ERROR);
    this.rung = state.boolean('rung');
    this.ring.restore(state.object('ring'));
  }

  private begin(transfer: TransferDescriptor): void {
    if (transfer.empty) {
      this.finish(transfer, 'ok', 0);
      return;
    }
    const device = this.device();
    if (!device) {
      this.finish(transfer, 'failed', 0);
      return;
    }
    this.current = transfer;
    const { setup, data } = transfer;
    device.submit({ endpoint: X.endpointAddress(this.index), ...(setup && { setup }), data }, (status, bytes) => {
      if (this.current !== transfer) return;
      this.current = undefined;
      this.finish(transfer, status, bytes);
      this.run();
    });
  }

  private finish(transfer: TransferDescriptor, status: UsbStatus, bytes: number): void {
    if (status === 'ok') this.ring.place = transfer.end;
    else this.setState(X.EP_HALTED);
    for (const { event, quiet } of transferEvents(transfer, { slot: this.slot, endpoint: this.index }, CODES[status], bytes))
      this.host.post(event, quiet);
  }

  private malformed(): void {
    const at = this.ring.place.at;
    this.setState(X.EP_ERROR);
    this.tell({ at }, T.CC_TRB, 0);
  }

  private tell({ at }: { at: number }, code: number, length: number): void {
    const event = {
      low: at % 2 ** 32,
      high: Math.floor(at / 2 ** 32),
      status: ((code << 24) | length) >>> 0,
      control: ((this.slot << 24) | (this.index << 16) | (T.T_TRANSFER_EVENT << 10)) >>> 0,
    };
    this.host.post(event, false);
  }
}

const CODES: { [S in UsbStatus]: number } = { ok: T.CC_SUCCESS, stall: T.CC_STALL, babble: T.CC_BABBLE, failed: T.CC_TRANSACTION };
