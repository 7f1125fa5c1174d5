/**
 * Encoder for the part of AML that our tables use.
 * Spec: ACPI 2.0, chapter 17 (ACPI Machine Language); section numbers below are its. ACPI 1.0b chapter 16 has the same encodings.
 *
 * Each function gives the bytes of one term; terms nest by passing the bytes on. Names are written as in ASL (`\_SB.PCI0`, `^LNKA`); a
 * segment shorter than four characters is filled up with underscores.
 */
export type Aml = readonly number[];

const ZERO_OP = 0x00;
const ONE_OP = 0x01;
const NAME_OP = 0x08;
const BYTE_PREFIX = 0x0a;
const WORD_PREFIX = 0x0b;
const DWORD_PREFIX = 0x0c;
const STRING_PREFIX = 0x0d;
const SCOPE_OP = 0x10;
const BUFFER_OP = 0x11;
const PACKAGE_OP = 0x12;
const METHOD_OP = 0x14;
const DUAL_NAME_PREFIX = 0x2e;
const MULTI_NAME_PREFIX = 0x2f;
const EXT_PREFIX = 0x5b;
const LOCAL0_OP = 0x60;
const ARG0_OP = 0x68;
const STORE_OP = 0x70;
const AND_OP = 0x7b;
const OR_OP = 0x7d;
const CREATE_DWORD_FIELD_OP = 0x8a;
const LLESS_OP = 0x95;
const IF_OP = 0xa0;
const RETURN_OP = 0xa4;
// After EXT_PREFIX.
const OPERATION_REGION_OP = 0x80;
const FIELD_OP = 0x81;
const DEVICE_OP = 0x82;
const PROCESSOR_OP = 0x83;

const METHOD_SERIALIZED = 1 << 3;
/** Region space "PCI configuration". */
export const REGION_PCI_CONFIG = 2;
/** Field flags: byte access, no lock, preserve. */
const FIELD_BYTE_ACCESS = 0x01;
const NO_TARGET: Aml = [ZERO_OP];

const ascii = (text: string) => Array.from(text, (character) => character.charCodeAt(0));

/** Little-endian bytes of an unsigned number. */
export function littleEndian(value: number, bytes: 1 | 2 | 4 | 8): number[] {
  return Array.from({ length: bytes }, (_, index) => Math.floor(value / 2 ** (8 * index)) % 256);
}

/** NameString (17.2.2). */
export function nameString(path: string): Aml {
  const [, prefix, rest] = /^(\\|\^*)(.*)$/.exec(path)!;
  const segments = rest === '' ? [] : rest!.split('.');
  const encoded = segments.flatMap((segment) => {
    if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(segment)) throw new RangeError(`"${segment}" is not an ACPI name`);
    return ascii(segment.padEnd(4, '_'));
  });
  const count =
    segments.length === 0
      ? [ZERO_OP]
      : segments.length === 1
        ? []
        : segments.length === 2
          ? [DUAL_NAME_PREFIX]
          : [MULTI_NAME_PREFIX, segments.length];
  return [...ascii(prefix!), ...count, ...encoded];
}

/** PkgLength (17.2.4) before `body`; it counts its own bytes. */
export function withLength(body: Aml): Aml {
  if (body.length + 1 < 0x40) return [body.length + 1, ...body];
  for (let extra = 1; extra <= 3; extra++) {
    const total = body.length + 1 + extra;
    if (total >= 2 ** (4 + 8 * extra)) continue;
    const lead = (extra << 6) | (total & 0x0f);
    return [lead, ...littleEndian(total >>> 4, 4).slice(0, extra), ...body];
  }
  throw new RangeError(`an AML package of ${body.length} bytes is too long`);
}

export function integer(value: number): Aml {
  if (value === 0) return [ZERO_OP];
  if (value === 1) return [ONE_OP];
  if (value < 0x100) return [BYTE_PREFIX, value];
  if (value < 0x10000) return [WORD_PREFIX, ...littleEndian(value, 2)];
  return [DWORD_PREFIX, ...littleEndian(value, 4)];
}

