/** EEPROM of the 82540EM: 64 words behind a Microwire port that the driver clocks by hand (EECD), or read a word at a time (EERD). SDM 317453, chapter 5 and sections 13.4.3-4. */
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';

const WORDS = 64;
const CHECKSUM = 0x3f;
/** All words add up to this. */
const SUM = 0xbaba;

const EECD_SK = 1;
const EECD_CS = 2;
const EECD_DI = 4;
const EECD_DO = 8;
const EECD_WRITABLE = 0x77;
const EECD_REQ = 0x40;
const EECD_GNT = 0x80;
const EECD_PRES = 0x100;

const EERD_START = 1;
const EERD_DONE = 0x10;

/** Start bit, two of the operation, six of the address. */
const COMMAND_BITS = 9;
const READ = 6;

/** Words that say what the card is (table 5-2). */
function contents(mac: Uint8Array): Uint16Array {
  const words = new Uint16Array(WORDS);
  for (let i = 0; i < 3; i++) words[i] = mac[i * 2]! | (mac[i * 2 + 1]! << 8);
  words[0x03] = 0xffff;
  // Valid, subsystem and vendor ids are to be taken from here.
  words[0x0a] = 0x4403;
  words[0x0b] = 0x1100;
  words[0x0c] = 0x1af4;
  words[0x0d] = 0x100e;
  words[0x0e] = 0x8086;
  let sum = 0;
  for (const word of words) sum += word;
  words[CHECKSUM] = (SUM - sum) & 0xffff;
  return words;
}

export class E1000Eeprom {
  readonly words: Uint16Array;
  private eecd = 0;
  private eerd = 0;
  /** Bits of the command so far, from its start bit. */
  private command = 0;
  private bits = 0;
  /** Bits given out of the word at the address of the command, and of those behind it; -1: none, the pin shows a 1. */
  private given = -1;

  constructor(mac: Uint8Array) {
    this.words = contents(mac);
  }

  reset(): void {
    this.eecd = this.eerd = this.command = this.bits = 0;
    this.given = -1;
  }

  readEecd(): number {
    const { eecd } = this;
    return eecd | EECD_PRES | (eecd & EECD_REQ ? EECD_GNT : 0) | (this.output ? EECD_DO : 0);
  }

  writeEecd(value: number): void {
    const before = this.eecd;
    this.eecd = value & EECD_WRITABLE;
    if (!(value & EECD_CS) || !(before & EECD_CS)) {
      this.command = this.bits = 0;
      this.given = -1;
    }
    if (!(value & EECD_CS) || !(value & EECD_SK) || before & EECD_SK) return;
    if (this.bits === COMMAND_BITS) {
      if (this.given >= 0) this.given++;
      return;
    }
    const bit = value & EECD_DI ? 1 : 0;
    // Nothing has begun before the start bit.
    if (this.bits === 0 && !bit) return;
    this.command = (this.command << 1) | bit;
    if (++this.bits === COMMAND_BITS && this.command >> 6 === READ) this.given = 0;
  }

  get eerdValue(): number {
    return this.eerd;
  }

  writeEerd(value: number): void {
    if (!(value & EERD_START)) return;
    const address = (value >>> 8) & 0xff;
    this.eerd = ((value & 0xff00) | EERD_DONE | ((this.words[address % WORDS] ?? 0) << 16)) >>> 0;
  }

  save(): { [key: string]: StateValue } {
    const { eecd, eerd, command, bits, given } = this;
    return { eecd, eerd, command, bits, given };
  }

  restore(state: StateReader): void {
    this.eecd = state.number('eecd', 0, 0xff);
    this.eerd = state.number('eerd', 0, 0xffff_ffff);
    this.command = state.number('command', 0, 0x1ff);
    this.bits = state.number('bits', 0, COMMAND_BITS);
    this.given = state.number('given', -1);
  }

  /** A 0 after the command, then the words from its address on, the highest bit first. */
  private get output(): boolean {
    if (this.given < 0) return true;
    if (this.given === 0) return false;
    const at = this.given - 1;
    const word = this.words[((this.command & 0x3f) + Math.floor(at / 16)) % WORDS]!;
    return ((word >> (15 - (at % 16))) & 1) === 1;
  }
}
