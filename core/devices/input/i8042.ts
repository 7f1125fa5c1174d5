/**
 * 8042 keyboard controller with an auxiliary (mouse) port.
 * Spec: IBM PS/2 Hardware Interface Technical Reference (1988), "Keyboard and Auxiliary Device Controller"; pulse-reset and A20 wiring
 * as in the IBM PC AT Technical Reference.
 */
import type { Device } from '../../bus/device.ts';
import type { IrqLine } from '../../bus/irq.ts';
import type { PortBus } from '../../bus/portbus.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Logger } from '../../util/logger.ts';
import type { Ps2Device } from './ps2queue.ts';
import { translateByte } from './scancodes.ts';

const DATA_PORT = 0x60;
const COMMAND_PORT = 0x64;

// Status: PERR TO AUXOBF INH A2 SYS IBF OBF
const STATUS_OBF = 0x01;
const STATUS_SYS = 0x04;
const STATUS_COMMAND = 0x08;
const STATUS_UNLOCKED = 0x10;
const STATUS_AUX_OBF = 0x20;
// Controller command byte (RAM byte 0): 0 XLATE DISAUX DISKBD 0 SYS AUXINT KBDINT
const MODE_KBD_INT = 0x01;
const MODE_AUX_INT = 0x02;
const MODE_SYS = 0x04;
const MODE_DISABLE_KBD = 0x10;
const MODE_DISABLE_AUX = 0x20;
const MODE_TRANSLATE = 0x40;
// Output port: KBDDATA KBDCLK IRQ12 IRQ1 ? ? A20 RESET#
const OUT_RESET = 0x01;
const OUT_A20 = 0x02;
const OUT_IRQ1 = 0x10;
const OUT_IRQ12 = 0x20;
const OUT_PULLED_UP = 0xcc;

const CMD_READ_RAM = 0x20;
const CMD_WRITE_RAM = 0x60;
const CMD_PASSWORD_INSTALLED = 0xa4;
const CMD_LOAD_PASSWORD = 0xa5;
const CMD_ENABLE_PASSWORD = 0xa6;
const CMD_DISABLE_AUX = 0xa7;
const CMD_ENABLE_AUX = 0xa8;
const CMD_TEST_AUX = 0xa9;
const CMD_SELF_TEST = 0xaa;
const CMD_TEST_KBD = 0xab;
const CMD_DIAGNOSTIC_DUMP = 0xac;
const CMD_DISABLE_KBD = 0xad;
const CMD_ENABLE_KBD = 0xae;
const CMD_READ_INPUT = 0xc0;
const CMD_POLL_INPUT_LOW = 0xc1;
const CMD_POLL_INPUT_HIGH = 0xc2;
const CMD_READ_OUTPUT = 0xd0;
const CMD_WRITE_OUTPUT = 0xd1;
const CMD_WRITE_KBD_BUFFER = 0xd2;
const CMD_WRITE_AUX_BUFFER = 0xd3;
const CMD_WRITE_AUX = 0xd4;
const CMD_A20_OFF = 0xdd;
const CMD_A20_ON = 0xdf;
const CMD_READ_TEST = 0xe0;
const CMD_PULSE = 0xf0;

const SELF_TEST_OK = 0x55;
const PORT_TEST_OK = 0x00;
const NO_PASSWORD = 0xf1;
/** Keyboard not locked, manufacturing jumper absent, colour display. */
const INPUT_PORT = 0xb0;
const BREAK_PREFIX = 0xf0;
const RAM_SIZE = 32;

export interface I8042Options {
  id: string;
  ports: PortBus;
  /** IRQ1 and IRQ12. */
  irqKeyboard: IrqLine;
  irqMouse: IrqLine;
  keyboard: Ps2Device;
  mouse: Ps2Device | undefined;
  /** True lets address line 20 through. */
  a20: IrqLine;
  /** The reset line was pulsed. Called from inside a port write. */
  reset: () => void;
  log: Logger;
}

export class I8042 implements Device {
  readonly id: string;
  private readonly options: I8042Options;
  private readonly log: Logger;
  private readonly ram = new Uint8Array(RAM_SIZE);
  /** STATUS_SYS, STATUS_COMMAND, STATUS_OBF and STATUS_AUX_OBF. */
  private status = 0;
  private output = 0;
  private outputPort = OUT_RESET | OUT_A20 | OUT_PULLED_UP;
  /** Command that waits for a byte on the data port, or 0. */
  private pending = 0;
  /** Answers of the controller itself, which go before device data; bit 8 marks a byte for the auxiliary buffer. */
  private replies: number[] = [];
  /** The translator saw a break prefix. */
  private breakSeen = false;

