/** Carries contract messages between one client and the manager: MessagePort, WebSocket, child process or in memory. */
export interface Transport {
  send(message: WireMessage): void;
  onMessage(listener: (message: unknown) => void): void;
  onClose(listener: () => void): void;
  /** `reason` reaches the other side where the line can carry it. */
  close(reason?: string): void;
}

/** A stream of bytes with back pressure: RFB or a serial line of a running machine. */
export interface ByteChannel {
  /** Returns false when the peer reads slower than we send: stop until `onDrain`. */
  send(bytes: Uint8Array): boolean;
  onData(listener: (bytes: Uint8Array) => void): void;
  onDrain(listener: () => void): void;
  onClose(listener: () => void): void;
  /** Holds data back while its taker is slow, where the channel can; `resume` goes on. */
  pause?(): void;
  resume?(): void;
  close(): void;
}

export type WireMessage =
  | { type: 'call'; id: number; method: string; params: unknown }
  | { type: 'result'; id: number; result: unknown }
  | { type: 'error'; id: number; error: unknown }
  | { type: 'event'; event: string; payload: unknown };
