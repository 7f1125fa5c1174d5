import { expect, test } from 'vitest';
import { saidZhCN } from '../contract/said.zh-CN.ts';
import { saidTexts } from '../contract/saidtexts.ts';
import type { Said } from '../contract/said.ts';
import { fill } from '../contract/texts.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { parseHeader } from './qcow2/header.ts';
import { badEntry } from './qcow2/l2entry.ts';
import { parseFooter } from './vhd/header.ts';

/** As the window says it, from what crosses the contract. */
function inChinese({ key, params }: Said): string {
  const words = Object.entries(params).map(([name, value]) => [name, typeof value === 'object' ? inChinese(value) : value]);
  return fill(saidZhCN[key as keyof typeof saidZhCN], Object.fromEntries(words));
}

function failure(work: () => unknown): HypervueError {
  try {
    work();
  } catch (error) {
    if (error instanceof HypervueError) return error;
    throw error;
  }
  throw new Error('it was taken');
}

function qcow2(change: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(512);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x514649fb);
  view.setUint32(4, 3);
  view.setUint32(20, 16);
  view.setUint32(100, 104);
  change(view);
  return bytes;
}

test.each([
  ['no qcow2', () => parseHeader(new Uint8Array(8), 'a.qcow2'), 'it has no qcow2 header', '没有 qcow2 头'],
  [
    'odd clusters',
    () =>
      parseHeader(
        qcow2((v) => v.setUint32(20, 40)),
        'a.qcow2',
      ),
    'clusters of 2^40 bytes',
    '簇大小为 2^40 字节',
  ],
  [
    'an L1 table between clusters',
    () =>
      parseHeader(
        qcow2((v) => v.setUint32(44, 7)),
        'a.qcow2',
      ),
    'the L1 table lies at byte 7, which is no cluster',
    'L1 表位于第 7 字节，那里不是簇',
  ],
  ['no VHD', () => parseFooter(new Uint8Array(512), 'a.qcow2'), 'it has no VHD footer', '没有 VHD 尾部'],
])('what is damaged is said in both languages: %s', (_, work, english, chinese) => {
  const error = failure(work);
  expect(error).toMatchObject({ kind: 'corrupt', message: `a.qcow2 is damaged: ${english}` });
  expect(inChinese(error.toJSON().said!)).toBe(`a.qcow2 已损坏：${chinese}`);
});

test('every detail of damage has the same parameters in both languages', () => {
  const params = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
  const keys = Object.keys(saidTexts).filter(
    (key) => key.startsWith('damage') || /^(found|part|entry|xml|state)[A-Z]/.test(key),
  ) as (keyof typeof saidTexts)[];
  expect(keys.length).toBeGreaterThan(100);
  for (const key of keys) expect(params(saidZhCN[key]), key).toEqual(params(saidTexts[key]));
});

test('what a check finds in an entry is said in both languages, with the entry that it is in', () => {
  // A host offset that is no cluster (qcow2 specification, standard cluster descriptor).
  const table = new DataView(new ArrayBuffer(8));
  table.setBigUint64(0, 0x200n);
  const problem = badEntry({ clusterBits: 16, extended: false, version: 3, externalData: false }, table, 0)!;
  const { text, said } = say('foundL2Entry', { entry: 3, index: 1, what: say('partSnapshot', { name: 'One' }), problem });
  expect(text).toBe('L2 entry 3 of table 1 of snapshot "One": host offset 512 is no cluster');
  expect(inChinese(said)).toBe('快照“One”的 L2 表 1 的第 3 项：主机偏移 512 不是簇的开头');
});
