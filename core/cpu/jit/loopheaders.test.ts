import { describe, expect, it } from 'vitest';
import { seededRandom } from '../seededrandom.ts';
import { TestCpu } from '../interp/testing/testcpu.ts';
import { type CodePage, CodePages } from './codepages.ts';
import { flagsDeadAfter } from './flaguse.ts';
import { placeLoopHeaders } from './loopheaders.ts';
import { findRegion, LOOK_TARGET, type Region } from './region.ts';
import { analyse } from './structure.ts';
import { dword, HLT, paged, PAGE_TABLE } from './testing/flowcases.ts';

function regionAt(entry: number, ...code: number[]): Region {
  const bytes = new Uint8Array(4096);
  bytes.set(code);
  const page: CodePage = { delta: 0, host: 0x0600_0000, bytes };
  return findRegion(new CodePages([page]), entry, 64, () => true)!;
}
/** Headers of the region's loops: how many instructions the block has, and where it begins; and whether the flags are dead there. */
function headers(region: Region) {
  placeLoopHeaders(region);
  const graph = analyse(region, true);
  expect(graph.hasDispatcher, `dispatcher of the region at ${region.entry}`).toBe(false);
  return graph.order
    .filter((block) => graph.isLoopHeader[block])
    .map((block) => ({ at: region.blocks[block]!.start, dead: flagsDeadAfter(region.blocks[block]!, -1) }));
}

/** 0: mov byte [rax],1; 3: add rax,1; 7: cmp rdi,rax; 10: jne 0; 12: ret */
const FILL = [0xc6, 0x00, 0x01, 0x48, 0x83, 0xc0, 0x01, 0x48, 0x39, 0xc7, 0x75, 0xf4, 0xc3];
/** 0: mov esi,eax; 2: mov byte [rsi],0; 5: lea eax,[rax+rdx]; 8: cmp eax,ecx; 10: jb 0; 12: lea edx,[rdx+1]; 15: mov eax,edx; 17: cmp edx,ecx; 19: jb 8; 21: ret */
const SIEVE = [
  ...[0x89, 0xc6, 0xc6, 0x06, 0x00, 0x8d, 0x04, 0x10, 0x39, 0xc8, 0x72, 0xf4],
  ...[0x8d, 0x52, 0x01, 0x89, 0xd0, 0x39, 0xca, 0x72, 0xf3, 0xc3],
];

describe('the header of a loop', () => {
  it('is where the flags that it finds are dead, behind what may fault', () => {
    for (const entry of [0, 3, 7, 10]) expect(headers(regionAt(entry, ...FILL))).toEqual([{ at: 3, dead: true }]);
  });

  it('is one, wherever the region begins and the loop is come to', () => {
    for (const entry of [0, 2, 5, 8]) expect(headers(regionAt(entry, ...SIEVE))).toContainEqual({ at: 8, dead: true });
  });

  it('leaves the look at the slice where the code jumps back', () => {
    const region = regionAt(0, ...FILL);
    placeLoopHeaders(region);
    const looks = region.blocks.filter(({ look }) => look & LOOK_TARGET);
    expect(looks.map(({ target }) => target)).toEqual([0]);
  });

  it('stays where it is when nothing in the loop overwrites the flags: 0: mov al,[rbx]; 2: lea rbx,[rbx+1]; 6: loop 0; 8: ret', () => {
    const code = [0x8a, 0x03, 0x48, 0x8d, 0x5b, 0x01, 0xe2, 0xf8, 0xc3];
    expect(headers(regionAt(0, ...code))).toEqual([{ at: 0, dead: false }]);
  });
});

const CODE = 0x10000;
const DATA = 0x40000;
const PROGRAMS = 250;
const TURNS = 90;
const RCX = 1;
const R8 = 8;