export const string = (text: string): Aml => [STRING_PREFIX, ...ascii(text), 0];

/** EISAID("PNP0A03"): three letters of 5 bits, four hexadecimal digits, big-endian (18.2.3, EISAID macro). */
export function eisaId(id: string): Aml {
  if (!/^[A-Z]{3}[0-9A-F]{4}$/.test(id)) throw new RangeError(`"${id}" is not an EISA id`);
  const [a, b, c] = ascii(id.slice(0, 3)).map((letter) => letter - 0x40);
  const vendor = (a! << 10) | (b! << 5) | c!;
  const product = Number.parseInt(id.slice(3), 16);
  return [DWORD_PREFIX, vendor >> 8, vendor & 0xff, product >> 8, product & 0xff];
}

export const buffer = (bytes: Aml): Aml => [BUFFER_OP, ...withLength([...integer(bytes.length), ...bytes])];

export function packageOf(...elements: Aml[]): Aml {
  if (elements.length > 255) throw new RangeError('a package holds at most 255 elements');
  return [PACKAGE_OP, ...withLength([elements.length, ...elements.flat()])];
}

export const name = (path: string, value: Aml): Aml => [NAME_OP, ...nameString(path), ...value];
export const scope = (path: string, ...terms: Aml[]): Aml => [SCOPE_OP, ...withLength([...nameString(path), ...terms.flat()])];
export const device = (path: string, ...terms: Aml[]): Aml => [
  EXT_PREFIX,
  DEVICE_OP,
  ...withLength([...nameString(path), ...terms.flat()]),
];

/** Processor without a P_BLK: it has no sleep states but C1. */
export const processor = (path: string, id: number): Aml => [
  EXT_PREFIX,
  PROCESSOR_OP,
  ...withLength([...nameString(path), id, ...littleEndian(0, 4), 0]),
];

/** `serialized`: needed by methods that create names. */
export const method = (path: string, { args = 0, serialized = false }: { args?: number; serialized?: boolean }, ...terms: Aml[]): Aml => [
  METHOD_OP,
  ...withLength([...nameString(path), args | (serialized ? METHOD_SERIALIZED : 0), ...terms.flat()]),
];

export const operationRegion = (path: string, space: number, offset: number, length: number): Aml => [
  EXT_PREFIX,
  OPERATION_REGION_OP,
  ...nameString(path),
  space,
  ...integer(offset),
  ...integer(length),
];

/** Field of byte-wide units, one after another. */
export const byteFields = (region: string, ...names: string[]): Aml => [
  EXT_PREFIX,
  FIELD_OP,
  ...withLength([...nameString(region), FIELD_BYTE_ACCESS, ...names.flatMap((unit) => [...nameString(unit), 8])]),
];

export const local = (index: number): Aml => [LOCAL0_OP + index];
export const arg = (index: number): Aml => [ARG0_OP + index];
export const store = (source: Aml, target: Aml): Aml => [STORE_OP, ...source, ...target];
export const and = (a: Aml, b: Aml): Aml => [AND_OP, ...a, ...b, ...NO_TARGET];
export const or = (a: Aml, b: Aml, target: Aml): Aml => [OR_OP, ...a, ...b, ...target];
export const less = (a: Aml, b: Aml): Aml => [LLESS_OP, ...a, ...b];
export const when = (condition: Aml, ...terms: Aml[]): Aml => [IF_OP, ...withLength([...condition, ...terms.flat()])];
export const returns = (value: Aml): Aml => [RETURN_OP, ...value];
export const createDwordField = (source: Aml, offset: number, path: string): Aml => [
  CREATE_DWORD_FIELD_OP,
  ...source,
  ...integer(offset),
  ...nameString(path),
];
