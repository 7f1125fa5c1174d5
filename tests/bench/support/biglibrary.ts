import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { vmConfigSchema } from '../../../core/contract/vm.ts';

const SYSTEMS = ['Debian GNU/Linux 12', 'FreeDOS 1.3', 'Windows 95', 'Alpine Linux 3.20', 'OpenBSD 7.6'];
const TAGS = ['production', 'lab', 'web', 'database', 'old'];

/** A HYPERVUE_HOME with as many machines, tagged and in folders, as if they had been made over time. */
export function makeLibrary(count: number): { folder: string; remove(): void } {
  const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-library-'));
  for (let i = 0; i < count; i++) {
    const name = `Machine ${String(i).padStart(3, '0')} ${SYSTEMS[i % SYSTEMS.length]}`;
    const machine = path.join(folder, 'machines', name.replaceAll('/', '-'));
    mkdirSync(machine, { recursive: true });
    const config = vmConfigSchema.parse({
      schema: 1,
      id: randomUUID(),
      name,
      createdAt: new Date(Date.UTC(2026, 0, 1, 0, i)).toISOString(),
      os: SYSTEMS[i % SYSTEMS.length],
      cpu: { model: 'x86-64-v3' },
      memoryMiB: 64 << (i % 5),
      boot: { order: ['disk'] },
      drives: [],
      display: {},
      serial: [{ type: 'console' }],
      tags: TAGS.filter((_, tag) => (i + tag) % 3 === 0),
      group: i % 4 === 0 ? '' : `rack ${i % 7}/row ${i % 3}`,
    });
    writeFileSync(path.join(machine, 'vm.json'), JSON.stringify(config));
  }
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }) };
}
