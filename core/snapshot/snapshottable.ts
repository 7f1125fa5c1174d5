/** Values a device state may hold: plain, named, versioned; arrays copied; times relative to Clock.now, never host times. */
export type StateValue = null | boolean | number | bigint | string | Uint8Array | StateValue[] | { [key: string]: StateValue };
export type DeviceState = { version: number } & { [key: string]: StateValue };

export interface Snapshottable {
  /** A copy of the whole state; nothing in it is shared with the live object. */
  save(): DeviceState;
  /** Puts back what `save` gave. Rejects an unknown version or shape with 'corrupt' or 'unsupported'. */
  restore(state: DeviceState): void;
}