  constructor(options: I8042Options) {
    this.options = options;
    this.id = options.id;
    this.log = options.log;
    this.ram[0] = MODE_KBD_INT | MODE_AUX_INT | MODE_TRANSLATE;
    this.status = STATUS_COMMAND;
    const { ports, keyboard, mouse } = options;
    keyboard.onData = () => this.fill();
    if (mouse) mouse.onData = () => this.fill();
    ports.register({
      owner: this.id,
      base: DATA_PORT,
      length: 1,
      handler: { read: () => this.readData(), write: (_, value) => this.writeData(value) },
    });
    ports.register({
      owner: this.id,
      base: COMMAND_PORT,
      length: 1,
      handler: { read: () => this.status | STATUS_UNLOCKED, write: (_, value) => this.command(value) },
    });
  }

  /** Leaves A20 to the board, which opens the gate for the first instruction. */
  reset(_kind: 'power' | 'hard'): void {
    this.ram.fill(0);
    this.ram[0] = MODE_KBD_INT | MODE_AUX_INT | MODE_TRANSLATE;
    this.status = STATUS_COMMAND;
    this.output = 0;
    this.outputPort = OUT_RESET | OUT_A20 | OUT_PULLED_UP;
    this.pending = 0;
    this.replies = [];
    this.breakSeen = false;
    this.drive();
  }

  save(): DeviceState {
    const { status, output, outputPort, pending, breakSeen } = this;
    return { version: 1, status, output, outputPort, pending, breakSeen, ram: this.ram.slice(), replies: [...this.replies] };
  }

