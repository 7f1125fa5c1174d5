/**
 * MC146818A real-time clock with 256 bytes of CMOS RAM (ports 70h/71h, upper bank 72h/73h).
 * Spec: Motorola MC146818A data sheet, "Address Map", "Update Cycle", "Registers"; 82371SB (PIIX3) data sheet, section 2.6 for the ports.
 */
import type { Device } from '../../bus/device.ts';
import type { IrqLine } from '../../bus/irq.ts';
import type { PortBus } from '../../bus/portbus.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Clock, Timer } from '../../util/clock.ts';

const PORT = 0x70;

// Registers 0..9 are time and alarm.
const SECONDS = 0;
const SECONDS_ALARM = 1;
const MINUTES = 2;
const MINUTES_ALARM = 3;
const HOURS = 4;
const HOURS_ALARM = 5;
const WEEKDAY = 6;
const DAY = 7;
const MONTH = 8;
const YEAR = 9;
const REG_A = 10;
const REG_B = 11;
const REG_C = 12;
const REG_D = 13;
/** Where PC firmware keeps the century; the chip does not count it, but every PC clone's does (ACPI 4.8.2.4, "CENTURY"). */
export const CMOS_CENTURY = 0x32;

// A: UIP DV2 DV1 DV0 RS3 RS2 RS1 RS0
const A_UIP = 0x80;
const A_DIVIDER = 0x70;
const A_DIVIDER_32K = 0x20;
const A_RATE = 0x0f;
// B: SET PIE AIE UIE SQWE DM 24/12 DSE; C: IRQF PF AF UF
const B_SET = 0x80;
const B_24H = 0x02;
const B_BINARY = 0x04;
const B_SQWE = 0x08;
const C_IRQF = 0x80;
const C_PERIODIC = 0x40;
const C_ALARM = 0x20;
const C_UPDATE = 0x10;
const INTERRUPTS = C_PERIODIC | C_ALARM | C_UPDATE;
const D_VALID = 0x80;
const HOUR_PM = 0x80;
/** Alarm bytes with both high bits set match anything. */
const ALARM_ANY = 0xc0;

/** UIP rises 244 us before an update, which takes 1984 us (data sheet, table 6). */
const UPDATE_MS = 2.228;
const CMOS_SIZE = 256;
const BANK_SIZE = 128;
/** Longest stretch of missed seconds that is searched for an alarm: alarms repeat daily. */
const ALARM_SEARCH_SECONDS = 86400;

// CMOS bytes as SeaBIOS reads them (src/hw/rtc.h).
const CMOS_FLOPPY_TYPES = 0x10;
const CMOS_EQUIPMENT = 0x14;
const CMOS_BASE_KB = 0x15;
const CMOS_EXT_KB = 0x17;
const CMOS_EXT_KB_ACTUAL = 0x30;
const CMOS_EXT_64K_ABOVE_16M = 0x34;
const CMOS_BOOT_FLAG_1 = 0x38;
const CMOS_DISK_TRANSLATION = 0x39;
const CMOS_BOOT_FLAG_2 = 0x3d;
const CMOS_HIGH_64K = 0x5b;
const CMOS_CPU_COUNT = 0x5f;
const EQUIPMENT_FPU = 0x02;
const EQUIPMENT_MOUSE = 0x04;

/** Drive types in CMOS byte 10h: what the drive is, whatever medium lies in it. */
export type FloppyDriveType = 'none' | '360K' | '1.2M' | '720K' | '1.44M' | '2.88M';
const FLOPPY_TYPES: readonly FloppyDriveType[] = ['none', '360K', '1.2M', '720K', '1.44M', '2.88M'];
export type BootChoice = 'floppy' | 'disk' | 'cdrom' | 'network';
const BOOT_CHOICES: readonly BootChoice[] = ['floppy', 'disk', 'cdrom', 'network'];
/** How the BIOS maps a disk's physical geometry to the CHS of INT 13h. */
export type DiskTranslation = 'none' | 'lba' | 'large' | 'rechs';
const TRANSLATIONS: readonly DiskTranslation[] = ['none', 'lba', 'large', 'rechs'];

