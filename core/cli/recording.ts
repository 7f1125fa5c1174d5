import { readFile, writeFile } from 'node:fs/promises';
import { recordingHeaderSchema, recordingLineSchema } from '../contract/recording.ts';
import type { TimedInput } from '../machine/inputschedule.ts';
import { NS_PER_INSTRUCTION } from '../machine/instructionclock.ts';
import { fileError } from '../platform/nodefile.ts';
import { HypervueError } from '../util/errors.ts';
import type { InputMessage } from '../vmprocess/machinemessages.ts';

/** What a machine with a clock of instructions was told in one run, so that another run can be the same. */
export interface Recording {
  /** VmHost.fingerprint of the machine. */
  machine: string;
  inputs: TimedInput<InputMessage>[];
  /** Where it ended, nanoseconds of machine time, and the state hash there. */
  end: number;
  hash: string;
}

export async function writeRecording(file: string, recording: Recording): Promise<void> {
  const { machine, inputs, end, hash } = recording;
  const lines: unknown[] = [{ hypervueRecording: 1, machine, nsPerInstruction: NS_PER_INSTRUCTION }, ...inputs, { at: end, hash }];
  const text = lines.map((line) =>
    JSON.stringify(line, (_, value) => (value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value)),
  );
  try {
    await writeFile(file, `${text.join('\n')}\n`);
  } catch (error) {
    throw fileError(error, file, 'write');
  }
}

export async function readRecording(file: string): Promise<Recording> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw fileError(error, file, 'read');
  }
  const bad = (line: number) =>
    new HypervueError('corrupt', `${file} is not a recording: line ${line}`, { path: file, operation: 'replay' });
  const lines = text.split('\n').filter((line) => line.trim());
  const values = lines.map((line, index): unknown => {
    try {
      return JSON.parse(line);
    } catch {
      throw bad(index + 1);
    }
  });
  const header = recordingHeaderSchema.safeParse(values[0]);
  if (!header.success || header.data.nsPerInstruction !== NS_PER_INSTRUCTION) throw bad(1);
  const inputs: TimedInput<InputMessage>[] = [];
  let last = 0;
  for (const [index, value] of values.entries()) {
    if (!index) continue;
    const line = recordingLineSchema.safeParse(value);
    if (!line.success || line.data.at < last) throw bad(index + 1);
    last = line.data.at;
    if ('input' in line.data) inputs.push(line.data);
    else if (index === values.length - 1) return { machine: header.data.machine, inputs, end: line.data.at, hash: line.data.hash };
    else throw bad(index + 1);
  }
  throw new HypervueError('corrupt', `${file} has no end: the run that it is of did not end in order`, { path: file, operation: 'replay' });
}