  restore(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, 1);
    const ram = reader.bytes('ram', RAM_SIZE);
    this.status = reader.byte('status') & (STATUS_OBF | STATUS_SYS | STATUS_COMMAND | STATUS_AUX_OBF);
    this.output = reader.byte('output');
    this.outputPort = reader.byte('outputPort') | OUT_RESET;
    this.pending = reader.byte('pending');
    this.breakSeen = reader.boolean('breakSeen');
    this.replies = reader.numbers('replies', 16);
    this.ram.set(ram);
    this.drive();
  }

  private get mode(): number {
    return this.ram[0]!;
  }

  private readData(): number {
    const value = this.output;
    if (this.status & STATUS_OBF) {
      this.status &= ~(STATUS_OBF | STATUS_AUX_OBF);
      // The line drops before the next byte comes, which makes a new edge.
      this.drive();
      this.fill();
    }
    return value;
  }

  private writeData(value: number): void {
    this.status &= ~STATUS_COMMAND;
    const command = this.pending;
    this.pending = 0;
    if (command >= CMD_WRITE_RAM && command < CMD_WRITE_RAM + RAM_SIZE) {
      this.ram[command - CMD_WRITE_RAM] = value;
      if (command === CMD_WRITE_RAM) {
        this.status = (this.status & ~STATUS_SYS) | (value & MODE_SYS ? STATUS_SYS : 0);
        this.drive();
        this.fill();
      }
      return;
    }
    switch (command) {
      case CMD_LOAD_PASSWORD:
        if (value !== 0) this.pending = CMD_LOAD_PASSWORD;
        break;
      case CMD_WRITE_OUTPUT:
        this.writeOutputPort(value);
        break;
      case CMD_WRITE_KBD_BUFFER:
        this.reply(value);
        break;
      case CMD_WRITE_AUX_BUFFER:
        this.reply(value | 0x100);
        break;
      case CMD_WRITE_AUX:
        // Talking to a device enables its clock.
        this.ram[0]! &= ~MODE_DISABLE_AUX;
        this.options.mouse?.write(value);
        this.fill();
        break;
      default:
        this.ram[0]! &= ~MODE_DISABLE_KBD;
        this.options.keyboard.write(value);
        this.fill();
    }
  }

  private command(value: number): void {
    this.status |= STATUS_COMMAND;
    this.pending = 0;
    if (value >= CMD_READ_RAM && value < CMD_READ_RAM + RAM_SIZE) {
      this.reply(this.ram[value - CMD_READ_RAM]!);
      return;
    }
    if (value >= CMD_WRITE_RAM && value < CMD_WRITE_RAM + RAM_SIZE) {
      this.pending = value;
      return;
    }
    if (value >= CMD_PULSE) {
      // Bits 0..3 that are clear pulse an output line low; only line 0 is wired to something that notices.
      if (!(value & OUT_RESET)) this.options.reset();
      return;
    }
    switch (value) {
      case CMD_PASSWORD_INSTALLED:
        this.reply(NO_PASSWORD);
        break;
      case CMD_ENABLE_PASSWORD:
      case CMD_DIAGNOSTIC_DUMP:
      case CMD_POLL_INPUT_LOW:
      case CMD_POLL_INPUT_HIGH:
        break;
      case CMD_DISABLE_AUX:
        this.ram[0]! |= MODE_DISABLE_AUX;
        break;
      case CMD_ENABLE_AUX:
        this.ram[0]! &= ~MODE_DISABLE_AUX;
        this.fill();
        break;
      case CMD_TEST_AUX:
        this.reply(this.options.mouse ? PORT_TEST_OK : 0xff);
        break;
      case CMD_SELF_TEST:
        this.status |= STATUS_SYS;
        this.ram[0]! |= MODE_SYS;
        this.reply(SELF_TEST_OK);
        break;
      case CMD_TEST_KBD:
        this.reply(PORT_TEST_OK);
        break;
      case CMD_DISABLE_KBD:
        this.ram[0]! |= MODE_DISABLE_KBD;
        break;
      case CMD_ENABLE_KBD:
        this.ram[0]! &= ~MODE_DISABLE_KBD;
        this.fill();
        break;
      case CMD_READ_INPUT:
        this.reply(INPUT_PORT);
        break;
      case CMD_READ_OUTPUT:
        this.reply(this.outputPort | this.irqBits());
        break;
      case CMD_LOAD_PASSWORD:
      case CMD_WRITE_OUTPUT:
      case CMD_WRITE_KBD_BUFFER:
      case CMD_WRITE_AUX_BUFFER:
      case CMD_WRITE_AUX:
        this.pending = value;
        break;
      case CMD_A20_OFF:
      case CMD_A20_ON:
        this.writeOutputPort(value === CMD_A20_ON ? this.outputPort | OUT_A20 : this.outputPort & ~OUT_A20);
        break;
      case CMD_READ_TEST:
        this.reply(0);
        break;
      default:
        this.log.guest(`unknown keyboard controller command 0x${value.toString(16)}`);
    }
  }

  private writeOutputPort(value: number): void {
    this.outputPort = (value | OUT_RESET) & ~(OUT_IRQ1 | OUT_IRQ12);
    this.options.a20.set((value & OUT_A20) !== 0);
    if (!(value & OUT_RESET)) this.options.reset();
  }

  private reply(value: number): void {
    if (this.replies.length < 16) this.replies.push(value);
    this.fill();
  }

  /** Loads the output buffer when it is free: own answers first, then the keyboard, then the mouse. */
  private fill(): void {
    while (!(this.status & STATUS_OBF)) {
      const { keyboard, mouse } = this.options;
      const reply = this.replies.shift();
      if (reply !== undefined) this.load(reply & 0xff, (reply & 0x100) !== 0);
      else if (keyboard.hasData && !(this.mode & MODE_DISABLE_KBD)) this.fromKeyboard(keyboard.take());
      else if (mouse?.hasData && !(this.mode & MODE_DISABLE_AUX)) this.load(mouse.take(), true);
      else return;
    }
  }

  private fromKeyboard(byte: number): void {
    if (!(this.mode & MODE_TRANSLATE)) {
      this.load(byte, false);
      return;
    }
    if (byte === BREAK_PREFIX) {
      this.breakSeen = true;
      return;
    }
    this.load(translateByte(byte) | (this.breakSeen ? 0x80 : 0), false);
    this.breakSeen = false;
  }

  private load(value: number, aux: boolean): void {
    this.output = value;
    this.status |= STATUS_OBF | (aux ? STATUS_AUX_OBF : 0);
    this.drive();
  }

  private irqBits(): number {
    if (!(this.status & STATUS_OBF)) return 0;
    if (this.status & STATUS_AUX_OBF) return this.mode & MODE_AUX_INT ? OUT_IRQ12 : 0;
    return this.mode & MODE_KBD_INT ? OUT_IRQ1 : 0;
  }

  private drive(): void {
    const bits = this.irqBits();
    this.options.irqKeyboard.set((bits & OUT_IRQ1) !== 0);
    this.options.irqMouse.set((bits & OUT_IRQ12) !== 0);
  }
}
