import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type VmConfig, vmConfigSchema } from '../contract/vm.ts';
import { HypervueError } from '../util/errors.ts';
import { hardwareList } from './hardwarelist.ts';
import { parseVmConfig } from './vmconfigfile.ts';

const config: VmConfig = vmConfigSchema.parse({
  schema: 1,
  id: '00000000-0000-4000-8000-000000000001',
  name: 'Debian',
  createdAt: '2026-01-01T00:00:00Z',
  cpu: {},
  memoryMiB: 512,
  boot: { order: ['cdrom', 'disk'], kernel: { path: '/k', cmdline: 'quiet' } },
  drives: [
    { id: 'ide0', kind: 'disk', path: 'disk.img', format: 'raw', readOnly: false },
    { id: 'ide2', kind: 'cdrom', path: null, format: 'raw', readOnly: true },
    { id: 'fd0', kind: 'floppy', path: '/f.img', format: 'raw', readOnly: true },
  ],
  display: { listen: { type: 'tcp', host: '127.0.0.1', display: 1, password: 'x' } },
  serial: [{ type: 'console' }, { type: 'file', path: 'serial.log' }],
});

/** Either a configuration of the right shape, or an error that names the file. */
function survives(text: string): void {
  let parsed: VmConfig;
  try {
    parsed = parseVmConfig(text, '/vm/vm.json');
  } catch (error) {
    expect(error).toBeInstanceOf(HypervueError);
    const { kind, message, fix } = error as HypervueError;
    expect(['corrupt', 'unsupported']).toContain(kind);
    expect(message).toContain('/vm/vm.json');
    expect(fix).toBeTruthy();
    return;
  }
  expect(vmConfigSchema.safeParse(parsed).success).toBe(true);
  expect(hardwareList(parsed).length).toBeGreaterThan(5);
}

describe('vm.json', () => {
  test('comes back as it was written', () => {
    expect(parseVmConfig(JSON.stringify(config), 'f')).toEqual(config);
  });

  test('without the optional fields gets their defaults', () => {
    const {
      description: _d,
      os: _o,
      engine: _e,
      machine: _m,
      firmware: _f,
      clock: _c,
      timekeeping: _t,
      hpet: _h,
      paravirt: _p,
      ...least
    } = config;
    expect(parseVmConfig(JSON.stringify(least), 'f')).toMatchObject({
      description: '',
      engine: 'builtin',
      hpet: false,
      clock: 'utc',
      timekeeping: 'host',
      paravirt: true,
    });
  });

  test('of any text or JSON is taken or refused, and never throws anything else', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), survives), { numRuns: 300 });
    survives('['.repeat(100_000));
    survives(`{"schema":1,"name":"${'x'.repeat(1_000_000)}"}`);
  });

  test('with any field changed to anything is taken or refused', () => {
    const paths: (string | number)[][] = [];
    const walk = (value: unknown, at: (string | number)[]) => {
      if (at.length) paths.push(at);
      if (typeof value === 'object' && value !== null)
        for (const [key, inner] of Object.entries(value)) walk(inner, [...at, Array.isArray(value) ? Number(key) : key]);
    };
    walk(config, []);
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom<unknown>(-1, 0, 1e308, '', '../../etc/passwd', '\0', null, [], {}, 'x'.repeat(10_000), '__proto__'),
    );
    fc.assert(
      fc.property(fc.constantFrom(...paths), value, (at, changed) => {
        const copy = structuredClone(config) as unknown as Record<string | number, unknown>;
        let target = copy;
        for (const key of at.slice(0, -1)) target = target[key] as typeof target;
        target[at.at(-1)!] = changed;
        survives(JSON.stringify(copy));
      }),
      { numRuns: 500 },
    );
  });

  test.each([['/etc/passwd'], ['../serial.log'], ['a/../../x'], ['..']])('never sends a serial line to %s', (file) => {
    const bad = { ...config, serial: [{ type: 'file', path: file }] };
    expect(() => parseVmConfig(JSON.stringify(bad), 'f')).toThrow(/must lie in the machine's folder/);
  });
});
