/**
 * VMware backdoor port with its absolute pointer ("vmmouse"), as QEMU offers it: Linux's psmouse and X drivers talk to it.
 * Spec: Linux, drivers/input/mouse/vmmouse.c and Documentation of the commands in VMware open-vm-tools, backdoor_def.h.
 *
 * The interface is a port read that also takes and gives general registers: EAX magic, EBX parameter, CX command.
 */
import type { Device } from '../../bus/device.ts';
import type { PortBus } from '../../bus/portbus.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import { Emitter } from '../../util/emitter.ts';
import type { Logger } from '../../util/logger.ts';

export const VMWARE_PORT = 0x5658;
export const VMWARE_MAGIC = 0x564d5868;

const CMD_GET_VERSION = 10;
const CMD_ABSPOINTER_DATA = 39;
const CMD_ABSPOINTER_STATUS = 40;
const CMD_ABSPOINTER_COMMAND = 41;
const BACKDOOR_VERSION = 6;

// Parameters of ABSPOINTER_COMMAND.
const POINTER_READ_ID = 0x45414552;
const POINTER_DISABLE = 0x000000f5;
const POINTER_REQUEST_RELATIVE = 0x4c455252;
const POINTER_REQUEST_ABSOLUTE = 0x53424152;
const POINTER_VERSION = 0x3442554a;

const STATUS_ERROR = 0xffff;
const NO_ANSWER = 0xffffffff;
const RELATIVE_PACKET = 0x00010000;
const BUTTON_LEFT = 0x20;
const BUTTON_RIGHT = 0x10;
const BUTTON_MIDDLE = 0x08;
/** 32-bit words that wait for the guest; a packet is four. */
const QUEUE_SIZE = 1024;
const PACKET_WORDS = 4;
const MAX_DATA = 6;

/** The processor's 32-bit general registers by their encoding: 0 EAX, 1 ECX, 2 EDX, 3 EBX, 6 ESI, 7 EDI. */
export interface Registers {
  get(register: number): number;
  set(register: number, value: number): void;
}
const EAX = 0;
const ECX = 1;
const EDX = 2;
const EBX = 3;
const ESI = 6;
const EDI = 7;
const DATA_REGISTERS = [EAX, EBX, ECX, EDX, ESI, EDI] as const;

export interface VmMouseOptions {
  id: string;
  ports: PortBus;
  registers: Registers;
  /** Makes the PS/2 mouse send a packet, whose interrupt lets the driver fetch ours. */
  wakeMouse: () => void;
  log: Logger;
}

export class VmMouse implements Device {
  readonly id: string;
  /** Told when the guest switches between absolute and relative reports. */
  readonly absoluteChanged = new Emitter<boolean>();
  private readonly registers: Registers;
  private readonly wakeMouse: () => void;
  private readonly log: Logger;
  private queue: number[] = [];
  /** 0 when on, 0xffff when the guest turned the pointer off or asked for data that was not there. */
  private status = STATUS_ERROR;
  private isAbsolute = false;
  private isEnabled = false;

  constructor({ id, ports, registers, wakeMouse, log }: VmMouseOptions) {
    this.id = id;
    this.registers = registers;
    this.wakeMouse = wakeMouse;
    this.log = log;
    ports.register({
      owner: id,
      base: VMWARE_PORT,
      length: 4,
      maxSize: 4,
      handler: {
        read: (offset, size) => {
          const value = offset === 0 ? this.call() : NO_ANSWER;
          return size === 4 ? value : value & ((1 << (size * 8)) - 1);
        },
        write: (offset) => {
          if (offset === 0) this.registers.set(EAX, this.call());
        },
      },
    });
  }

  /** The guest takes absolute positions from here. */
  get absolute(): boolean {
    return this.isEnabled && this.isAbsolute;
  }

  /** The guest reads this pointer and not the PS/2 mouse. */
  get enabled(): boolean {
    return this.isEnabled;
  }