/** What firmware learns about the machine from CMOS. Sizes in bytes. */
export interface CmosHardware {
  /** RAM from address 0 up to the PCI hole. */
  ramBelow4G: number;
  ramAbove4G: number;
  floppies: readonly [FloppyDriveType, FloppyDriveType];
  /** First to last; at most three are used. */
  bootOrder: readonly BootChoice[];
  /** Skip the check for the 55AAh signature on floppies. */
  skipFloppySignatureCheck?: boolean;
  cpus: number;
  /** For IDE disks 0..3; disks over 1024 cylinders need 'lba'. */
  diskTranslations?: readonly (DiskTranslation | undefined)[];
}

export interface RtcOptions {
  id: string;
  ports: PortBus;
  /** IRQ8. */
  irq: IrqLine;
  clock: Clock;
  /** Milliseconds added to Clock.wallTime before the registers show it: the time zone of guests that keep local time. */
  offsetMs?: number;
  /** Told bit 7 of port 70h: true masks NMI. */
  nmiMask?: IrqLine;
}

export class Rtc implements Device {
  readonly id: string;
  private readonly irq: IrqLine;
  private readonly clock: Clock;
  private readonly nmiMask: IrqLine | undefined;
  private readonly initialOffsetMs: number;
  private readonly timer: Timer;
  /** Time registers are valid here only while the clock is held (`held`). */
  private readonly cmos = new Uint8Array(CMOS_SIZE);
  private index = 0;
  private upperIndex = 0;
  /** Guest clock minus Clock.wallTime; moves when the guest sets the time. */
  private offsetMs: number;
  /** Whole guest seconds since the epoch up to which updates and alarms were taken into register C. */
  private lastSecond: number;
  /** Machine time at which the periodic divider began, and how many periods register C has seen. */
  private periodicStart = 0;
  private periodsSeen = 0;
  /** Milliseconds of the second at which the clock was held. */
  private heldFraction = 0;

  constructor({ id, ports, irq, clock, offsetMs = 0, nmiMask }: RtcOptions) {
    this.id = id;
    this.irq = irq;
    this.clock = clock;
    this.nmiMask = nmiMask;
    this.initialOffsetMs = offsetMs;
    this.offsetMs = offsetMs;
    this.timer = clock.createTimer(() => this.update());
    this.cmos[REG_A] = A_DIVIDER_32K | 6;
    this.cmos[REG_B] = B_24H;
    this.cmos[REG_D] = D_VALID;
    this.lastSecond = this.second();
    ports.register({
      owner: id,
      base: PORT,
      length: 4,
      handler: { read: (offset) => this.readPort(offset), write: (offset, value) => this.writePort(offset, value) },
    });
  }

  /** Sets a byte of CMOS RAM (0x0e..0xff) from the machine's side, as a setup program would. */
  setCmos(index: number, value: number): void {
    if (index > REG_D && index < CMOS_SIZE) this.cmos[index] = value;
  }

  getCmos(index: number): number {
    return this.cmos[index & 0xff]!;
  }

