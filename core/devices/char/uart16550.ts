/**
 * 16550A serial port.
 * Spec: National Semiconductor PC16550D data sheet, section 8 (registers), 8.6 (FIFO interrupt operation).
 *
 * Sending takes no time: the back end has each byte at once and the transmitter is empty again. Receiving never overruns: bytes wait
 * in the host's queue until there is room.
 */
import type { CharBackend } from '../../backend/char.ts';
import type { Device } from '../../bus/device.ts';
import type { IrqLine } from '../../bus/irq.ts';
import type { PortBus } from '../../bus/portbus.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Clock, Timer } from '../../util/clock.ts';
import type { Logger } from '../../util/logger.ts';

export const COM_PORTS = [0x3f8, 0x2f8, 0x3e8, 0x2e8] as const;

// Offsets; RBR/THR, IER become DLL, DLM while LCR.DLAB is set.
const DATA = 0;
const IER = 1;
const IIR_FCR = 2;
const LCR = 3;
const MCR = 4;
const LSR = 5;
const MSR = 6;

const IER_RX = 0x01;
const IER_THRE = 0x02;
const IER_LINE = 0x04;
const IER_MODEM = 0x08;
const IIR_NONE = 0x01;
const IIR_MODEM = 0x00;
const IIR_THRE = 0x02;
const IIR_RX = 0x04;
const IIR_TIMEOUT = 0x0c;
const IIR_LINE = 0x06;
const IIR_FIFOS = 0xc0;
const FCR_ENABLE = 0x01;
const FCR_CLEAR_RX = 0x02;
const FCR_CLEAR_TX = 0x04;
const FCR_KEPT = 0xc9;
const LCR_DLAB = 0x80;
const LCR_BREAK = 0x40;
const MCR_DTR = 0x01;
const MCR_RTS = 0x02;
const MCR_OUT1 = 0x04;
const MCR_OUT2 = 0x08;
const MCR_LOOP = 0x10;
const LSR_DR = 0x01;
const LSR_OE = 0x02;
const LSR_BI = 0x10;
const LSR_ERRORS = 0x1e;
const LSR_THRE = 0x20;
const LSR_TEMT = 0x40;
/** An error waits in the FIFO: here always a break. */
const LSR_FIFO_ERROR = 0x80;
const MSR_CTS = 0x10;
const MSR_DSR = 0x20;
const MSR_RI = 0x40;
const MSR_DCD = 0x80;
const MSR_DELTA_RI = 0x04;
/** The other end of the cable is there and ready. */
const MSR_CONNECTED = MSR_DCD | MSR_DSR | MSR_CTS;

const FIFO_SIZE = 16;
const TRIGGERS = [1, 4, 8, 14] as const;
const INPUT_CLOCK_HZ = 1843200;
/** 9600 baud, as firmware likes it; the chip itself has no default. */
const RESET_DIVISOR = 12;
const TIMEOUT_CHARACTERS = 4;
/** Input that the guest does not read is kept up to here. */
const HOST_QUEUE_LIMIT = 1 << 20;

export interface Uart16550Options {
  id: string;
  ports: PortBus;
  /** First of eight ports; COM_PORTS has the usual ones. */
  base: number;
  irq: IrqLine;
  clock: Clock;
  backend: CharBackend;
  log: Logger;
}

export class Uart16550 implements Device {
  readonly id: string;
  private readonly irq: IrqLine;
  private readonly clock: Clock;
  private readonly backend: CharBackend;
  private readonly log: Logger;
  private readonly timeoutTimer: Timer;
  /** What the host sent and the chip has no room for yet. */
  private hostQueue: number[] = [];
  private fifo: number[] = [];
  private ier = 0;
  private fcr = 0;
  private lcr = 0;
  private mcr = 0;
  private lsr = LSR_THRE | LSR_TEMT;
  private msr = MSR_CONNECTED;
  private scratch = 0;
  private divisor = RESET_DIVISOR;
  private threPending = false;
  private timeoutPending = false;

  constructor({ id, ports, base, irq, clock, backend, log }: Uart16550Options) {
    this.id = id;
    this.irq = irq;
    this.clock = clock;
    this.backend = backend;
    this.log = log;
    this.timeoutTimer = clock.createTimer(() => {
      this.timeoutPending = true;
      this.update();
    });
    backend.onInput(
      (bytes) => this.receive(bytes),
      () => this.receiveBreak(),
    );
    ports.register({
      owner: id,
      base,
      length: 8,
      handler: { read: (offset) => this.read(offset), write: (offset, value) => this.write(offset, value) },
    });
  }

