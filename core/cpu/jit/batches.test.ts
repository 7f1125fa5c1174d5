import { describe, expect, it } from 'vitest';
import { TestCpu } from '../interp/testing/testcpu.ts';
import { compileModule } from './compile.ts';
import { type CompileResult, SyncCompileService } from './service.ts';
import { wasmText } from './wasmtext.ts';

/** Hands out nothing before `wanted` jobs have come: they share a module then. */
class GatheringService extends SyncCompileService {
  private readonly wanted: number;
  private count = 0;

  constructor(wanted: number) {
    super();
    this.wanted = wanted;
  }
  override request(job: Parameters<SyncCompileService['request']>[0]): void {
    this.count++;
    super.request(job);
  }
  override collect(): CompileResult[] {
    return this.count < this.wanted ? [] : super.collect();
  }
}

/** Notes where the copies of pages lie that it is asked with. */
class NotingService extends SyncCompileService {
  readonly copies: string[] = [];
  readonly buffers = new Set<ArrayBufferLike>();

  override request(job: Parameters<SyncCompileService['request']>[0]): void {
    for (const { bytes } of job.pages) {
      this.copies.push(`${bytes.byteOffset}`);
      this.buffers.add(bytes.buffer);
    }
    super.request(job);
  }
}

const le32 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];
/** mov ecx,200; the body; dec ecx; jnz */
const loop = (...body: number[]): number[] => [0xb9, ...le32(200), ...body, 0x49, 0x75, 256 - body.length - 3, 0xc3];
/** Functions on pages of their own: sums, flags that the interpreter fetches, x87, and what calls through a register. */
const FUNCTIONS = [
  loop(0x83, 0xc0, 0x03), // add eax,3
  loop(0x04, 0x35, 0x9f), // add al,0x35; lahf
  [0xd9, 0xe8, ...loop(0xd9, 0xe8, 0xde, 0xc1).slice(0, -1), 0xdb, 0x1d, ...le32(0x9000), 0xc3], // fld1; fld1; faddp; fistp [0x9000]
  loop(0xff, 0xd6), // call esi
];
const CALLED = 0x30000;
const at = (i: number): number => 0x20000 + i * 0x1000;

function run(compiler?: SyncCompileService): TestCpu {
  const t = new TestCpu(compiler ? { recompiler: { piece: 40, threshold: 1 }, compiler } : {});
  t.flat(0x10000, [0, 0, 0, 0, 0x8000, 0, CALLED, 0]);
  t.put(CALLED, 0x47, 0xc3); // inc edi; ret
  FUNCTIONS.forEach((code, i) => {
    t.put(at(i), ...code);
  });
  const calls: number[] = [];
  for (let round = 0; round < 12; round++)
    for (let i = 0; i < FUNCTIONS.length; i++) calls.push(0xe8, ...le32(at(i) - (0x10000 + calls.length + 5)));
  t.put(0x10000, ...calls, 0xf4);
  t.untilHalt();
  return t;
}
const result = (t: TestCpu) => {
  const { gpr, rflags, rip } = t.cpu.getState();
  return { gpr, rflags, rip, stored: t.guest.read32(0x9000) };
};

describe('regions that share a module', () => {
  it('do what the interpreter does, each with its own memory in the pool', () => {
    const t = run(new GatheringService(6));
    const { regions, compile, interpretedInstructions, instructions } = t.cpu.statistics();
    expect(compile.modules).toBeLessThan(regions.compiled);
    expect(regions.compiled).toBeGreaterThan(5);
    expect(interpretedInstructions / instructions).toBeLessThan(0.8);
    expect(result(t)).toEqual(result(run()));
  });

  it('are made from copies that take the place of earlier ones', () => {
    const service = new NotingService();
    expect(result(run(service))).toEqual(result(run()));
    expect(service.copies.length).toBeGreaterThan(8);
    expect(service.buffers.size).toBe(1);
    expect(new Set(service.copies).size).toBeLessThan(service.copies.length / 2);
  });

  it('are compiled with those that have no translation left out, and can be read one by one', () => {
    const page = (...code: number[]) => {
      const bytes = new Uint8Array(4096);
      bytes.set(code);
      return { delta: 0, host: 0x0600_0000, bytes };
    };
    const request = (...code: number[]) => ({ pages: [page(...code)], entry: 0, mode: 32 as const, user: false, features: -1 });
    const module = compileModule([request(0x40, 0xc3), request(0xf4), request(0x9f, 0xc3), request(0xd9, 0xe8, 0xc3)])!;
    expect(module.regions.map((region) => region?.number)).toEqual([0, undefined, 1, 2]);
    new WebAssembly.Module(module.wasm);
    const text = (number: number) =>
      wasmText(module.wasm, 32, number)
        .map((line) => line.text)
        .join('\n');
    expect(text(0)).toContain('(local.set $eax');
    expect(text(1)).toContain('call $exec');
    expect(text(2)).not.toContain('call $exec');
  });

  it('are not needed when there is nothing to translate', () => {
    const bytes = new Uint8Array(4096).fill(0xf4);
    expect(
      compileModule([{ pages: [{ delta: 0, host: 0x0600_0000, bytes }], entry: 0, mode: 32, user: false, features: 0 }]),
    ).toBeUndefined();
  });
});
