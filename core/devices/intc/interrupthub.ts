import type { IrqLine } from '../../bus/irq.ts';

/** Where the processor's INTR and its acknowledge cycle lead: the 8259 pair alone, or with a local APIC in front of it. */
export interface InterruptSource {
  /** The vector now in service, or -1 when the request went away. */
  acknowledge(): number;
}

/** What a local APIC adds: its own pending interrupts and the mode of its LINT0 input. */
export interface LocalApicPort extends InterruptSource {
  /** A vector of its own is deliverable now. */
  readonly pending: boolean;
  /** LINT0 passes the 8259's INTR on (virtual wire), or the APIC is off. */
  readonly passesExtInt: boolean;
  /** Level of the 8259's INTR at the LINT0 input. */
  setLint0(level: boolean): void;
  /** Calls back when `pending` or `passesExtInt` may have changed. */
  onChange(listener: () => void): void;
}

/** Joins 8259 and local APIC to the one INTR pin of the processor. */
export class InterruptHub {
  /** Input from the 8259 pair. */
  readonly extInt: IrqLine;
  private readonly setIntr: (level: boolean) => void;
  private pic: InterruptSource | undefined;
  private apic: LocalApicPort | undefined;
  private extIntLevel = false;
  private level = false;

  constructor(setIntr: (level: boolean) => void) {
    this.setIntr = setIntr;
    this.extInt = {
      set: (level) => {
        this.extIntLevel = level;
        this.apic?.setLint0(level);
        this.update();
      },
    };
  }

  connectPic(pic: InterruptSource): void {
    this.pic = pic;
  }

  connectApic(apic: LocalApicPort): void {
    this.apic = apic;
    apic.onChange(() => this.update());
  }

  /** The processor's INTA cycle. The local APIC's own vectors come first. */
  acknowledge(): number {
    const own = this.apic?.pending ? this.apic.acknowledge() : -1;
    const vector = own >= 0 ? own : this.extIntVisible ? this.pic!.acknowledge() : -1;
    this.update();
    return vector;
  }

  private get extIntVisible(): boolean {
    return this.extIntLevel && (this.apic?.passesExtInt ?? true);
  }

  private update(): void {
    const level = (this.apic?.pending ?? false) || this.extIntVisible;
    if (level === this.level) return;
    this.level = level;
    this.setIntr(level);
  }
}
