/**
 * One port of an AHCI controller with the drive behind it. Serial ATA AHCI 1.3.1: registers section 3.3, operation sections 5 and 6. Commands are in
 * ahcicommand.ts, frames that the drive sends in ahcifis.ts.
 */
import { BLOCK_OK, type BlockDevice } from '../../backend/asyncblock.ts';
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { Logger } from '../../util/logger.ts';
import { AhciCommand } from './ahcicommand.ts';
import { pioSetupFis, registersFis, setBitsFis } from './ahcifis.ts';
import * as R from './ahciregisters.ts';
import { AtaDisk } from './atadisk.ts';
import { QUEUE_DEPTH } from './ataidentify.ts';
import { AtapiCdrom } from './atapicdrom.ts';
import { type AtaUnit, ERR_ABRT, ERR_IDNF, ERR_UNC, ST_BSY, ST_DRDY, ST_DRQ, ST_DSC, ST_ERR } from './ataunit.ts';
import { DmaTransfer } from './dmatransfer.ts';
import { HostRequests } from './hostrequests.ts';

const SECTOR = 512;

export interface AhciDrive {
  kind: 'disk' | 'cdrom';
  block: BlockDevice;
  /** At most 20 characters; a disk's. */
  serial: string;
  writeCache: boolean;
}

export interface AhciPortOptions {
  id: string;
  memory: GuestMemory;
  drive: AhciDrive | undefined;
  /** The port has something to say: PxIS & PxIE is not 0. */
  interrupt(): void;
  log: Logger;
}

export class AhciPort {
  readonly unit: AtaUnit | undefined;
  private readonly memory: GuestMemory;
  private readonly log: Logger;
  private readonly interrupt: () => void;
  private readonly block: BlockDevice | undefined;
  private readonly queued: HostRequests | undefined;
  private listBase = 0;
  private fisBase = 0;
  private is = 0;
  private ie = 0;
  private cmd = 0;
  private tfd = R.TFD_NONE;
  private sig = R.SIG_NONE;
  private sctl = 0;
  private serr = 0;
  private sact = 0;
  private ci = 0;
  /** The first FIS of the drive after a reset has not been seen yet. */
  private signaturePending = false;
  /** An error has stopped command processing until the driver stops the port. */
  private halted = false;
  private softReset = false;
  private command: AhciCommand | undefined;
  private transfer: DmaTransfer | undefined;
  /** Queued commands with the host, bit a slot. */
  private queuedSlots = 0;
  private pumping = false;

  constructor({ id, memory, drive, interrupt, log }: AhciPortOptions) {
    this.memory = memory;
    this.log = log;
    this.interrupt = interrupt;
    this.block = drive?.block;
    if (drive) {
      const dma = {
        request: (toMemory: boolean, bytes: number, start: (transfer: DmaTransfer) => void) => this.startDma(toMemory, bytes, start),
        complete: () => this.endDma(),
        cancel: () => this.endDma(),
      };
      const common = { id, block: drive.block, dma, onInterrupt: () => this.pump(), log };
      this.unit =
        drive.kind === 'disk'
          ? new AtaDisk({ ...common, serial: drive.serial, writeCache: drive.writeCache, sata: true })
          : new AtapiCdrom(common);
      if (drive.kind === 'disk') {
        this.queued = new HostRequests(drive.block);
        this.queued.onDrained = () => this.issue();
      }
    }
    this.reset();
  }

  /** PxIS & PxIE. */
  get pending(): boolean {
    return (this.is & this.ie) !== 0;
  }

  /** No command is under way. */
  get settled(): boolean {
    return !this.command && this.queuedSlots === 0;
  }

  /** Power-on or the controller's reset. */
  reset(): void {
    this.listBase = this.fisBase = 0;
    this.is = this.ie = 0;
    this.cmd = 0;
    this.sctl = 0;
    this.serr = 0;
    this.softReset = false;
    this.comReset();
  }

