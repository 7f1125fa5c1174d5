/**
 * Resource descriptors for _CRS and _PRS.
 * Spec: ACPI 2.0, section 6.4 (Resource Data Types for ACPI).
 */
import { type Aml, buffer, littleEndian } from './aml.ts';

// Small descriptors (6.4.2): type in bits 6..3, length in bits 2..0.
const IRQ_NO_FLAGS = 0x22;
const DMA = 0x2a;
const IO_PORT = 0x47;
const END_TAG = 0x79;
// Large descriptors (6.4.3).
const MEMORY32_FIXED = 0x86;
const DWORD_ADDRESS = 0x87;
const WORD_ADDRESS = 0x88;
const EXTENDED_INTERRUPT = 0x89;

// Address spaces (6.4.3.5).
const SPACE_MEMORY = 0;
const SPACE_IO = 1;
const SPACE_BUS = 2;
/** Minimum and maximum are fixed; the range is decoded positively and handed on to children. */
const GENERAL_FIXED = 0x0c;
const IO_ENTIRE_RANGE = 0x03;
const MEMORY_READ_WRITE = 0x01;
/** Extended interrupt flags: consumer, level-triggered, active high, shared. */
const INTERRUPT_LEVEL_SHARED = 0x09;
/** The device decodes 16 address bits. */
const DECODE_16 = 0x01;

export const irq = (number: number): Aml => [IRQ_NO_FLAGS, ...littleEndian(1 << number, 2)];

/** An 8-bit, compatibility-timed channel. */
export const dma8 = (channel: number): Aml => [DMA, 1 << channel, 0];

export const ports = (base: number, length: number): Aml => [
  IO_PORT,
  DECODE_16,
  ...littleEndian(base, 2),
  ...littleEndian(base, 2),
  1,
  length,
];

export const memory32 = (base: number, length: number, writable = true): Aml => [
  MEMORY32_FIXED,
  ...littleEndian(9, 2),
  writable ? 1 : 0,
  ...littleEndian(base, 4),
  ...littleEndian(length, 4),
];

/** Level-triggered, shared interrupts, one of which is used. */
export const levelInterrupts = (...numbers: number[]): Aml => [
  EXTENDED_INTERRUPT,
  ...littleEndian(2 + 4 * numbers.length, 2),
  INTERRUPT_LEVEL_SHARED,
  numbers.length,
  ...numbers.flatMap((number) => littleEndian(number, 4)),
];
/** Byte of the first interrupt number within `levelInterrupts`. */
export const LEVEL_INTERRUPT_NUMBER = 5;

function range(tag: number, bytes: 2 | 4, space: number, flags: number, first: number, last: number): Aml {
  const values = [0, first, last, 0, last - first + 1].flatMap((value) => littleEndian(value, bytes));
  return [tag, ...littleEndian(3 + values.length, 2), space, GENERAL_FIXED, flags, ...values];
}

export const busRange = (first: number, last: number): Aml => range(WORD_ADDRESS, 2, SPACE_BUS, 0, first, last);
export const portRange = (first: number, last: number): Aml => range(WORD_ADDRESS, 2, SPACE_IO, IO_ENTIRE_RANGE, first, last);
export const memoryRange = (first: number, last: number): Aml => range(DWORD_ADDRESS, 4, SPACE_MEMORY, MEMORY_READ_WRITE, first, last);

/** ResourceTemplate: the descriptors, an end tag and its checksum (0: not checked). */
export const resources = (...descriptors: Aml[]): Aml => buffer([...descriptors.flat(), END_TAG, 0]);
