import type { GuestSystems } from '../../contract/systems.ts';
import { SystemTable } from './systemtable.ts';

/** The table, or why there is none. */
export interface Systems {
  readonly table?: SystemTable;
  readonly problem: string;
}

/** The table that the build made, read when somebody asks first; a missing or damaged one is no reason not to start. */
export function openSystems(file: string): Systems {
  let read: Systems | undefined;
  const look = () => (read ??= readSystems(file));
  return {
    get table() {
      return look().table;
    },
    get problem() {
      return look().problem;
    },
  } as Systems;
}

function readSystems(file: string): Systems {
  try {
    return { table: SystemTable.load(file), problem: '' };
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return {
      problem: missing
        ? 'The table of operating systems was not built.'
        : `The table of operating systems can't be read: ${(error as Error).message.slice(0, 200)}`,
    };
  }
}

export function describeSystems(systems: Systems | undefined): GuestSystems {
  if (systems?.table) return { systems: systems.table.systems, problem: '' };
  return {
    systems: [],
    problem: systems?.problem ?? '',
    fix: 'Install osinfo-db (Debian: apt-get install osinfo-db) and start Hypervue with npm start.',
  };
}
