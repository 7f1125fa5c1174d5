/** Which address each station of a network was last seen with. */
const MAX_NEIGHBOURS = 1024;

interface Neighbour {
  address: number;
  seen: number;
}

export class Neighbours {
  private readonly byMac = new Map<number, Neighbour>();
  private readonly now: () => number;
  private readonly changed: () => void;

  constructor(now: () => number, changed: () => void) {
    this.now = now;
    this.changed = changed;
  }

  see(mac: number, address: number): void {
    const seen = this.now();
    const known = this.byMac.get(mac);
    if (known && known.address === address) {
      known.seen = seen;
      return;
    }
    if (!known && this.byMac.size >= MAX_NEIGHBOURS) this.forgetOldest();
    this.byMac.set(mac, { address, seen });
    this.changed();
  }

  addressOf(mac: number): number | undefined {
    return this.byMac.get(mac)?.address;
  }

  all(): Map<number, number> {
    return new Map([...this.byMac].map(([mac, { address }]) => [mac, address]));
  }

  private forgetOldest(): void {
    let oldest: number | undefined;
    let seen = Number.POSITIVE_INFINITY;
    for (const [mac, neighbour] of this.byMac)
      if (neighbour.seen < seen) {
        oldest = mac;
        ({ seen } = neighbour);
      }
    if (oldest !== undefined) this.byMac.delete(oldest);
  }
}
