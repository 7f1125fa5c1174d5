/** Stretches shorter than this say nothing about speed, nanoseconds; several are taken together. */
const SAMPLE_NS = 20_000;
/** Share of a faster measurement that is believed at once. */
const FASTER = 0.1;

/**
 * How many instructions the guest executes in a nanosecond, to reckon slices. A slice reckoned too long delays every timer, one reckoned too
 * short costs a few microseconds: so slower is believed at once, faster little by little.
 */
export class SpeedEstimate {
  /** Instructions in a nanosecond. */
  value = 0.03;
  private instructions = 0;
  private ns = 0;

  /** `instructions` took `ns` nanoseconds. */
  measured(instructions: number, ns: number): void {
    this.instructions += instructions;
    this.ns += ns;
    if (this.ns < SAMPLE_NS) return;
    const measured = this.instructions / this.ns;
    this.value = measured < this.value ? measured : this.value + (measured - this.value) * FASTER;
    this.instructions = this.ns = 0;
  }
}