  read(offset: number): number {
    switch (offset) {
      case R.P_CLB:
        return this.listBase % 2 ** 32;
      case R.P_CLBU:
        return Math.floor(this.listBase / 2 ** 32);
      case R.P_FB:
        return this.fisBase % 2 ** 32;
      case R.P_FBU:
        return Math.floor(this.fisBase / 2 ** 32);
      case R.P_IS:
        return this.is;
      case R.P_IE:
        return this.ie;
      case R.P_CMD: {
        const running = (this.cmd & R.CMD_ST ? R.CMD_CR : 0) | (this.cmd & R.CMD_FRE ? R.CMD_FR : 0);
        return (this.cmd | running | (this.unit?.packet ? R.CMD_ATAPI : 0) | ((this.command?.slot ?? 0) << R.CMD_CCS_SHIFT)) >>> 0;
      }
      case R.P_TFD:
        return this.tfd;
      case R.P_SIG:
        return this.sig;
      case R.P_SSTS:
        // Interface active, generation 1, device present.
        return this.unit && (this.sctl & R.SCTL_DET) === 0 ? R.SSTS_PRESENT : 0;
      case R.P_SCTL:
        return this.sctl;
      case R.P_SERR:
        return this.serr;
      case R.P_SACT:
        return this.sact >>> 0;
      case R.P_CI:
        return this.ci >>> 0;
      default:
        return 0;
    }
  }

  write(offset: number, value: number): void {
    switch (offset) {
      case R.P_CLB:
        this.listBase = Math.floor(this.listBase / 2 ** 32) * 2 ** 32 + ((value & ~0x3ff) >>> 0);
        break;
      case R.P_CLBU:
        this.listBase = (this.listBase % 2 ** 32) + value * 2 ** 32;
        break;
      case R.P_FB:
        this.fisBase = Math.floor(this.fisBase / 2 ** 32) * 2 ** 32 + ((value & ~0xff) >>> 0);
        break;
      case R.P_FBU:
        this.fisBase = (this.fisBase % 2 ** 32) + value * 2 ** 32;
        break;
      case R.P_IS:
        this.is = (this.is & ~value) >>> 0;
        break;
      case R.P_IE:
        this.ie = (value & R.IS_ALL) >>> 0;
        if (this.pending) this.interrupt();
        break;
      case R.P_CMD:
        this.writeCommand(value);
        break;
      case R.P_SCTL:
        this.writeControl(value);
        break;
      case R.P_SERR:
        this.serr = (this.serr & ~value) >>> 0;
        if (!(this.serr & R.SERR_X)) this.is &= ~R.IS_PCS;
        break;
      case R.P_SACT:
        if (this.cmd & R.CMD_ST) this.sact |= value;
        break;
      case R.P_CI:
        if (this.cmd & R.CMD_ST) {
          this.ci |= value;
          this.issue();
        }
        break;
    }
  }

  save(): { [key: string]: StateValue } {
    const { listBase, fisBase, is, ie, cmd, tfd, sig, sctl, serr, signaturePending, halted, softReset } = this;
    return {
      ...{ listBase, fisBase, is, ie, cmd, tfd, sig, sctl, serr, signaturePending, halted, softReset },
      sact: this.sact >>> 0,
      ci: this.ci >>> 0,
      queued: this.queuedSlots >>> 0,
      unit: this.unit?.saveUnit() ?? {},
    };
  }

  /** Guest memory must have been restored before: commands that were under way are read from there and done again. */
  restore(state: StateReader): void {
    this.abandon();
    this.listBase = state.number('listBase', 0);
    this.fisBase = state.number('fisBase', 0);
    for (const name of ['is', 'ie', 'cmd', 'tfd', 'sig', 'sctl', 'serr'] as const) this[name] = state.number(name, 0, 0xffffffff);
    this.signaturePending = state.boolean('signaturePending');
    this.halted = state.boolean('halted');
    this.softReset = state.boolean('softReset');
    const sact = state.number('sact', 0, 0xffffffff);
    const queued = state.number('queued', 0, 0xffffffff);
    const ci = state.number('ci', 0, 0xffffffff);
    if (this.unit) {
      this.pumping = true;
      this.unit.restoreUnit(state.object('unit'));
      // What was under way begins anew: nothing of it may show.
      if (!this.halted && ci) this.unit.status = ST_DRDY | ST_DSC;
      this.unit.setInterrupt(false);
      this.pumping = false;
    }
    this.sact = sact | 0;
    this.ci = ci | queued | 0;
    this.issue();
  }

