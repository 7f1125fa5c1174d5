/** Descriptors of emulated devices: Universal Serial Bus 2.0, section 9.6, and 3.2, section 9.6. */

export const DT_DEVICE = 1;
export const DT_CONFIGURATION = 2;
export const DT_STRING = 3;
const DT_INTERFACE = 4;
const DT_ENDPOINT = 5;
export const DT_BOS = 15;
const DT_CAPABILITY = 16;
const DT_COMPANION = 48;

export const BULK = 2;
export const INTERRUPT = 3;

/** United States English, the only language of the strings. */
const LANGUAGE = 0x0409;
/** Configuration value of every device here. */
export const CONFIGURATION = 1;

const word = (value: number): [number, number] => [value & 0xff, (value >> 8) & 0xff];

export interface EndpointDescription {
  /** Address with direction. */
  address: number;
  kind: typeof BULK | typeof INTERRUPT;
  packet: number;
  /** As the descriptor has it; what it counts depends on the speed. */
  interval: number;
}

export interface DeviceDescription {
  /** Binary coded: 0x0200. */
  usb: number;
  /** Of the control endpoint, as the descriptor has it: bytes, or a power of two for USB 3. */
  packet0: number;
  vendor: number;
  product: number;
  release: number;
  /** Manufacturer, product and serial number. */
  strings: readonly [string, string, string];
  /** Milliamperes are not drawn from anywhere: self-powered. */
  interface: {
    class: number;
    subclass: number;
    protocol: number;
    /** Class descriptors between interface and endpoints. */
    extra: readonly number[];
    endpoints: readonly EndpointDescription[];
  };
}

export function deviceDescriptor({ usb, packet0, vendor, product, release }: DeviceDescription): Uint8Array {
  return Uint8Array.from([
    ...[18, DT_DEVICE, ...word(usb), 0, 0, 0, packet0],
    ...[...word(vendor), ...word(product), ...word(release), 1, 2, 3, 1],
  ]);
}

export function configurationDescriptor({
  usb,
  interface: { class: kind, subclass, protocol, extra, endpoints },
}: DeviceDescription): Uint8Array {
  const body = [
    ...[9, DT_INTERFACE, 0, 0, endpoints.length, kind, subclass, protocol, 0],
    ...extra,
    ...endpoints.flatMap((endpoint) => [
      ...[7, DT_ENDPOINT, endpoint.address, endpoint.kind, ...word(endpoint.packet), endpoint.interval],
      ...(usb >= 0x0300 ? [6, DT_COMPANION, 0, 0, 0, 0] : []),
    ]),
  ];
  return Uint8Array.from([9, DT_CONFIGURATION, ...word(9 + body.length), 1, CONFIGURATION, 0, 0xc0, 0, ...body]);
}

/** String 0 is the list of languages. Undefined: there is no such string. */
export function stringDescriptor({ strings }: DeviceDescription, index: number): Uint8Array | undefined {
  if (index === 0) return Uint8Array.from([4, DT_STRING, ...word(LANGUAGE)]);
  const text = strings[index - 1];
  if (text === undefined) return undefined;
  const units = [...text.slice(0, 126)].flatMap((character) => word(character.charCodeAt(0)));
  return Uint8Array.from([units.length + 2, DT_STRING, ...units]);
}

/** What a USB 3 device can do: no link power management, speeds from full to super, no exit latency (USB 3.2, section 9.6.2). */
export function bosDescriptor(): Uint8Array {
  const capabilities = [
    [7, DT_CAPABILITY, 2, 0, 0, 0, 0],
    [10, DT_CAPABILITY, 3, 0, ...word(0x000e), 3, 0, ...word(0)],
  ];
  const length = 5 + capabilities.flat().length;
  return Uint8Array.from([5, DT_BOS, ...word(length), capabilities.length, ...capabilities.flat()]);
}