  /** x, y in 0..65535 over the picture; buttons: bit 0 left, 1 right, 2 middle; `dz` towards the user positive. */
  moveTo(x: number, y: number, dz: number, buttons: number): void {
    if (this.absolute) this.push(0, Math.max(0, Math.min(0xffff, x)), Math.max(0, Math.min(0xffff, y)), dz, buttons);
  }

  /** Right and down positive. */
  move(dx: number, dy: number, dz: number, buttons: number): void {
    if (this.isEnabled && !this.isAbsolute) this.push(RELATIVE_PACKET, dx, -dy, dz, buttons);
  }

  reset(_kind: 'power' | 'hard'): void {
    this.queue = [];
    this.status = STATUS_ERROR;
    this.setMode(false, false);
  }

  save(): DeviceState {
    return { version: 1, status: this.status, absolute: this.isAbsolute, enabled: this.isEnabled, queue: [...this.queue] };
  }

  restore(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, 1);
    const queue = reader.numbers('queue', QUEUE_SIZE).map((word) => word >>> 0);
    this.status = reader.number('status', 0, 0xffff);
    const absolute = reader.boolean('absolute');
    this.queue = queue;
    this.setMode(reader.boolean('enabled'), absolute);
  }

  private setMode(enabled: boolean, absolute: boolean): void {
    const before = this.absolute;
    this.isEnabled = enabled;
    this.isAbsolute = absolute;
    if (this.absolute !== before) this.absoluteChanged.emit(this.absolute);
  }

  private push(flags: number, x: number, y: number, dz: number, buttons: number): void {
    if (this.queue.length + PACKET_WORDS > QUEUE_SIZE) return;
    const bits = (buttons & 1 ? BUTTON_LEFT : 0) | (buttons & 2 ? BUTTON_RIGHT : 0) | (buttons & 4 ? BUTTON_MIDDLE : 0);
    this.queue.push(flags | bits, Math.trunc(x) >>> 0, Math.trunc(y) >>> 0, dz >>> 0);
    this.wakeMouse();
  }

  /** One backdoor call; gives the new EAX. */
  private call(): number {
    if (this.registers.get(EAX) >>> 0 !== VMWARE_MAGIC) return NO_ANSWER;
    switch (this.registers.get(ECX) & 0xffff) {
      case CMD_GET_VERSION:
        this.registers.set(EBX, VMWARE_MAGIC);
        return BACKDOOR_VERSION;
      case CMD_ABSPOINTER_STATUS:
        return ((this.status << 16) | this.queue.length) >>> 0;
      case CMD_ABSPOINTER_COMMAND:
        this.command(this.registers.get(EBX) >>> 0);
        return VMWARE_MAGIC;
      case CMD_ABSPOINTER_DATA:
        return this.data(this.registers.get(EBX) >>> 0);
      default:
        return NO_ANSWER;
    }
  }

  private command(parameter: number): void {
    switch (parameter) {
      case POINTER_READ_ID:
        this.status = 0;
        this.queue = [POINTER_VERSION];
        this.setMode(true, this.isAbsolute);
        break;
      case POINTER_DISABLE:
        this.status = STATUS_ERROR;
        this.queue = [];
        this.setMode(false, false);
        break;
      case POINTER_REQUEST_RELATIVE:
        this.setMode(this.isEnabled, false);
        break;
      case POINTER_REQUEST_ABSOLUTE:
        this.setMode(this.isEnabled, true);
        break;
      default:
        this.log.guest(`unknown absolute pointer command 0x${parameter.toString(16)}`);
    }
  }

  /** Hands out `size` words in EAX, EBX, ECX, EDX, ESI, EDI. */
  private data(size: number): number {
    if (size === 0 || size > MAX_DATA || size > this.queue.length) {
      this.log.guest(`absolute pointer: ${size} words asked for, ${this.queue.length} there`);
      this.status = STATUS_ERROR;
      return VMWARE_MAGIC;
    }
    const words = this.queue.splice(0, size);
    for (let i = 1; i < size; i++) this.registers.set(DATA_REGISTERS[i]!, words[i]!);
    return words[0]!;
  }
}