  private writeCommand(value: number): void {
    const before = this.cmd;
    let next = value & R.CMD_WRITABLE;
    if (value & R.CMD_CLO) this.tfd &= ~(ST_BSY | ST_DRQ);
    if (before & R.CMD_ST && !(next & R.CMD_ST)) {
      this.abandon();
      this.ci = this.sact = 0;
      this.halted = false;
    }
    // Command list processing needs somewhere to put what comes back.
    if (!(next & R.CMD_FRE) && next & R.CMD_ST) next &= ~R.CMD_ST;
    this.cmd = next >>> 0;
    if (next & R.CMD_FRE && !(before & R.CMD_FRE)) this.sendSignature();
  }

  private writeControl(value: number): void {
    const before = this.sctl & R.SCTL_DET;
    this.sctl = value & R.SCTL_WRITABLE;
    const after = this.sctl & R.SCTL_DET;
    if (after === R.DET_RESET && before !== R.DET_RESET) {
      this.abandon();
      this.tfd = R.TFD_NONE;
    } else if (before === R.DET_RESET && after === 0) this.comReset();
  }

  /** COMRESET: the drive starts anew, and says who it is as soon as somebody listens. */
  private comReset(): void {
    this.abandon();
    this.ci = this.sact = 0;
    this.halted = false;
    this.tfd = R.TFD_NONE;
    this.sig = R.SIG_NONE;
    this.signaturePending = this.unit !== undefined;
    if (!this.unit) return;
    this.pumping = true;
    this.unit.hardReset();
    this.unit.setInterrupt(false);
    this.pumping = false;
    this.serr = (this.serr | R.SERR_X) >>> 0;
    this.raise(R.IS_PCS);
    this.sendSignature();
  }

  private sendSignature(): void {
    if (!this.signaturePending || !this.unit || !(this.cmd & R.CMD_FRE)) return;
    this.signaturePending = false;
    const { lbaHigh, lbaMid, lbaLow, sectorCount } = this.unit;
    this.sig = ((lbaHigh << 24) | (lbaMid << 16) | (lbaLow << 8) | sectorCount) >>> 0;
    this.postRegisters(false);
  }

  /** Gives up everything that is under way. */
  private abandon(): void {
    this.endDma();
    this.command = undefined;
    this.queued?.abandon();
    this.queuedSlots = 0;
    if (!this.unit) return;
    if (this.unit.status & (ST_BSY | ST_DRQ)) {
      this.pumping = true;
      this.unit.reset();
      this.unit.setInterrupt(false);
      this.pumping = false;
    }
  }

  /** Starts what the driver has issued: queued commands together, others one at a time. */
  private issue(): void {
    while (!this.command && !this.halted && this.ci && this.cmd & R.CMD_ST && !this.queued?.draining) {
      const slot = 31 - Math.clz32(this.ci & -this.ci);
      const command = new AhciCommand(this.memory, this.listBase, slot);
      if (!this.unit || !command.valid) {
        this.log.guest(`a command that is no register FIS, in slot ${slot}`);
        this.halted = true;
        this.raise(R.IS_IFS);
        return;
      }
      if (!command.isCommand) this.control(command);
      else if (this.unit instanceof AtaDisk && command.queued) this.queue(command, this.unit);
      // An other command waits until the queue is empty; what the standard has for this is an error, which helps nobody.
      else if (this.queuedSlots) return;
      else this.execute(command, this.unit);
    }
  }

  /** A FIS that carries the device control register: software reset (section 10.4.1). */
  private control(command: AhciCommand): void {
    const released = this.softReset && !command.softReset;
    this.softReset = command.softReset;
    this.ci &= ~(1 << command.slot);
    if (!released || !this.unit) return;
    this.pumping = true;
    this.unit.reset();
    this.unit.setInterrupt(false);
    this.pumping = false;
    this.signaturePending = true;
    this.sendSignature();
  }

  private execute(command: AhciCommand, unit: AtaUnit): void {
    this.command = command;
    command.load(unit);
    this.tfd = (this.tfd & ~0xff) | ST_BSY;
    this.pumping = true;
    unit.setInterrupt(false);
    unit.command(command.code);
    this.pumping = false;
    this.pump();
  }

  /** Moves what the drive offers or wants through its data register, and ends the command when the drive is done. */
  private pump(): void {
    const { unit, command } = this;
    if (this.pumping || !unit || !command) return;
    this.pumping = true;
    for (let offered = unit.offered; offered && this.command === command; offered = unit.offered) {
      if (command.wantsPacket) command.sendPacket(offered.data);
      else {
        if (offered.toHost) this.postPioSetup(unit, offered.data.length);
        command.moveData(offered.toHost, offered.data);
      }
      unit.moved();
    }
    unit.setInterrupt(false);
    this.pumping = false;
    if (this.command === command && !(unit.status & (ST_BSY | ST_DRQ))) this.finish(command, unit);
  }

