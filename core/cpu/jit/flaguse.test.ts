import { describe, expect, it } from 'vitest';
import { TestCpu } from '../interp/testing/testcpu.ts';

const le32 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];
const PROGRAMS = 150;
const ARITHMETIC = 0x8d5;

/** Instructions of EAX, ECX, EDX and EBX that write all flags, some, or none, or read some; one now and then lets memory or a push see them. */
function program(random: (below: number) => number): number[] {
  const code: number[] = [];
  const reg = () => random(4);
  const rr = () => 0xc0 | (reg() << 3) | reg();
  for (let n = 0; n < 14; n++) {
    const wide = random(2);
    const narrow = random(4) === 0 ? [0x66] : [];
    switch (random(14)) {
      case 0:
        code.push(random(8) * 8 + wide, rr()); // ADD to CMP
        break;
      case 1:
        code.push(...narrow, 0x40 + random(2) * 8 + reg()); // INC, DEC
        break;
      case 2:
        code.push(...narrow, 0xc0 + wide, 0xc0 | (random(8) << 3) | reg(), random(40)); // rotates and shifts
        break;
      case 3:
        code.push(0xd0 + wide, 0xc0 | (random(8) << 3) | reg());
        break;
      case 4:
        code.push(0xd2 + wide, 0xc0 | (random(8) << 3) | reg());
        break;
      case 5:
        code.push([0xf5, 0xf8, 0xf9][random(3)]!); // CMC, CLC, STC
        break;
      case 6:
        code.push(...narrow, 0x0f, [0xa3, 0xab, 0xb3, 0xbb][random(4)]!, rr()); // BT to BTC
        break;
      case 7:
        code.push(0xf6 + wide, 0xc0 | ([2, 3, 4, 5][random(4)]! << 3) | reg()); // NOT, NEG, MUL, IMUL
        break;
      case 8:
        code.push([0x86, 0x88, 0x8a][random(3)]! + wide, rr()); // XCHG, MOV
        break;
      case 9:
        code.push(0x0f, 0x90 + random(16), 0xc0 | reg()); // SETcc
        break;
      case 10:
        code.push(0x0f, 0x40 + random(16), rr()); // CMOVcc
        break;
      case 11:
        code.push(0x0f, [0xb6, 0xb7, 0xbe, 0xbf, 0xaf, 0xbc, 0xbd][random(7)]!, rr());
        break;
      case 12:
        code.push(0x84 + wide, rr()); // TEST
        break;
      default:
        code.push(0x9c, 0x5f, 0x81, 0xe7, ...le32(ARITHMETIC), 0x01, 0xfe); // pushf; pop edi; and edi,ARITHMETIC; add esi,edi
    }
  }
  return code;
}

/** The program 40 times: registers, flags and the sum of what was seen of the flags at every end. */
function run(code: number[], compiled: boolean) {
  const t = new TestCpu(compiled ? { recompiler: { piece: 60, threshold: 1 } } : {});
  t.flat(0x10000, [0x1234_5678, 0x9abc_def0, 0x0fed_cba9, 0x8765_4321, 0x8000, 40, 0, 0]);
  const body = [...code, 0x9c, 0x5f, 0x81, 0xe7, ...le32(ARITHMETIC), 0x01, 0xfe, 0xd1, 0xc6]; // pushf; pop edi; and; add esi,edi; rol esi,1
  t.put(0x10000, ...body, 0x4d, 0x0f, 0x85, ...le32(-(body.length + 7)), 0xf4); // dec ebp; jnz; hlt
  const { gpr, rflags } = t.untilHalt();
  return { gpr, flags: Number(rflags) & ARITHMETIC, regions: t.cpu.statistics().regions.compiled };
}

describe('flags that nobody computes', () => {
  it('are seen by nobody', () => {
    let seed = 4711;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    let regions = 0;
    for (let n = 0; n < PROGRAMS; n++) {
      const code = program(random);
      const { regions: some, ...got } = run(code, true);
      regions += some;
      const { regions: _none, ...wanted } = run(code, false);
      expect(got, `program ${n}: ${Buffer.from(code).toString('hex')}`).toEqual(wanted);
    }
    expect(regions).toBeGreaterThanOrEqual(PROGRAMS);
  });
});
