import type { CpuModel } from '../contract/cpumodels.ts';
import type { DeviceState, StateValue } from '../snapshot/snapshottable.ts';
import { StateReader } from '../snapshot/statereader.ts';
import { HypervueError } from '../util/errors.ts';
import type { CpuState, CpuStateV1 } from './cpustate.ts';

const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'] as const;
const REGISTERS = ['rip', 'rflags', 'cr0', 'cr2', 'cr3', 'cr4', 'cr8', 'efer', 'xcr0', 'tsc'] as const;
const U32 = 0xffff_ffff;

/** A processor state that was read from a file, when it has everything and is of this model. Throws 'corrupt' or 'unsupported'. */
export function checkCpuState(tree: StateValue | undefined, model: CpuModel): CpuState | CpuStateV1 {
  const version = (tree as DeviceState | undefined)?.version === 1 ? 1 : 2;
  const reader = StateReader.open(tree as DeviceState, 'cpu', version);
  const state = tree as unknown as CpuState;
  const numbers64 = (name: string, list: unknown, length: number) => {
    if (!Array.isArray(list) || list.length !== length || !list.every(isU64))
      throw new HypervueError('corrupt', `saved state of cpu has no usable field '${name}'`, { object: 'cpu' });
  };
  numbers64('gpr', state.gpr, 16);
  numbers64('dr', state.dr, 6);
  for (const name of REGISTERS) reader.u64(name);
  const segments = reader.object('segments');
  for (const name of SEGMENTS) {
    const segment = segments.object(name);
    segment.number('selector', 0, 0xffff);
    segment.u64('base');
    segment.number('limit', 0, U32);
    segment.number('attributes', 0, U32);
  }
  for (const name of ['gdtr', 'idtr']) {
    reader.object(name).u64('base');
    reader.object(name).number('limit', 0, U32);
  }
  reader.object('msrs');
  numbers64('msrs', Object.values(state.msrs), Object.keys(state.msrs).length);
  const fpu = reader.object('fpu');
  for (const name of ['control', 'status', 'tag', 'opcode', 'instructionSelector', 'dataSelector']) fpu.number(name, 0, 0xffff);
  for (const name of ['instructionPointer', 'dataPointer']) fpu.u64(name);
  fpu.bytes('registers', 80);
  reader.number('mxcsr', 0, U32);
  reader.bytes('xmm', 256);
  if (version === 2) reader.bytes('ymmHigh', 256);
  for (const name of ['halted', 'interruptShadow', 'nmiBlocked', 'nmiPending', 'a20']) reader.boolean(name);
  const saved = version === 2 ? reader.string('model') : 'i686';
  if (saved !== model)
    throw new HypervueError('unsupported', `the state is that of a processor ${saved}, and the machine has ${model}`, { object: 'cpu' });
  return state;
}

const isU64 = (value: unknown): boolean => typeof value === 'bigint' && value === BigInt.asUintN(64, value);