  private finish(command: AhciCommand, unit: AtaUnit): void {
    this.command = undefined;
    command.report();
    const failed = (unit.status & ST_ERR) !== 0;
    if (failed) this.halted = true;
    else this.ci &= ~(1 << command.slot);
    this.postRegisters(true);
    if (failed) this.raise(R.IS_TFES);
    this.issue();
  }

  /** READ and WRITE FPDMA QUEUED (ACS-2 sections 7.26 and 7.64): accepted at once, done in any order. */
  private queue(command: AhciCommand, disk: AtaDisk): void {
    const { slot } = command;
    const { write, tag, lba, count, fua } = command.queuedRequest;
    if (tag >= QUEUE_DEPTH || lba + count > disk.sectors || (write && this.block?.info?.readOnly)) {
      this.queuedFailed(disk, tag, lba, lba + count > disk.sectors ? ERR_IDNF : ERR_ABRT);
      return;
    }
    this.ci &= ~(1 << slot);
    this.queuedSlots |= 1 << slot;
    const data = command.ranges(count * SECTOR).slice(0, count * SECTOR);
    // A table shorter than the command: what it does not name is neither read nor written.
    const whole = data.slice(0, data.bytes - (data.bytes % SECTOR));
    const transfer = { write, data: whole, offset: lba * SECTOR, durable: disk.writeThrough || fua };
    const ended = (status: number) => {
      this.queuedSlots &= ~(1 << slot);
      command.report(status === BLOCK_OK ? whole.bytes : 0);
      if (status === BLOCK_OK) this.queuedDone(1 << tag);
      else this.queuedFailed(disk, tag, lba, write ? ERR_ABRT : ERR_UNC);
    };
    if (whole.bytes === 0) ended(BLOCK_OK);
    else this.queued!.transfer(transfer, ended);
  }

  private queuedDone(tags: number): void {
    this.sact &= ~tags;
    this.tfd = ST_DRDY | ST_DSC;
    this.postSetBits(ST_DRDY | ST_DSC, 0, tags);
    // Others that waited for the queue to be empty.
    if (!this.queuedSlots) this.issue();
  }

  /** One queued command failed, and with it all of them: the driver reads the log and starts anew (section 6.2.2.2). */
  private queuedFailed(disk: AtaDisk, tag: number, lba: number, error: number): void {
    const status = ST_DRDY | ST_DSC | ST_ERR;
    disk.queuedError = { tag, status, error, lba };
    this.halted = true;
    this.queued?.abandon();
    this.queuedSlots = 0;
    this.tfd = (error << 8) | status;
    this.postSetBits(status, error, 0);
    this.raise(R.IS_TFES);
  }

  private startDma(_toMemory: boolean, bytes: number, start: (transfer: DmaTransfer) => void): void {
    const { command } = this;
    if (!command) return;
    const list = command.ranges(bytes);
    const transfer = new DmaTransfer(this.memory, list, bytes, (moved) => {
      command.moved += moved;
    });
    this.transfer = transfer;
    start(transfer);
  }

  private endDma(): void {
    if (this.transfer) this.transfer.live = false;
    this.transfer = undefined;
  }

  private postRegisters(interrupt: boolean): void {
    const unit = this.unit!;
    this.tfd = (unit.error << 8) | unit.status;
    this.postFis(R.RFIS_AT, registersFis(unit, interrupt));
    if (interrupt) this.raise(R.IS_DHRS);
  }

  private postPioSetup(unit: AtaUnit, bytes: number): void {
    this.postFis(R.PSFIS_AT, pioSetupFis(unit, bytes));
    this.raise(R.IS_PSS);
  }

  private postSetBits(status: number, error: number, tags: number): void {
    this.postFis(R.SDBFIS_AT, setBitsFis(status, error, tags));
    this.raise(R.IS_SDBS);
  }

  private postFis(at: number, bytes: readonly number[]): void {
    if (this.cmd & R.CMD_FRE) this.memory.write(this.fisBase + at, Uint8Array.from(bytes));
  }

  private raise(bit: number): void {
    this.is = (this.is | bit) >>> 0;
    if (this.ie & bit) this.interrupt();
  }
}
