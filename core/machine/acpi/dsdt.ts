/**
 * The differentiated system description: what an operating system can't find by itself on this board.
 * Specs: ACPI 2.0, sections 5.8.1 (_PIC), 6.2.8 (_PRT), 7.3 (_S5), 6.2.10 (_SRS); PCI Firmware 3.0, section 4.5; PIIX3 data sheet 2.3.4 (PIRQRC).
 *
 * Only terms that SeaBIOS's own AML reader knows stand outside methods: it looks here for the keyboard, serial ports and floppy controller.
 */
import { FW_CFG_BASE, FW_CFG_BYTES } from '../../devices/platform/fwcfg.ts';
import { GPE_BASE, GPE_BYTES, PM_BYTES, SLP_TYP_S5 } from '../../devices/platform/piix4pm.ts';
import { HPET_BASE } from '../../devices/timer/hpet.ts';
import {
  type Aml,
  and,
  arg,
  byteFields,
  createDwordField,
  device,
  eisaId,
  integer,
  less,
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
} from './aml.ts';
import { type AcpiBoard, PIRQ_IOAPIC_BASE, PM_BASE, SCI_IRQ } from './board.ts';
import {
  busRange,
  dma8,
  irq,
  LEVEL_INTERRUPT_NUMBER,
  levelInterrupts,
  memory32,
  memoryRange,
  portRange,
  ports,
  resources,
} from './resources.ts';

/** _STA: present, enabled, shown and functioning; "hidden" is not shown; "disabled" is present and functioning. */
const STA_SHOWN = 0x0f;
const STA_HIDDEN = 0x0b;
const STA_DISABLED = 0x09;
/** PIRQRC bit 7: not routed. */
const PIRQ_OFF = 0x80;
/** ISA interrupts that nothing else on the board uses. */
const PIRQ_CHOICES = [5, 10, 11];
const LINKS = ['LNKA', 'LNKB', 'LNKC', 'LNKD'];
const ROUTE_REGISTERS = ['PRQA', 'PRQB', 'PRQC', 'PRQD'];
/** PCI slot with the ISA bridge and power management. */
const ISA_SLOT = 1;
const HIGHEST_SLOT = 31;
const SMBUS_BASE = PM_BASE + 0x100;
const SMBUS_BYTES = 16;
/** SeaBIOS (pciinit.c) gives BARs addresses from the first of these that RAM leaves free, up to the I/O APIC. */
const PCI_MEMORY_STARTS = [0x8000_0000, 0xc000_0000, 0xe000_0000];
const PCI_MEMORY_LAST = 0xfebf_ffff;

export function dsdtBody(board: AcpiBoard): Aml {
  return [
    // Interrupt model in use: 0 = 8259 pair, 1 = I/O APIC.
    ...name('\\PICF', integer(0)),
    ...method('\\_PIC', { args: 1 }, store(arg(0), nameString('\\PICF'))),
    ...name('\\_S5', packageOf(integer(SLP_TYP_S5), integer(SLP_TYP_S5), integer(0), integer(0))),
    ...scope('\\_PR', processor('CPU0', 0)),
    ...scope('\\_SB', pciRoot(board), ...links(), ...(board.hpet ? [hpet()] : [])),
  ];
}

function pciRoot(board: AcpiBoard): Aml {
  const memoryStart = PCI_MEMORY_STARTS.find((start) => board.ramBytes <= start) ?? PCI_MEMORY_STARTS.at(-1)!;
  return device(
    'PCI0',
    name('_HID', eisaId('PNP0A03')),
    name('_UID', integer(0)),
    name(
      '_CRS',
      resources(
        busRange(0, 0xff),
        ports(0xcf8, 8),
        portRange(0, 0xcf7),
        portRange(0xd00, 0xffff),
        memoryRange(0xa0000, 0xbffff),
        memoryRange(memoryStart, PCI_MEMORY_LAST),
      ),
    ),
    name(
      'PRTP',
      routes((link) => [nameString(LINKS[link]!), integer(0)]),
    ),
    name(
      'PRTA',
      routes((link) => [integer(0), integer(PIRQ_IOAPIC_BASE + link)]),
    ),
    method('_PRT', {}, when(nameString('\\PICF'), returns(nameString('PRTA'))), returns(nameString('PRTP'))),
    device(
      'ISA',
      name('_ADR', integer(ISA_SLOT << 16)),
      operationRegion('PIRQ', REGION_PCI_CONFIG, 0x60, 4),
      byteFields('PIRQ', ...ROUTE_REGISTERS),
      ...isaDevices(board),
    ),
  );
}