  /** Fills the bytes that SeaBIOS (and others) read to learn about memory, drives and boot order. Call before the first reset ends. */
  setHardware(hardware: CmosHardware): void {
    const word = (index: number, value: number) => {
      this.setCmos(index, value & 0xff);
      this.setCmos(index + 1, (value >> 8) & 0xff);
    };
    word(CMOS_BASE_KB, 640);
    const extendedKb = Math.min(0xffff, Math.max(0, Math.floor(hardware.ramBelow4G / 1024) - 1024));
    word(CMOS_EXT_KB, extendedKb);
    word(CMOS_EXT_KB_ACTUAL, extendedKb);
    word(CMOS_EXT_64K_ABOVE_16M, Math.min(0xffff, Math.max(0, Math.floor((hardware.ramBelow4G - 0x1000000) / 65536))));
    const high = Math.floor(hardware.ramAbove4G / 65536);
    word(CMOS_HIGH_64K, high);
    this.setCmos(CMOS_HIGH_64K + 2, (high >> 16) & 0xff);
    this.setCmos(CMOS_CPU_COUNT, Math.max(0, hardware.cpus - 1));

    const [a, b] = hardware.floppies.map((type) => FLOPPY_TYPES.indexOf(type)) as [number, number];
    this.setCmos(CMOS_FLOPPY_TYPES, (a << 4) | b);
    const drives = Number(a > 0) + Number(b > 0);
    this.setCmos(CMOS_EQUIPMENT, EQUIPMENT_FPU | EQUIPMENT_MOUSE | (drives === 0 ? 0 : drives === 1 ? 0x01 : 0x41));

    const boot = [0, 1, 2].map((position) => BOOT_CHOICES.indexOf(hardware.bootOrder[position] as BootChoice) + 1) as number[];
    this.setCmos(CMOS_BOOT_FLAG_2, boot[0]! | (boot[1]! << 4));
    this.setCmos(CMOS_BOOT_FLAG_1, (boot[2]! << 4) | (hardware.skipFloppySignatureCheck ? 1 : 0));
    let translations = 0;
    hardware.diskTranslations?.slice(0, 4).forEach((translation, disk) => {
      if (translation) translations |= TRANSLATIONS.indexOf(translation) << (disk * 2);
    });
    this.setCmos(CMOS_DISK_TRANSLATION, translations);
  }

  /** The battery keeps time and RAM; RESET clears the interrupt enables and flags (data sheet, "RESET"). */
  reset(_kind: 'power' | 'hard'): void {
    this.catchUp();
    this.cmos[REG_B]! &= ~(INTERRUPTS | B_SQWE);
    this.cmos[REG_C] = 0;
    this.index = 0;
    this.upperIndex = 0;
    this.nmiMask?.set(false);
    this.update();
  }

  save(): DeviceState {
    this.catchUp();
    const { index, upperIndex, offsetMs, heldFraction } = this;
    // In 1/1024 ns, which every period is a multiple of, so that a restored phase is saved again as the same number.
    const phase = this.periodNs() > 0 ? Math.round(((this.clock.now() - this.periodicStart) % this.periodNs()) * 1024) / 1024 : 0;
    return { version: 1, index, upperIndex, offsetMs, heldFraction, periodicPhase: phase, cmos: this.cmos.slice() };
  }

