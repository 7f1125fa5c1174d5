import type { VmCreate, VmPatch, VmStateName } from '../../../core/contract/vm.ts';
import type { AcceleratorStatistics, GuestProfile } from '../../../core/cpu/statistics.ts';
import type { ContractClient } from '../../../core/contract/client.ts';
import { openContract } from '../../e2e/support/contract.ts';
import { startServer } from '../../e2e/support/server.ts';
import { benchGuest } from './guestimage.ts';
import { commandLine, descendants } from './procstat.ts';

export interface RunningMachine {
  id: string;
  folder: string;
  /** Its VM process. */
  pid: number;
}

export interface Product {
  serverPid: number;
  readonly contract: ContractClient;
  /** Creates and starts a machine with the bench guest; `patch` is applied in between. */
  machine(name: string, cmdline: string, more?: Partial<VmCreate>, patch?: VmPatch): Promise<RunningMachine>;
  state(machine: RunningMachine): Promise<VmStateName>;
  statistics(machine: RunningMachine): Promise<AcceleratorStatistics>;
  /** Its text screen; undefined in graphics modes. */
  screen(machine: RunningMachine): Promise<string | undefined>;
  type(machine: RunningMachine, text: string): Promise<void>;
  end(): Promise<void>;
}

/** The built application as people run it: headless server, VM processes, contract over WebSocket, on a library of its own. */
export async function openProduct(): Promise<Product> {
  const server = await startServer();
  const contract = await openContract(server);
  const known = new Set<number>();
  return {
    serverPid: server.process.pid!,
    contract,
    machine: async (name, cmdline, more, patch) => {
      const { id, folder } = await contract.call('vm.create', {
        name,
        memoryMiB: 64,
        source: { type: 'kernel', path: benchGuest(), initrd: null, cmdline },
        newDisk: null,
        ...more,
      });
      if (patch) await contract.call('vm.update', { id, patch });
      await contract.call('vm.start', { id });
      // A VM process gives itself its machine's name as title.
      const pid = descendants(server.process.pid!).find((child) => !known.has(child) && commandLine(child).includes('hypervue-vm'));
      if (pid === undefined) throw new Error(`the VM process of ${name} was not found`);
      known.add(pid);
      return { id, folder, pid };
    },
    state: async ({ id }) => (await contract.call('vm.get', { id })).state,
    statistics: async ({ id }) => ((await contract.call('vm.profile', { id, top: 0, lines: 0 })) as GuestProfile).statistics,
    screen: async ({ id }) => (await contract.call('vm.screenText', { id }))?.rows.join('\n'),
    type: async ({ id }, text) => {
      await contract.call('vm.typeText', { id, text, delayMs: 10 });
    },
    end: async () => {
      contract.end();
      await server.stop();
    },
  };
}

export const seconds = (count: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, count * 1000));