/** One entry a slot and pin: address with all functions, pin, where its interrupt goes. The swizzle is PciBus.attach's. */
function routes(target: (link: number) => [Aml, Aml]): Aml {
  const entries: Aml[] = [];
  for (let slot = ISA_SLOT; slot <= HIGHEST_SLOT; slot++)
    for (let pin = 0; pin < 4; pin++) {
      // Power management's own pin: its interrupt is the SCI.
      const [source, index] = slot === ISA_SLOT && pin === 0 ? [nameString('LNKS'), integer(0)] : target((slot - 1 + pin) & 3);
      entries.push(packageOf(integer(slot * 0x10000 + 0xffff), integer(pin), source, index));
    }
  return packageOf(...entries);
}

function links(): Aml[] {
  return [
    // Route register to _CRS: no interrupt while it is off.
    method(
      'IQCR',
      { args: 1, serialized: true },
      name('BUF0', resources(levelInterrupts(0))),
      createDwordField(nameString('BUF0'), LEVEL_INTERRUPT_NUMBER, 'IRQ0'),
      when(less(arg(0), integer(PIRQ_OFF)), store(arg(0), nameString('IRQ0'))),
      returns(nameString('BUF0')),
    ),
    ...LINKS.map((link, index) => {
      const register = nameString(`\\_SB.PCI0.ISA.${ROUTE_REGISTERS[index]}`);
      return device(
        link,
        name('_HID', eisaId('PNP0C0F')),
        name('_UID', integer(index)),
        name('_PRS', resources(levelInterrupts(...PIRQ_CHOICES))),
        method('_STA', {}, when(and(register, integer(PIRQ_OFF)), returns(integer(STA_DISABLED))), returns(integer(STA_HIDDEN))),
        method('_DIS', {}, or(register, integer(PIRQ_OFF), register)),
        method('_CRS', {}, store([...nameString('IQCR'), ...register], local(0)), returns(local(0))),
        method(
          '_SRS',
          { args: 1, serialized: true },
          createDwordField(arg(0), LEVEL_INTERRUPT_NUMBER, 'IRQ0'),
          store(nameString('IRQ0'), register),
        ),
      );
    }),
    device(
      'LNKS',
      name('_HID', eisaId('PNP0C0F')),
      name('_UID', integer(LINKS.length)),
      name('_PRS', resources(levelInterrupts(SCI_IRQ))),
      name('_CRS', resources(levelInterrupts(SCI_IRQ))),
      name('_STA', integer(STA_HIDDEN)),
      // Wired: there is nothing to set or to turn off.
      method('_DIS', {}),
      method('_SRS', { args: 1 }),
    ),
  ];
}

function isaDevices(board: AcpiBoard): Aml[] {
  const isa = (path: string, id: string, ...descriptors: Aml[]) =>
    device(path, name('_HID', eisaId(id)), name('_STA', integer(STA_SHOWN)), name('_CRS', resources(...descriptors)));
  const com = (index: number, base: number, line: number) =>
    device(
      `COM${index}`,
      name('_HID', eisaId('PNP0501')),
      name('_UID', integer(index)),
      name('_STA', integer(STA_SHOWN)),
      name('_CRS', resources(ports(base, 8), irq(line))),
    );
  return [
    isa('KBD', 'PNP0303', ports(0x60, 1), ports(0x64, 1), irq(1)),
    isa('MOU', 'PNP0F13', irq(12)),
    isa('RTC', 'PNP0B00', ports(0x70, 2), irq(8)),
    ...(board.floppy ? [isa('FDC0', 'PNP0700', ports(0x3f2, 4), ports(0x3f7, 1), irq(6), dma8(2))] : []),
    ...[com(1, 0x3f8, 4), com(2, 0x2f8, 3)].slice(0, board.serialPorts),
    device(
      'FWCF',
      name('_HID', string('QEMU0002')),
      name('_STA', integer(STA_HIDDEN)),
      name('_CRS', resources(ports(FW_CFG_BASE, FW_CFG_BYTES))),
    ),
    // Ports of the chipset that the system must leave alone.
    device(
      'SYSR',
      name('_HID', eisaId('PNP0C02')),
      name('_STA', integer(STA_HIDDEN)),
      name('_CRS', resources(ports(PM_BASE, PM_BYTES), ports(SMBUS_BASE, SMBUS_BYTES), ports(GPE_BASE, GPE_BYTES))),
    ),
  ];
}

function hpet(): Aml {
  return device(
    'HPET',
    name('_HID', eisaId('PNP0103')),
    name('_UID', integer(0)),
    name('_STA', integer(STA_SHOWN)),
    name('_CRS', resources(memory32(HPET_BASE, 0x400, false))),
  );
}
