/** A switch: frames go where their station was last seen, and to everybody while that is not known (IEEE 802.1Q section 8.7 and 8.8). */
import { isGroup, readMac } from './ethernet.ts';

const AGE_MS = 300_000;
const MAX_STATIONS = 4096;
/** One machine that invents stations must not push out those of the others. */
const MAX_PER_PORT = 256;

/** One cable, as the switch sees it. `send` has copied the frame when it returns. */
export interface SwitchPort {
  send(frame: Uint8Array): void;
}

interface Station {
  port: SwitchPort;
  seen: number;
}

export class VirtualSwitch {
  private readonly now: () => number;
  private readonly ports = new Map<SwitchPort, number>();
  private readonly stations = new Map<number, Station>();

  constructor(now: () => number) {
    this.now = now;
  }

  plug(port: SwitchPort): void {
    this.ports.set(port, 0);
  }

  unplug(port: SwitchPort): void {
    this.ports.delete(port);
    for (const [mac, station] of this.stations) if (station.port === port) this.stations.delete(mac);
  }

  /** A frame came in at `from`. */
  receive(from: SwitchPort, frame: Uint8Array): void {
    // A group sends nothing; frames to the bridges' own groups end here (IEEE 802.1Q table 8-1).
    if (isGroup(frame, 6) || !this.ports.has(from)) return;
    this.learn(readMac(frame, 6), from);
    if (isGroup(frame, 0)) {
      if (!isBridgeGroup(frame)) this.flood(from, frame);
      return;
    }
    const station = this.stations.get(readMac(frame, 0));
    if (!station || this.now() - station.seen > AGE_MS) this.flood(from, frame);
    else if (station.port !== from) station.port.send(frame);
  }

  private flood(from: SwitchPort, frame: Uint8Array): void {
    for (const port of this.ports.keys()) if (port !== from) port.send(frame);
  }

  private learn(mac: number, port: SwitchPort): void {
    const known = this.stations.get(mac);
    if (known?.port === port) {
      known.seen = this.now();
      return;
    }
    const count = this.ports.get(port)!;
    if (known) this.ports.set(known.port, this.ports.get(known.port)! - 1);
    else if (count >= MAX_PER_PORT || this.stations.size >= MAX_STATIONS) {
      this.forgetOld();
      if (this.ports.get(port)! >= MAX_PER_PORT || this.stations.size >= MAX_STATIONS) return;
    }
    this.stations.set(mac, { port, seen: this.now() });
    this.ports.set(port, this.ports.get(port)! + 1);
  }

  private forgetOld(): void {
    const now = this.now();
    for (const [mac, { port, seen }] of this.stations)
      if (now - seen > AGE_MS) {
        this.stations.delete(mac);
        this.ports.set(port, this.ports.get(port)! - 1);
      }
  }
}

/** 01-80-C2-00-00-00 to -0F. */
const isBridgeGroup = (frame: Uint8Array): boolean =>
  frame[0] === 0x01 && frame[1] === 0x80 && frame[2] === 0xc2 && frame[3] === 0 && frame[4] === 0 && frame[5]! < 16;
