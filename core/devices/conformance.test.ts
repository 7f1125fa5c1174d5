import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  checkHardResetKeepsWorking,
  checkMutateChangesState,
  checkPowerResetEqualsFresh,
  checkRejectsBadState,
  checkRestoreGivesEqualState,
  checkRestoresAfterUse,
  checkSaveSharesNothing,
  checkSurvivesRandomBusAccess,
  checkSurvivesRandomPortAccess,
} from './testing/conformance.ts';
import { deviceRegistry } from './testing/registry.ts';

describe.each(deviceRegistry)('$name', (definition) => {
  it('is changed by its mutate function', () => checkMutateChangesState(definition));
  it('restores into a fresh device with equal state at another time', () => checkRestoreGivesEqualState(definition));
  it('restores with equal state after use and a power reset', () => checkRestoresAfterUse(definition));
  it('shares nothing with a saved state', () => checkSaveSharesNothing(definition));
  it('is as new after a power reset', () => checkPowerResetEqualsFresh(definition));
  it('can be saved and restored after a hard reset', () => checkHardResetKeepsWorking(definition));
  it('survives random port accesses', () => checkSurvivesRandomPortAccess(definition));
  it('survives random accesses over every bus and touches no foreign memory', () => checkSurvivesRandomBusAccess(definition));
  it('rejects unknown versions and damaged states', () => checkRejectsBadState(definition));
});

describe('device registry', () => {
  it('lists every class under core/devices that implements Device', () => {
    const missing: string[] = [];
    const known = new Set(deviceRegistry.map((item) => item.name));
    for (const name of readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts') || name.endsWith('.test.ts') || name.startsWith('testing')) continue;
      const text = readFileSync(join(import.meta.dirname, name), 'utf8');
      for (const [, derived] of text.matchAll(/class\s+(\w+)\s+extends\s+(?:Pci|VirtioPci)Device\b/g))
        if (!known.has(derived!)) missing.push(`${name}: ${derived}`);
      for (const match of text.matchAll(/class\s+(\w+)[^{]*\bimplements\b[^{]*\b(?:\w*Device)\b[^{]*\{/g))
        if (/\bDevice\b/.test(match[0]) && !known.has(match[1]!)) missing.push(`${name}: ${match[1]}`);
    }
    expect(missing).toEqual([]);
  });

  it('names no class twice', () => {
    const names = deviceRegistry.map((item) => item.name);
    expect(new Set(names).size).toBe(names.length);
  });
});
