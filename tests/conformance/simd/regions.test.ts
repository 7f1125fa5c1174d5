import { afterEach, describe, expect, it, vi } from 'vitest';
import { SJ_INSTRUCTIONS } from '../../../core/cpu/interp/wasm/jitoffsets.ts';
import { CPU_STATE_BASE } from '../../../core/memory/layout.ts';
import { Random } from '../fp/record.ts';
import { BASE_CASES, CASES } from './cases.ts';
import type { Case } from './encode.ts';
import { allFeatures, differences, makeRecord, runRecords } from './harness.ts';
import { R_LENGTH, RECORD_SIZE } from './record.ts';

/** Bytes of NOPs before the instruction: the recompiler's samples fall on them, and the region that begins there includes the instruction. */
const SLED = 120;
/** Encodings of each instruction, and start states of each. */
const ENCODINGS = 4;
const STATES = 24;

/** The same code from different states: after a few runs it is a region. */
function records(c: Case, mode: 32 | 64): Uint8Array {
  const random = new Random([...c.name].reduce((h, ch) => Math.imul(h, 31) + ch.charCodeAt(0), mode + 7));
  const out = new Uint8Array(ENCODINGS * STATES * RECORD_SIZE);
  for (let i = 0; i < ENCODINGS * STATES; i++) {
    const record = makeRecord(random, c, mode);
    const first = Math.floor(i / STATES) * STATES * RECORD_SIZE;
    if (i % STATES) record.set(out.subarray(first, first + R_LENGTH + 1));
    out.set(record, i * RECORD_SIZE);
  }
  return out;
}

function machineWith(accelerator: string) {
  vi.stubEnv('HYPERVUE_ACCEL', accelerator);
  return allFeatures();
}

describe('vector instructions in recompiled regions', () => {
  afterEach(() => vi.unstubAllEnvs());
  const interpreter = machineWith('');
  const recompiler = machineWith('jit');
  const inRegions = () => new DataView(recompiler.memory.buffer).getBigUint64(CPU_STATE_BASE + SJ_INSTRUCTIONS, true);

  describe.each([32, 64] as const)('%i-bit', (mode) => {
    it.each([...BASE_CASES, ...CASES])('$name does what the interpreter does', (c) => {
      const start = records(c, mode);
      const before = inRegions();
      const want = runRecords(interpreter, start, mode, SLED);
      const got = runRecords(recompiler, start, mode, SLED);
      const found: string[] = [];
      for (let at = 0; at < start.length && found.length < 3; at += RECORD_SIZE) {
        const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset + at, RECORD_SIZE);
        // The interpreter's undefined flags are the recompiler's too.
        const list = differences({ ...c, undefinedFlags: 0 }, mode, view(got), view(want));
        const code = [...start.subarray(at, at + start[at + R_LENGTH]!)].map((b) => b.toString(16).padStart(2, '0')).join(' ');
        if (list.length) found.push(`record ${at / RECORD_SIZE} [${code}]: ${list.join('; ')}`);
      }
      expect(found).toEqual([]);
      expect(Number(inRegions() - before)).toBeGreaterThan((ENCODINGS * STATES * SLED) / 8);
    });
  });
});
