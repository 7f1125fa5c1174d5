/** One record of the interpreter executed from inside a compiled region, whose state is in memory (core/cpu/jit). */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { nextEip } from './branch';
import { nextRip, setPageRip } from './branch64';
import { exec } from './generated/dispatch';
import { exec64 } from './generated/dispatch64';
import { SJ_LEFT } from './jitoffsets';
import { MODE_64, Run } from './runstate';

/** Executes the record at `rec` (made by jitDecode), of the page at `page`, with `left` instructions of the slice left. Gives what S_RIP is unless it branches. */
// @ts-ignore: decorator
@inline
export function runRecord(rec: usize, left: i32, page: u64): u64 {
  Run.region = false;
  Run.inside = true;
  Run.countdown = left;
  Run.start = rec;
  let next: u64;
  if (Run.mode == MODE_64) {
    setPageRip(page);
    next = nextRip(rec);
    exec64(rec);
  } else {
    Run.pageEip = <u32>page;
    next = <u64>nextEip(rec);
    exec(rec);
  }
  Run.inside = false;
  Run.region = true;
  store<i32>(CPU_STATE_BASE, Run.countdown, SJ_LEFT);
  return next;
}
