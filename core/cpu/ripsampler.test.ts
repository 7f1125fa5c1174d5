import { describe, expect, it } from 'vitest';
import { RipSampler } from './ripsampler.ts';

describe('sampling the instruction pointer', () => {
  it('adds up what each place cost and names the hottest first', () => {
    const sampler = new RipSampler();
    sampler.sample(0x1000, 32, 10);
    sampler.sample(0x2000, 32, 500);
    sampler.sample(0x1000, 32, 30);
    expect(sampler.hottest().map(({ address, instructions, entries }) => [address, instructions, entries])).toEqual([
      ['0x2000', 500, 1],
      ['0x1000', 40, 2],
    ]);
  });

  it('keeps the modes of one address apart, and addresses of the upper half whole', () => {
    const sampler = new RipSampler();
    sampler.sample(0x7c00, 16, 3);
    sampler.sample(0x7c00, 32, 2);
    sampler.sample(Number(BigInt.asIntN(64, 0xffffffff81000000n)), 64, 1);
    expect(sampler.hottest().map(({ address, bits }) => [address, bits])).toEqual([
      ['0x7c00', 16],
      ['0x7c00', 32],
      ['0xffffffff81000000', 64],
    ]);
  });

  it('forgets cold places and not hot ones when a guest runs all over its memory', () => {
    const sampler = new RipSampler();
    sampler.sample(5, 32, 1_000_000);
    for (let i = 0; i < 100_000; i++) sampler.sample(0x10000 + i * 16, 32, 1);
    expect(sampler.hottest()[0]).toMatchObject({ address: '0x5', instructions: 1_000_000 });
    expect(sampler.hottest().length).toBeLessThanOrEqual(256);
  });
});
