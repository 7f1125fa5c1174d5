/** On a network whose addresses somebody else gives, a port that only sees which machine has which. */
import { ipv4Text } from '../contract/ipv4.ts';
import { parseArp } from './arp.ts';
import type { Lease } from './dhcp.ts';
import { ETHERTYPE_ARP, macText, readMac } from './ethernet.ts';
import { viewOf } from './ipv4.ts';
import { Neighbours } from './neighbours.ts';
import type { SwitchPort } from './switch.ts';

/** From here on addresses are groups' and nobody's. */
const FIRST_GROUP = 0xe000_0000;

export class Onlooker implements SwitchPort {
  private readonly neighbours: Neighbours;
  private readonly machine: (mac: number) => boolean;

  /** `machine`: whether it is a machine's station, and not one of somebody on the same network. */
  constructor(now: () => number, machine: (mac: number) => boolean, changed: () => void) {
    this.neighbours = new Neighbours(now, changed);
    this.machine = machine;
  }

  addresses(): Lease[] {
    return [...this.neighbours.all()].map(([mac, address]) => ({ mac: macText(mac), address: ipv4Text(address) }));
  }

  /** Whoever looks for another asks everybody, and says who it is (RFC 826); so does one with a new address (RFC 5227). */
  send(frame: Uint8Array): void {
    if (frame.length < 14 || viewOf(frame).getUint16(12) !== ETHERTYPE_ARP) return;
    const packet = parseArp(frame);
    if (!packet || packet.address === 0 || packet.address >= FIRST_GROUP) return;
    if (packet.mac === readMac(frame, 6) && this.machine(packet.mac)) this.neighbours.see(packet.mac, packet.address);
  }
}
