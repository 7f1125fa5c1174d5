import { describe, expect, it } from 'vitest';
import { checkFile } from './layers.mjs';

describe('layer lint', () => {
  it('accepts an import from a lower floor', () => {
    expect(checkFile('core/devices/timer/pit.ts', "import { Wire } from '../../bus/irq.ts';")).toEqual([]);
  });
  it('rejects an import from a higher floor', () => {
    expect(checkFile('core/devices/timer/pit.ts', "import { Machine } from '../../machine/machine.ts';")).toHaveLength(1);
  });
  it('rejects floor-2 folders importing one another', () => {
    expect(checkFile('core/vnc/server.ts', "import { Vga } from '../devices/display/vga.ts';")).toHaveLength(1);
  });
  it('rejects Node and electron below their floors', () => {
    expect(checkFile('core/machine/x.ts', "import { readFileSync } from 'node:fs';")).toHaveLength(1);
    expect(checkFile('core/manager/x.ts', "import { app } from 'electron';").length).toBeGreaterThan(0);
  });
  it('rejects the renderer reaching past the contract, static or dynamic', () => {
    expect(checkFile('renderer/src/a.ts', "import { x } from '../../core/util/errors.ts';")).toHaveLength(1);
    expect(checkFile('renderer/src/a.ts', "const m = await import('../../core/manager/manager.ts');")).toHaveLength(1);
    expect(checkFile('renderer/src/a.ts', "import type { VmSummary } from '../../core/contract/vm.ts';")).toEqual([]);
  });
  it('reads imports that span lines', () => {
    expect(checkFile('core/bus/a.ts', "import {\n  A,\n  B,\n} from '../machine/b.ts';")).toHaveLength(1);
  });
});
