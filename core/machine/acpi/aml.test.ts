import { describe, expect, it } from 'vitest';
import {
  and,
  arg,
  buffer,
  byteFields,
  createDwordField,
  device,
  eisaId,
  integer,
  less,
  littleEndian,
  local,
  method,
  name,
  nameString,
  operationRegion,
  or,
  packageOf,
  processor,
  REGION_PCI_CONFIG,
  returns,
  scope,
  store,
  string,
  when,
  withLength,
} from './aml.ts';
import { busRange, dma8, irq, levelInterrupts, memory32, memoryRange, portRange, ports, resources } from './resources.ts';

const hex = (bytes: readonly number[]) => bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');

// Encodings of ACPI 2.0 chapter 17; iasl 20200925 gives the same bytes for the whole DSDT (disassembled and compiled again without optimizing).
describe('AML', () => {
  it('names: one, two and three segments, root and parent', () => {
    expect(hex(nameString('_HID'))).toBe('5f 48 49 44');
    expect(hex(nameString('\\_S5'))).toBe('5c 5f 53 35 5f');
    expect(hex(nameString('^LNK'))).toBe('5e 4c 4e 4b 5f');
    expect(hex(nameString('\\_SB.PCI0'))).toBe('5c 2e 5f 53 42 5f 50 43 49 30');
    expect(hex(nameString('A.B.C'))).toBe('2f 03 41 5f 5f 5f 42 5f 5f 5f 43 5f 5f 5f');
    expect(hex(nameString('\\'))).toBe('5c 00');
    for (const wrong of ['abcd', 'TOOLONG', '1ABC', 'A..B', 'A B']) expect(() => nameString(wrong)).toThrow(RangeError);
  });

  it('integers take the shortest form', () => {
    expect([0, 1, 2, 0xff, 0x100, 0xffff, 0x10000, 0xfebfffff].map((value) => hex(integer(value)))).toEqual([
      '00',
      '01',
      '0a 02',
      '0a ff',
      '0b 00 01',
      '0b ff ff',
      '0c 00 00 01 00',
      '0c ff ff bf fe',
    ]);
    expect(littleEndian(0x1_2345_6789, 8)).toEqual([0x89, 0x67, 0x45, 0x23, 1, 0, 0, 0]);
  });

  it('lengths change form at 63, 4095 and 1048575 bytes, themselves included', () => {
    const lead = (body: number, count: number) => hex(withLength(new Array<number>(body).fill(0)).slice(0, count));
    expect(lead(0, 1)).toBe('01');
    expect(lead(62, 1)).toBe('3f');
    expect(lead(63, 2)).toBe('41 04');
    expect(lead(4093, 2)).toBe('4f ff');
    expect(lead(4094, 3)).toBe('81 00 01');
    expect(lead(0xfffff - 3, 3)).toBe('8f ff ff');
    expect(lead(0xfffff - 2, 4)).toBe('c1 00 00 01');
  });

  it('EISAID("PNP0A03"), EISAID("PNP0303")', () => {
    expect(hex(eisaId('PNP0A03'))).toBe('0c 41 d0 0a 03');
    expect(hex(eisaId('PNP0303'))).toBe('0c 41 d0 03 03');
    expect(() => eisaId('pnp0303')).toThrow(RangeError);
  });

  it('Name, strings, Buffer, Package', () => {
    expect(hex(name('_HID', string('QEMU0002')))).toBe('08 5f 48 49 44 0d 51 45 4d 55 30 30 30 32 00');
    expect(hex(buffer([1, 2, 3]))).toBe('11 06 0a 03 01 02 03');
    expect(hex(packageOf(integer(0), integer(5), nameString('LNKA')))).toBe('12 09 03 00 0a 05 4c 4e 4b 41');
    expect(() => packageOf(...new Array(256).fill(integer(0)))).toThrow(RangeError);
  });

  it('Scope, Device, Processor, Method', () => {
    expect(hex(scope('\\_SB', device('A')))).toBe('10 0d 5c 5f 53 42 5f 5b 82 05 41 5f 5f 5f');
    expect(hex(processor('CPU0', 0))).toBe('5b 83 0b 43 50 55 30 00 00 00 00 00 00');
    expect(hex(method('_DIS', {}))).toBe('14 06 5f 44 49 53 00');
    expect(hex(method('\\_PIC', { args: 1 }, store(arg(0), nameString('\\PICF'))))).toBe('14 0e 5c 5f 50 49 43 01 70 68 5c 50 49 43 46');
    expect(hex(method('M', { args: 2, serialized: true }))).toBe('14 06 4d 5f 5f 5f 0a');
  });

  it('OperationRegion(PIRQ, PCI_Config, 0x60, 4) and its byte fields', () => {
    expect(hex(operationRegion('PIRQ', REGION_PCI_CONFIG, 0x60, 4))).toBe('5b 80 50 49 52 51 02 0a 60 0a 04');
    expect(hex(byteFields('PIRQ', 'PRQA', 'PRQB'))).toBe('5b 81 10 50 49 52 51 01 50 52 51 41 08 50 52 51 42 08');
  });

  it('If(And(A, 0x80)) { Return(9) }, Or(A, 0x80, A), LLess, CreateDWordField', () => {
    const a = nameString('A');
    expect(hex(when(and(a, integer(0x80)), returns(integer(9))))).toBe('a0 0c 7b 41 5f 5f 5f 0a 80 00 a4 0a 09');
    expect(hex(or(a, integer(0x80), a))).toBe('7d 41 5f 5f 5f 0a 80 41 5f 5f 5f');
    expect(hex(less(arg(0), local(1)))).toBe('95 68 61');
    expect(hex(createDwordField(arg(0), 5, 'IRQ0'))).toBe('8a 68 0a 05 49 52 51 30');
  });
});

describe('resource descriptors', () => {
  it('IO, IRQNoFlags and DMA with an end tag', () => {
    expect(hex(resources(ports(0x3f8, 8), irq(4)))).toBe('11 10 0a 0d 47 01 f8 03 f8 03 01 08 22 10 00 79 00');
    expect(hex(irq(12))).toBe('22 00 10');
    expect(hex(dma8(2))).toBe('2a 04 00');
  });

  it('Interrupt(ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10 }', () => {
    expect(hex(levelInterrupts(5, 10))).toBe('89 0a 00 09 02 05 00 00 00 0a 00 00 00');
  });

  it('Memory32Fixed', () => {
    expect(hex(memory32(0xfed00000, 0x400, false))).toBe('86 09 00 00 00 00 d0 fe 00 04 00 00');
  });

  it('WordBusNumber, WordIO and DWordMemory windows', () => {
    expect(hex(busRange(0, 255))).toBe('88 0d 00 02 0c 00 00 00 00 00 ff 00 00 00 00 01');
    expect(hex(portRange(0xd00, 0xffff))).toBe('88 0d 00 01 0c 03 00 00 00 0d ff ff 00 00 00 f3');
    expect(hex(memoryRange(0x80000000, 0xfebfffff))).toBe('87 17 00 00 0c 01 00 00 00 00 00 00 00 80 ff ff bf fe 00 00 00 00 00 00 c0 7e');
  });
});