  restore(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, 1);
    const cmos = reader.bytes('cmos', CMOS_SIZE);
    this.index = reader.number('index', 0, 0x7f);
    this.upperIndex = reader.number('upperIndex', 0, 0x7f);
    this.offsetMs = reader.number('offsetMs', -1e15, 1e15);
    this.heldFraction = reader.number('heldFraction', 0, 1000);
    this.cmos.set(cmos);
    this.lastSecond = this.second();
    this.periodicStart = this.clock.now() - reader.number('periodicPhase', 0, 1e9);
    this.periodsSeen = 0;
    this.update();
  }

  private readPort(offset: number): number {
    if (offset === 1) return this.read(this.index);
    if (offset === 3) return this.cmos[BANK_SIZE + this.upperIndex]!;
    // The index latches are write-only.
    return 0xff;
  }

  private writePort(offset: number, value: number): void {
    switch (offset) {
      case 0:
        this.index = value & 0x7f;
        this.nmiMask?.set((value & 0x80) !== 0);
        break;
      case 1:
        this.write(this.index, value);
        break;
      case 2:
        this.upperIndex = value & 0x7f;
        break;
      default:
        this.cmos[BANK_SIZE + this.upperIndex] = value;
    }
  }

  private read(index: number): number {
    switch (index) {
      case SECONDS:
      case MINUTES:
      case HOURS:
      case WEEKDAY:
      case DAY:
      case MONTH:
      case YEAR:
      case CMOS_CENTURY:
        if (!this.held) this.loadTime();
        return this.cmos[index]!;
      case REG_A:
        return this.cmos[REG_A]! | (this.updating() ? A_UIP : 0);
      case REG_C: {
        this.catchUp();
        const flags = this.cmos[REG_C]!;
        this.cmos[REG_C] = 0;
        this.update();
        return flags;
      }
      default:
        return this.cmos[index]!;
    }
  }

  private write(index: number, value: number): void {
    switch (index) {
      case SECONDS:
      case MINUTES:
      case HOURS:
      case WEEKDAY:
      case DAY:
      case MONTH:
      case YEAR:
      case CMOS_CENTURY:
        if (this.held) {
          this.cmos[index] = value;
          return;
        }
        this.catchUp();
        this.hold();
        this.cmos[index] = value;
        this.release();
        this.update();
        return;
      case REG_A:
      case REG_B: {
        this.catchUp();
        const wasHeld = this.held;
        const dividerStood = (this.cmos[REG_A]! & A_DIVIDER) !== A_DIVIDER_32K;
        if (!wasHeld) this.hold();
        // "The first update cycle begins one-half second" after a divider reset is removed (data sheet, "DV2, DV1, DV0").
        if (dividerStood) this.heldFraction = 500;
        const rate = this.periodNs();
        if (index === REG_A) this.cmos[REG_A] = value & ~A_UIP;
        // Setting SET clears UIE (data sheet, "SET").
        else this.cmos[REG_B] = value & B_SET ? value & ~C_UPDATE : value;
        if (wasHeld && !this.held) this.release();
        if (this.periodNs() !== rate) {
          this.periodicStart = this.clock.now();
          this.periodsSeen = 0;
        }
        this.update();
        return;
      }
      case REG_C:
      case REG_D:
        return;
      default:
        this.cmos[index] = value;
        if (index === SECONDS_ALARM || index === MINUTES_ALARM || index === HOURS_ALARM) this.update();
    }
  }

  /** The guest stopped the update cycle: SET, or a divider that does not run. */
  private get held(): boolean {
    return (this.cmos[REG_B]! & B_SET) !== 0 || (this.cmos[REG_A]! & A_DIVIDER) !== A_DIVIDER_32K;
  }

  private guestMs(): number {
    return this.clock.wallTime() + this.offsetMs;
  }

  private second(): number {
    return Math.floor(this.guestMs() / 1000);
  }

  private updating(): boolean {
    return !this.held && this.guestMs() - this.second() * 1000 > 1000 - UPDATE_MS;
  }

  private hold(): void {
    this.loadTime();
    this.heldFraction = this.guestMs() - this.second() * 1000;
  }

  /** Lets the clock run on from the time in the registers, at the phase it was held at. */
  private release(): void {
    this.offsetMs = this.timeInRegisters() + Math.round(this.heldFraction) - this.clock.wallTime();
    this.lastSecond = this.second();
  }

  private toRegister(value: number): number {
    return this.cmos[REG_B]! & B_BINARY ? value : (Math.floor(value / 10) << 4) | (value % 10);
  }

  private fromRegister(value: number): number {
    return this.cmos[REG_B]! & B_BINARY ? value : (value >> 4) * 10 + (value & 15);
  }

  private hourToRegister(hour: number): number {
    if (this.cmos[REG_B]! & B_24H) return this.toRegister(hour);
    return this.toRegister(hour % 12 || 12) | (hour >= 12 ? HOUR_PM : 0);
  }

  private hourFromRegister(value: number): number {
    if (this.cmos[REG_B]! & B_24H) return this.fromRegister(value);
    return (this.fromRegister(value & ~HOUR_PM) % 12) + (value & HOUR_PM ? 12 : 0);
  }

  private loadTime(): void {
    const date = new Date(this.second() * 1000);
    const year = date.getUTCFullYear();
    this.cmos[SECONDS] = this.toRegister(date.getUTCSeconds());
    this.cmos[MINUTES] = this.toRegister(date.getUTCMinutes());
    this.cmos[HOURS] = this.hourToRegister(date.getUTCHours());
    this.cmos[WEEKDAY] = this.toRegister(date.getUTCDay() + 1);
    this.cmos[DAY] = this.toRegister(date.getUTCDate());
    this.cmos[MONTH] = this.toRegister(date.getUTCMonth() + 1);
    this.cmos[YEAR] = this.toRegister(year % 100);
    this.cmos[CMOS_CENTURY] = this.toRegister(Math.floor(year / 100) % 100);
  }

  /** Milliseconds since the epoch; fields out of range carry over, as they may on the chip. */
  private timeInRegisters(): number {
    const year = this.fromRegister(this.cmos[CMOS_CENTURY]!) * 100 + this.fromRegister(this.cmos[YEAR]!);
    const month = this.fromRegister(this.cmos[MONTH]!) - 1;
    const date = new Date(0);
    date.setUTCFullYear(year, month, this.fromRegister(this.cmos[DAY]!));
    date.setUTCHours(
      this.hourFromRegister(this.cmos[HOURS]!),
      this.fromRegister(this.cmos[MINUTES]!),
      this.fromRegister(this.cmos[SECONDS]!),
    );
    return date.getTime();
  }

  /** 0 when no periodic rate is selected or the divider stands. Rates 1 and 2 repeat 8 and 9 (data sheet, table 5). */
  private periodNs(): number {
    const rate = this.cmos[REG_A]! & A_RATE;
    if (rate === 0 || (this.cmos[REG_A]! & A_DIVIDER) !== A_DIVIDER_32K) return 0;
    return (2 ** ((rate < 3 ? rate + 7 : rate) - 1) * 1e9) / 32768;
  }

  /** Puts into register C what happened since it was last looked at; timers run only for enabled interrupts. */
  private catchUp(): void {
    let flags = 0;
    const period = this.periodNs();
    if (period > 0) {
      const periods = Math.floor((this.clock.now() - this.periodicStart) / period);
      if (periods > this.periodsSeen) flags |= C_PERIODIC;
      this.periodsSeen = periods;
    }
    if (!this.held) {
      const second = this.second();
      if (second !== this.lastSecond) {
        flags |= C_UPDATE;
        if (this.alarmBetween(this.lastSecond, second)) flags |= C_ALARM;
        this.lastSecond = second;
      }
    }
    this.cmos[REG_C]! |= flags;
  }

  private alarmBetween(after: number, until: number): boolean {
    const [s, m, h] = [this.cmos[SECONDS_ALARM]!, this.cmos[MINUTES_ALARM]!, this.cmos[HOURS_ALARM]!];
    const matches = (alarm: number, value: number) => (alarm & ALARM_ANY) === ALARM_ANY || alarm === value;
    for (let second = Math.max(after + 1, until - ALARM_SEARCH_SECONDS + 1); second <= until; second++) {
      const ofDay = ((second % 86400) + 86400) % 86400;
      if (
        matches(s, this.toRegister(ofDay % 60)) &&
        matches(m, this.toRegister(Math.floor(ofDay / 60) % 60)) &&
        matches(h, this.hourToRegister(Math.floor(ofDay / 3600)))
      )
        return true;
    }
    return false;
  }

  /** Recomputes IRQF and the line, and arms the timer for the next event that could raise it. */
  private update(): void {
    this.catchUp();
    const enabled = this.cmos[REG_B]! & INTERRUPTS;
    const raised = (this.cmos[REG_C]! & enabled) !== 0;
    if (raised) this.cmos[REG_C]! |= C_IRQF;
    else this.cmos[REG_C]! &= ~C_IRQF;
    this.irq.set(raised);
    this.timer.disarm();
    // While the line is high nothing can make another edge before register C is read.
    if (raised) return;
    let next = Number.POSITIVE_INFINITY;
    const period = this.periodNs();
    if (enabled & C_PERIODIC && period > 0) next = Math.ceil(this.periodicStart + (this.periodsSeen + 1) * period);
    if (enabled & (C_ALARM | C_UPDATE) && !this.held) {
      const toNextSecond = 1000 - (this.guestMs() - this.second() * 1000);
      next = Math.min(next, this.clock.now() + Math.max(1, Math.ceil(toNextSecond * 1e6)));
    }
    if (next !== Number.POSITIVE_INFINITY) this.timer.arm(next);
  }

  /** Back to the wall clock plus the configured offset, as after a clock battery was changed. */
  resynchronise(): void {
    this.catchUp();
    this.offsetMs = this.initialOffsetMs;
    this.lastSecond = this.second();
    this.update();
  }
}
