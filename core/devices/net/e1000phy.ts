/** PHY of the 82540EM, at address 1 of its management bus: 1000BASE-T, full duplex, whatever is asked for. SDM 317453, sections 8.6 and 13.4.6; IEEE 802.3, 22.2.4 and 40.5. */
import type { StateReader } from '../../snapshot/statereader.ts';

const ADDRESS = 1;
const PCTRL = 0;
const PSTATUS = 1;
const ANE = 6;
const GSTATUS = 10;
const PSSTAT = 17;

const PCTRL_RESET = 0x8000;
const PCTRL_RESTART = 0x0200;
const PSTATUS_LINK = 0x0004;
const PSTATUS_COMPLETE = 0x0020;
const PSSTAT_LINK = 0x0400;

/** After reset; with a partner that can do everything. */
const initial = new Map<number, number>([
  [PCTRL, 0x1140],
  [PSTATUS, 0x7949],
  // Identifier of the M88E1000 in it.
  [2, 0x0141],
  [3, 0x0c20],
  [4, 0x0de1],
  [5, 0xc5e1],
  [ANE, 0x0005],
  [9, 0x0e00],
  [GSTATUS, 0x7c00],
  [15, 0x3000],
  [16, 0x0068],
  // 1000 Mb/s, full duplex, resolved.
  [PSSTAT, 0xa800],
  [20, 0x0d60],
]);
const READ_ONLY = new Set([PSTATUS, 2, 3, 5, ANE, GSTATUS, 15, PSSTAT, 19]);

const MDIC_READ = 2;
const MDIC_WRITE = 1;
const MDIC_READY = 2 ** 28;
const MDIC_ERROR = 2 ** 30;

export class E1000Phy {
  private readonly registers = new Uint16Array(32);
  private link = false;
  private mdic = 0;

  constructor() {
    this.reset();
  }

  reset(): void {
    this.registers.fill(0);
    for (const [register, value] of initial) this.registers[register] = value;
    this.mdic = 0;
  }

  setLink(link: boolean): void {
    this.link = link;
  }

  get mdicValue(): number {
    return this.mdic;
  }

  /** A management frame; it is over at once. */
  writeMdic(value: number): void {
    const operation = (value >>> 26) & 3;
    const phy = (value >>> 21) & 31;
    const register = (value >>> 16) & 31;
    const known = phy === ADDRESS && (operation === MDIC_READ || operation === MDIC_WRITE);
    let data = value & 0xffff;
    if (known && operation === MDIC_READ) data = this.read(register);
    else if (known) this.write(register, data);
    this.mdic = (Math.floor(value / 65_536) % 0x1000) * 65_536 + data + MDIC_READY + (known ? 0 : MDIC_ERROR);
  }

  save(): { registers: number[]; mdic: number } {
    return { registers: [...this.registers], mdic: this.mdic };
  }

  restore(state: StateReader): void {
    this.registers.set(state.numbers('registers', 32));
    this.mdic = state.number('mdic', 0, 0xffff_ffff);
  }

  private read(register: number): number {
    const value = this.registers[register]!;
    if (!this.link) return value;
    if (register === PSTATUS) return value | PSTATUS_LINK | PSTATUS_COMPLETE;
    return register === PSSTAT ? value | PSSTAT_LINK : value;
  }

  private write(register: number, value: number): void {
    if (READ_ONLY.has(register)) return;
    if (register !== PCTRL) this.registers[register] = value;
    else if (value & PCTRL_RESET) {
      const { mdic } = this;
      this.reset();
      this.mdic = mdic;
    } else this.registers[PCTRL] = value & ~PCTRL_RESTART;
  }
}
