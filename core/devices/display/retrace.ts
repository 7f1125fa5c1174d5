/** Input status register 1, ports 3BA/3DA: where the beam is, from machine time at 60 pictures a second. */
import { displayEnd, retraceStart, verticalTotal } from './crtc.ts';

const FRAME_NS = 1_000_000_000 / 60;
/** Lines of vertical retrace that a program polling for it must be able to see. */
const RETRACE_LINES = 8;
/** Part of a line that the beam spends outside the picture: 640 of 800 dots are shown. */
const VISIBLE_PART = 0.8;

const STATUS_DISPLAY_OFF = 0x01;
const STATUS_RETRACE = 0x08;

export function beamStatus(crtc: Uint8Array, now: number): number {
  const shown = displayEnd(crtc) + 1;
  const total = Math.max(verticalTotal(crtc), shown + RETRACE_LINES + 1);
  const position = ((now % FRAME_NS) / FRAME_NS) * total;
  const line = Math.floor(position);
  // Registers that put the retrace inside the picture or past its end get it where a monitor would.
  const start = Math.min(Math.max(retraceStart(crtc), shown), total - RETRACE_LINES);
  if (line >= start && line < start + RETRACE_LINES) return STATUS_RETRACE | STATUS_DISPLAY_OFF;
  return line >= shown || position - line >= VISIBLE_PART ? STATUS_DISPLAY_OFF : 0;
}
