/** The longest frame on a cable, bytes: an IPv4 packet of any length behind its header. Senders put what they would have to cut on it as a whole. */
export const MAX_FRAME_BYTES = 65_550;
/** Header of Ethernet, the shortest frame. */
export const MIN_FRAME_BYTES = 14;

export interface PacketListener {
  /** Frames wait, where none did. */
  arrived(): void;
  carrierChanged(): void;
}

/** One end of an Ethernet cable. Frames are without FCS and padding. */
export interface PacketBackend {
  /** The other end is there. */
  readonly carrier: boolean;
  /** Puts a frame on the cable, of 14 to MAX_FRAME_BYTES bytes, which are copied. It is lost when there is no carrier or too much is under way. */
  send(frame: Uint8Array): void;
  /** What was sent goes on its way now. */
  flush(): void;
  /** The frame that has waited longest; it stays until `take`, and may not be changed. */
  readonly waiting: Uint8Array | undefined;
  take(): void;
  listen(listener: PacketListener): void;
}