/** Blocks of a few instructions that jump to each other, forward and back, until RCX is used up; R8 walks through memory of which a page is missing now and then. */
function program(random: (below: number) => number): number[] {
  const blocks: { code: number[]; jump: number[]; target: number }[] = [];
  const count = 2 + random(5);
  const registers = [0, 2, 3, 6, 7];
  const reg = () => registers[random(registers.length)]!;
  for (let n = 0; n < count; n++) {
    const code: number[] = [];
    for (let k = random(5); k >= 0; k--)
      switch (random(12)) {
        case 0:
        case 1:
          code.push(0x48, random(8) * 8 + 1, 0xc0 | (reg() << 3) | reg()); // ADD to CMP
          break;
        case 2:
          code.push(0x41, 0x88, (reg() << 3) & 0x18); // mov [r8],r8-bit
          break;
        case 3:
          code.push(0x41, 0x01, (reg() & 7) << 3); // add [r8],r32
          break;
        case 4:
          code.push(0x41, 0x3a, (reg() << 3) & 0x18); // cmp r8-bit,[r8]
          break;
        case 5:
          code.push(0x4d, 0x8d, 0x40, 1 + random(120)); // lea r8,[r8+n]
          break;
        case 6:
          code.push(0x49, 0x83, 0xc0, 1 + random(120)); // add r8,n
          break;
        case 7:
          code.push(0xff, 0xc0 | (random(2) << 3) | reg()); // inc, dec
          break;
        case 8:
          code.push(0x0f, 0x90 + random(16), 0xc0 | [0, 2, 3][random(3)]!); // SETcc of AL, DL, BL
          break;
        case 9:
          code.push(0xd1, 0xc0 | (random(8) << 3) | reg()); // rotates and shifts by one
          break;
        case 10:
          code.push(0x50 | reg(), 0x58 | reg()); // push, pop
          break;
        default:
          code.push(0x85, 0xc0 | (reg() << 3) | reg()); // test
      }
    // jrcxz to the jump behind; lea rcx,[rcx-1]: none of it touches the flags.
    code.push(0xe3, 0x02, 0xeb, 0x05, 0xe9, 0, 0, 0, 0, 0x48, 0x8d, 0x49, 0xff);
    blocks.push({ code, jump: random(4) ? [0x0f, 0x80 + random(16)] : [0xe9], target: random(count) });
  }
  const starts: number[] = [];
  let at = 0;
  for (const { code, jump } of blocks) {
    starts.push(at);
    at += code.length + jump.length + 4;
  }
  const end = at;
  const bytes: number[] = [];
  blocks.forEach(({ code, jump, target }) => {
    // The way out at the end of RCX.
    const out = code.length - 8;
    code.splice(out, 4, ...dword(end - (bytes.length + out + 4)));
    bytes.push(...code, ...jump);
    bytes.push(...dword(starts[target]! - (bytes.length + 4)));
  });
  return [...bytes, HLT];
}

describe('random loops', () => {
  it(`end in regions as in the interpreter, wherever slices end and faults come (${PROGRAMS})`, () => {
    let compiled = 0;
    let faults = 0;
    for (let seed = 1; seed <= PROGRAMS; seed++) {
      const random = seededRandom(seed);
      const code = program((below) => (random() >>> 0) % below);
      const missing = seed % 3;
      const outcomes = [undefined, { piece: 7 + (seed % 20), threshold: 1 }].map((recompiler) => {
        const t = new TestCpu(recompiler ? { recompiler } : {});
        const gpr: number[] = Array.from({ length: 16 }, (_, i) => seed * 77 + i);
        gpr[RCX] = TURNS;
        gpr[4] = 0x8000;
        gpr[R8] = DATA + 0xc00;
        t.put(CODE, ...code);
        paged(t, CODE, gpr);
        if (missing) t.guest.write32(PAGE_TABLE + ((DATA >> 12) + missing) * 8, 0);
        const state = t.untilHalt();
        return { state, vector: TestCpu.vectorOf(state), ram: t.ram.slice(), statistics: t.cpu.statistics() };
      });
      const [want, got] = outcomes as [(typeof outcomes)[0], (typeof outcomes)[0]];
      expect(got.state, `seed ${seed}`).toEqual(want.state);
      expect(Buffer.compare(got.ram, want.ram), `memory, seed ${seed}`).toBe(0);
      compiled += got.statistics.instructions - got.statistics.interpretedInstructions;
      if (got.vector === 14) faults++;
    }
    expect(compiled).toBeGreaterThan(PROGRAMS * TURNS);
    expect(faults).toBeGreaterThan(PROGRAMS / 50);
  });
});
