import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { cpuModule } from '../cpu/interp/testing/testcpu.ts';
import { readRecording, writeRecording, type Recording } from './recording.ts';

const main = fileURLToPath(new URL('./main.ts', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-recording-'));
const file = path.join(folder, 'recording');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the file of a recording', () => {
  const recording: Recording = {
    machine: 'abc',
    inputs: [
      { at: 10.25, input: { t: 'key', code: 0x1e, down: true } },
      { at: 10.25, input: { t: 'serialInput', index: 1, bytes: Uint8Array.of(0, 255, 10) } },
      { at: 2e13, input: { t: 'absolute', x: 5, y: 6, buttons: 1, width: 640, height: 480 } },
      { at: 2e13, input: { t: 'relative', dx: -5, dy: 6.5, buttons: 0 } },
      { at: 2e13, input: { t: 'button', button: 'power' } },
    ],
    end: 2e13,
    hash: 'ff00',
  };

  it('gives back what was written', async () => {
    await writeRecording(file, recording);
    expect(await readRecording(file)).toEqual(recording);
  });

  it('that is damaged in any line is refused by its number', async () => {
    await writeRecording(file, recording);
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    const refuse = async (changed: string[], message: RegExp) => {
      writeFileSync(file, changed.join('\n'));
      await expect(readRecording(file)).rejects.toThrow(message);
    };
    for (let i = 0; i < lines.length; i++) {
      await refuse(lines.with(i, '{"at":'), new RegExp(`line ${i + 1}`));
      await refuse(lines.with(i, '{"at":-1,"input":{"t":"key"}}'), new RegExp(`line ${i + 1}`));
    }
    // Out of order, without an end, with something after it, of another pace, and nothing at all.
    await refuse([lines[0]!, lines[4]!, lines[1]!, lines[6]!], /line 3/);
    await refuse(lines.slice(0, -1), /has no end/);
    await refuse([...lines, lines[1]!], /line 7/);
    await refuse(lines.with(0, lines[0]!.replace('":10', '":11')), /line 1/);
    await refuse([], /line 1/);
  });
});

describe('hypervue run', () => {
  const floppy = path.join(folder, 'floppy.img');
  const recorded = path.join(folder, 'keys.jsonl');
  const run = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
    new Promise((resolve) => {
      const all = [main, 'run', '--floppy', floppy, '--memory', '16', '--quiet', '--timeout', '50', ...args];
      execFile(process.execPath, all, (error, out, err) => resolve({ code: error ? Number(error.code) : 0, out, err }));
    });

  it('records what was typed, does it again, and tells when something else comes of it', async () => {
    cpuModule();
    const image = Buffer.alloc(1_474_560);
    // sti; again: mov ah, 0; int 16h; mov ah, 0eh; int 10h; jmp again: echoes keys.
    image.set([0xfb, 0xb4, 0x00, 0xcd, 0x16, 0xb4, 0x0e, 0xcd, 0x10, 0xeb, 0xf6, ...new Array(499).fill(0), 0x55, 0xaa]);
    writeFileSync(floppy, image);
    const record = await run(
      '--record',
      recorded,
      '--after',
      'Booting from Floppy',
      '--type',
      'it echoes',
      '--expect',
      'it echoes',
      '--hash',
    );
    expect([record.code, record.err]).toEqual([0, '']);
    const { hash } = JSON.parse(record.out) as { hash: string };
    const replay = await run('--replay', recorded, '--hash', '--screen');
    expect([replay.code, replay.err]).toEqual([0, '']);
    expect(replay.out).toContain('it echoes');
    expect(replay.out).toContain(hash);

    // Another key.
    const text = readFileSync(recorded, 'utf8');
    expect(text).toContain('"code":23,');
    writeFileSync(recorded, text.replaceAll('"code":23,', '"code":24,'));
    const other = await run('--replay', recorded, '--screen');
    expect(other.code).toBe(123);
    expect(other.out).toContain('ot echoes');
    expect(other.err).toContain('another state');
    const machine = await run('--replay', recorded, '--hpet');
    expect([machine.code, machine.err]).toEqual([125, expect.stringContaining('another machine')]);
    expect((await run('--replay', recorded, '--clock', 'host')).code).not.toBe(0);
    expect((await run('--replay', recorded, '--record', recorded)).code).not.toBe(0);
  }, 120_000);
});
