import { beforeEach, describe, expect, it } from 'vitest';
import { InterruptHub, type LocalApicPort } from './interrupthub.ts';

let level: boolean;
let changes: number;
let hub: InterruptHub;
let picVectors: number[];
let apic: LocalApicPort & { vectors: number[]; passes: boolean; lint0: boolean; changed(): void };

beforeEach(() => {
  level = false;
  changes = 0;
  hub = new InterruptHub((value) => {
    level = value;
    changes++;
  });
  picVectors = [];
  hub.connectPic({
    acknowledge: () => {
      const vector = picVectors.shift() ?? 7;
      if (picVectors.length === 0) hub.extInt.set(false);
      return vector;
    },
  });
  const listeners: (() => void)[] = [];
  apic = {
    vectors: [],
    passes: true,
    lint0: false,
    get pending() {
      return apic.vectors.length > 0;
    },
    get passesExtInt() {
      return apic.passes;
    },
    setLint0: (value) => {
      apic.lint0 = value;
    },
    onChange: (listener) => listeners.push(listener),
    acknowledge: () => apic.vectors.shift() ?? -1,
    changed: () => {
      for (const listener of listeners) listener();
    },
  };
});

describe('with the 8259 pair alone', () => {
  it('passes its request on and acknowledges it', () => {
    picVectors = [0x20];
    hub.extInt.set(true);
    expect(level).toBe(true);
    expect(hub.acknowledge()).toBe(0x20);
    expect(level).toBe(false);
  });

  it('has nothing to say when the request went away, and tells each level once', () => {
    hub.extInt.set(true);
    hub.extInt.set(true);
    hub.extInt.set(false);
    expect([hub.acknowledge(), level, changes]).toEqual([-1, false, 2]);
  });
});

describe('with a local APIC', () => {
  beforeEach(() => hub.connectApic(apic));

  it('serves the APIC first, then the 8259 through LINT0', () => {
    picVectors = [0x08];
    hub.extInt.set(true);
    apic.vectors = [0x51, 0x41];
    apic.changed();
    expect([apic.lint0, level]).toEqual([true, true]);
    expect([hub.acknowledge(), hub.acknowledge(), level, hub.acknowledge(), level]).toEqual([0x51, 0x41, true, 0x08, false]);
  });

  it('holds the 8259 back while LINT0 is masked', () => {
    apic.passes = false;
    picVectors = [0x08];
    hub.extInt.set(true);
    expect([level, hub.acknowledge()]).toEqual([false, -1]);
    apic.passes = true;
    apic.changed();
    expect([level, hub.acknowledge()]).toEqual([true, 0x08]);
  });

  it('falls back to the 8259 when the APIC has nothing after all', () => {
    apic.vectors = [];
    apic.acknowledge = () => -1;
    Object.defineProperty(apic, 'pending', { value: true });
    apic.changed();
    expect([level, hub.acknowledge()]).toEqual([true, -1]);
    picVectors = [0x09];
    hub.extInt.set(true);
    expect(hub.acknowledge()).toBe(0x09);
  });
});
