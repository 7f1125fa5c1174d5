import { beforeAll, describe, expect, it } from 'vitest';
import type { CpuModel } from '../../../core/contract/cpumodels.ts';
import { assemble, checkNames, type ImageResult, runImage } from './image.ts';

/**
 * Images that report by themselves: every check named in the source must come out "ok". Those that check what the TLB keeps, which a restored processor does
 * not, leave that out where QEMU is defined.
 */
const images: [name: string, model?: CpuModel, keeps?: 'keeps'][] = [
  ['protection'],
  ['paging'],
  ['tasks'],
  ['v86'],
  ['vme'],
  ['debug'],
  ['real'],
  ['longmode', 'x86-64-v2'],
  ['paging64', 'x86-64-v2'],
  ['spaces64', 'x86-64-v3', 'keeps'],
  ['smap', 'x86-64-v3'],
];
for (const [name, model, keeps] of images) {
  describe(`x86 ${name}`, () => {
    let result: ImageResult;
    beforeAll(() => {
      result = runImage(assemble(name), model ? { model } : {});
    });

    it.each(checkNames(name))('%s', (check) => {
      const line = result.lines.find((l) => l === `ok ${check}` || l.startsWith(`FAIL ${check} got`));
      expect(line ?? `not reached; last line: ${result.lines.at(-1)}`).toBe(`ok ${check}`);
    });

    it('goes the same way when the processor is reset and restored all the time', () => {
      const image = assemble(name, keeps ? ['QEMU'] : []);
      const options = model ? { model } : {};
      const restored = runImage(image, { restoreEvery: 101, ...options });
      expect(restored.lines).toEqual((keeps ? runImage(image, options) : result).lines);
    });

    it('runs to its end', () => {
      expect(result.end).toBe('done');
      expect(result.lines.filter((line) => !line.startsWith('ok '))).toEqual(['done']);
    });
  });
}

describe('x86 shutdown', () => {
  it('a fault with an empty IDT is a triple fault', () => {
    const result = runImage(assemble('shutdown'));
    expect(result.lines).toEqual(['ok before']);
    expect(result.end).toBe('shutdown');
  });

  it('the processor starts again after a reset', () => {
    const result = runImage(assemble('shutdown'));
    result.cpu.reset('hard');
    const state = result.cpu.getState();
    expect(state.rip).toBe(0xfff0n);
    expect(state.segments.cs).toMatchObject({ selector: 0xf000, base: 0xffff0000n, limit: 0xffff });
    expect(state.cr0).toBe(0x60000010n);
    expect(state.rflags).toBe(2n);
    expect(state.gpr[2]).toBe(0x106can);
    expect(result.cpu.run(1000)).not.toBe('shutdown');
  });
});