  reset(_kind: 'power' | 'hard'): void {
    this.hostQueue = [];
    this.fifo = [];
    this.ier = 0;
    this.fcr = 0;
    this.lcr = 0;
    this.mcr = 0;
    this.lsr = LSR_THRE | LSR_TEMT;
    this.msr = MSR_CONNECTED;
    this.scratch = 0;
    this.divisor = RESET_DIVISOR;
    this.threPending = false;
    this.timeoutPending = false;
    this.timeoutTimer.disarm();
    this.update();
  }

  save(): DeviceState {
    const { ier, fcr, lcr, mcr, lsr, msr, scratch, divisor, threPending, timeoutPending } = this;
    const deadline = this.timeoutTimer.deadline;
    return {
      ...{ version: 1, ier, fcr, lcr, mcr, lsr, msr, scratch, divisor, threPending, timeoutPending },
      timeoutIn: deadline === undefined ? null : deadline - this.clock.now(),
      fifo: Uint8Array.from(this.fifo),
      hostQueue: Uint8Array.from(this.hostQueue),
    };
  }

  restore(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, 1);
    const fifo = reader.bytes('fifo');
    const hostQueue = reader.bytes('hostQueue');
    this.ier = reader.byte('ier') & 0x0f;
    this.fcr = reader.byte('fcr');
    this.lcr = reader.byte('lcr');
    this.mcr = reader.byte('mcr') & 0x1f;
    this.lsr = reader.byte('lsr');
    this.msr = reader.byte('msr');
    this.scratch = reader.byte('scratch');
    this.divisor = reader.number('divisor', 0, 0xffff);
    this.threPending = reader.boolean('threPending');
    this.timeoutPending = reader.boolean('timeoutPending');
    const timeoutIn = reader.optionalNumber('timeoutIn');
    this.fifo = [...fifo.subarray(0, FIFO_SIZE)];
    this.hostQueue = Array.from(hostQueue.subarray(0, HOST_QUEUE_LIMIT));
    this.timeoutTimer.disarm();
    if (timeoutIn !== undefined) this.timeoutTimer.arm(this.clock.now() + timeoutIn);
    this.update();
  }

  private get fifosOn(): boolean {
    return (this.fcr & FCR_ENABLE) !== 0;
  }

  private read(offset: number): number {
    switch (offset) {
      case DATA: {
        if (this.lcr & LCR_DLAB) return this.divisor & 0xff;
        const byte = this.fifo.shift() ?? 0;
        if (this.fifo.length === 0) this.lsr &= ~(LSR_DR | LSR_BI);
        this.timeoutPending = false;
        this.pump();
        this.armTimeout();
        this.update();
        return byte;
      }
      case IER:
        return this.lcr & LCR_DLAB ? this.divisor >> 8 : this.ier;
      case IIR_FCR: {
        const reason = this.reason();
        // Reading the register answers a transmitter interrupt if that is what it shows.
        if (reason === IIR_THRE) {
          this.threPending = false;
          this.update();
        }
        return reason | (this.fifosOn ? IIR_FIFOS : 0);
      }
      case LCR:
        return this.lcr;
      case MCR:
        return this.mcr;
      case LSR: {
        const value = this.fifosOn ? this.lsr : this.lsr & ~LSR_FIFO_ERROR;
        this.lsr &= ~LSR_ERRORS;
        this.update();
        return value;
      }
      case MSR: {
        const value = this.msr;
        this.msr &= 0xf0;
        this.update();
        return value;
      }
      default:
        return this.scratch;
    }
  }

  private write(offset: number, value: number): void {
    switch (offset) {
      case DATA:
        if (this.lcr & LCR_DLAB) this.divisor = (this.divisor & 0xff00) | value;
        else this.transmit(value);
        break;
      case IER: {
        if (this.lcr & LCR_DLAB) {
          this.divisor = (this.divisor & 0xff) | (value << 8);
          break;
        }
        const enabled = value & 0x0f & ~this.ier;
        this.ier = value & 0x0f;
        // Enabling the transmitter interrupt while it is empty requests at once.
        if (enabled & IER_THRE && this.lsr & LSR_THRE) this.threPending = true;
        break;
      }
      case IIR_FCR: {
        // Switching the FIFOs on or off clears both.
        const toggled = (value ^ this.fcr) & FCR_ENABLE;
        if (toggled || value & FCR_CLEAR_RX) {
          this.fifo = [];
          this.lsr &= ~(LSR_DR | LSR_BI);
          this.timeoutPending = false;
          this.timeoutTimer.disarm();
        }
        if (toggled || value & FCR_CLEAR_TX) this.threPending = true;
        this.fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
        this.pump();
        break;
      }
      case LCR: {
        const breakStarts = value & ~this.lcr & LCR_BREAK;
        this.lcr = value;
        if (breakStarts && this.mcr & MCR_LOOP) {
          this.deliver(0);
          this.lsr |= LSR_BI;
        }
        break;
      }
      case MCR:
        this.mcr = value & 0x1f;
        this.modemLines();
        break;
      case LSR: // written by factory tests only
      case MSR:
        break;
      default:
        this.scratch = value;
    }
    this.update();
  }

  private transmit(value: number): void {
    this.threPending = false;
    if (this.mcr & MCR_LOOP) this.deliver(value);
    else this.backend.write(value);
    this.threPending = true;
  }

  private receive(bytes: Uint8Array): void {
    const room = HOST_QUEUE_LIMIT - this.hostQueue.length;
    if (bytes.length > room) this.log.warn(`serial input dropped: ${bytes.length - room} bytes more than the guest reads`);
    for (const byte of bytes.subarray(0, Math.max(0, room))) this.hostQueue.push(byte);
    this.pump();
    this.update();
  }

  /** A break overtakes what waits on the host's side, as it is there to interrupt: its NUL comes next after what the chip holds. */
  private receiveBreak(): void {
    this.lsr |= LSR_FIFO_ERROR;
    this.pump();
    this.update();
  }

  /** Moves waiting input into the receiver while there is room; not in loopback, where the pin is disconnected. */
  private pump(): void {
    if (this.mcr & MCR_LOOP) return;
    if (this.lsr & LSR_FIFO_ERROR) {
      // BI belongs to the character at the head.
      if (this.fifo.length > 0) return;
      this.lsr = (this.lsr & ~LSR_FIFO_ERROR) | LSR_BI;
      this.deliver(0);
    }
    if (this.hostQueue.length === 0) return;
    const room = (this.fifosOn ? FIFO_SIZE : 1) - this.fifo.length;
    if (room <= 0) return;
    for (const byte of this.hostQueue.splice(0, room)) this.deliver(byte);
  }

  private deliver(byte: number): void {
    const size = this.fifosOn ? FIFO_SIZE : 1;
    if (this.fifo.length >= size) {
      this.lsr |= LSR_OE;
      // Without FIFO the new byte overwrites the old one; with it the new one is lost (8.6).
      if (!this.fifosOn) this.fifo[0] = byte;
    } else this.fifo.push(byte);
    this.lsr |= LSR_DR;
    this.armTimeout();
  }

  /** A character waits below the trigger level: after four character times without traffic it interrupts. */
  private armTimeout(): void {
    if (!this.fifosOn || this.fifo.length === 0) {
      this.timeoutTimer.disarm();
      return;
    }
    const bits = 1 + 5 + (this.lcr & 3) + (this.lcr & 8 ? 1 : 0) + (this.lcr & 4 ? 2 : 1);
    const bitNs = (16e9 * Math.max(1, this.divisor)) / INPUT_CLOCK_HZ;
    this.timeoutTimer.arm(this.clock.now() + Math.ceil(TIMEOUT_CHARACTERS * bits * bitNs));
  }

  private modemLines(): void {
    let lines: number = MSR_CONNECTED;
    if (this.mcr & MCR_LOOP)
      lines =
        (this.mcr & MCR_RTS ? MSR_CTS : 0) |
        (this.mcr & MCR_DTR ? MSR_DSR : 0) |
        (this.mcr & MCR_OUT1 ? MSR_RI : 0) |
        (this.mcr & MCR_OUT2 ? MSR_DCD : 0);
    const changed = (lines ^ this.msr) & 0xf0;
    // Delta bits lie four below their lines; for RI only the trailing edge counts.
    const delta = ((changed & ~MSR_RI) >> 4) | (changed & MSR_RI && !(lines & MSR_RI) ? MSR_DELTA_RI : 0);
    this.msr = lines | (this.msr & 0x0f) | delta;
    this.pump();
  }

  /** IIR without the FIFO bits: the highest of the enabled requests (table of section 8.5). */
  private reason(): number {
    if (this.ier & IER_LINE && this.lsr & LSR_ERRORS) return IIR_LINE;
    if (this.ier & IER_RX && this.fifo.length >= (this.fifosOn ? TRIGGERS[(this.fcr >> 6) as 0 | 1 | 2 | 3] : 1)) return IIR_RX;
    if (this.ier & IER_RX && this.timeoutPending && this.fifo.length > 0) return IIR_TIMEOUT;
    if (this.ier & IER_THRE && this.threPending) return IIR_THRE;
    if (this.ier & IER_MODEM && this.msr & 0x0f) return IIR_MODEM;
    return IIR_NONE;
  }

  /** On a PC the interrupt passes a gate that OUT2 opens; in loopback the OUT2 pin is inactive. */
  private update(): void {
    const gate = (this.mcr & (MCR_OUT2 | MCR_LOOP)) === MCR_OUT2;
    this.irq.set(gate && this.reason() !== IIR_NONE);
  }
}
