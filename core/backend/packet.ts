/** One end of an Ethernet cable. Frames are without FCS. */
export interface PacketBackend {
  send(frame: Uint8Array): void;
  onReceive(listener: (frame: Uint8Array) => void): void;
}

/** A cable plugged into nothing. */
export class NullPacketBackend implements PacketBackend {
  send(): void {}
  onReceive(): void {}
}
