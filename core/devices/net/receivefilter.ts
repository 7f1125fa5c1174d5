import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';

const MAC_BYTES = 6;

const isBroadcast = (frame: Uint8Array) => {
  for (let i = 0; i < MAC_BYTES; i++) if (frame[i] !== 0xff) return false;
  return true;
};

/** Six bytes as one number. */
const macNumber = (bytes: Uint8Array, at = 0): number => {
  let value = 0;
  for (let i = 0; i < MAC_BYTES; i++) value = value * 256 + bytes[at + i]!;
  return value;
};

/** Which frames are for the guest, as its driver said. Virtual I/O Device (VIRTIO) version 1.2, sections 5.1.6.5.1 and 5.1.6.5.2. */
export class ReceiveFilter {
  /** Everything, until the driver has said otherwise. */
  promiscuous = true;
  allMulticast = false;
  allUnicast = false;
  noMulticast = false;
  noUnicast = false;
  noBroadcast = false;
  readonly mac: Uint8Array;
  private unicast = new Set<number>();
  private multicast = new Set<number>();
  private own: number;

  /** `mac`: kept up to date by its owner, who calls `macChanged`. */
  constructor(mac: Uint8Array) {
    this.mac = mac;
    this.own = macNumber(mac);
  }

  macChanged(): void {
    this.own = macNumber(this.mac);
  }

  reset(): void {
    this.promiscuous = true;
    this.allMulticast = this.allUnicast = this.noMulticast = this.noUnicast = this.noBroadcast = false;
    this.unicast.clear();
    this.multicast.clear();
    this.macChanged();
  }

  /** Addresses one after the other, six bytes each. */
  setTables(unicast: Uint8Array, multicast: Uint8Array): void {
    this.unicast = addresses(unicast);
    this.multicast = addresses(multicast);
  }

  takes(frame: Uint8Array): boolean {
    if (this.promiscuous) return true;
    if (isBroadcast(frame)) return !this.noBroadcast;
    const to = macNumber(frame);
    if (frame[0]! & 1) return !this.noMulticast && (this.allMulticast || this.multicast.has(to));
    return !this.noUnicast && (this.allUnicast || to === this.own || this.unicast.has(to));
  }

  save(): { [key: string]: StateValue } {
    const { promiscuous, allMulticast, allUnicast, noMulticast, noUnicast, noBroadcast, unicast, multicast } = this;
    const flags = { promiscuous, allMulticast, allUnicast, noMulticast, noUnicast, noBroadcast };
    return { ...flags, unicast: [...unicast], multicast: [...multicast] };
  }

  restore(state: StateReader, most: number): void {
    this.promiscuous = state.boolean('promiscuous');
    this.allMulticast = state.boolean('allMulticast');
    this.allUnicast = state.boolean('allUnicast');
    this.noMulticast = state.boolean('noMulticast');
    this.noUnicast = state.boolean('noUnicast');
    this.noBroadcast = state.boolean('noBroadcast');
    this.unicast = new Set(state.numbers('unicast', most));
    this.multicast = new Set(state.numbers('multicast', most));
    this.macChanged();
  }
}

function addresses(bytes: Uint8Array): Set<number> {
  const found = new Set<number>();
  for (let at = 0; at + MAC_BYTES <= bytes.length; at += MAC_BYTES) found.add(macNumber(bytes, at));
  return found;
}
