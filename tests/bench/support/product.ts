import type { VmCreate } from '../../../core/contract/vm.ts';
import { openContract } from '../../e2e/support/contract.ts';
import { startServer } from '../../e2e/support/server.ts';
import { benchGuest } from './guestimage.ts';
import { commandLine, descendants } from './procstat.ts';

export interface RunningMachine {
  id: string;
  /** Its VM process. */
  pid: number;
}

export interface Product {
  serverPid: number;
  /** Creates and starts a machine with the bench guest. */
  machine(name: string, cmdline: string, more?: Partial<VmCreate>): Promise<RunningMachine>;
  end(): Promise<void>;
}

/** The built application as people run it: headless server, VM processes, contract over WebSocket, on a library of its own. */
export async function openProduct(): Promise<Product> {
  const server = await startServer();
  const contract = await openContract(server);
  const known = new Set<number>();
  return {
    serverPid: server.process.pid!,
    machine: async (name, cmdline, more) => {
      const { id } = await contract.call('vm.create', {
        name,
        memoryMiB: 64,
        source: { type: 'kernel', path: benchGuest(), initrd: null, cmdline },
        newDisk: null,
        ...more,
      });
      await contract.call('vm.start', { id });
      // A VM process gives itself its machine's name as title.
      const pid = descendants(server.process.pid!).find((child) => !known.has(child) && commandLine(child).includes('hypervue-vm'));
      if (pid === undefined) throw new Error(`the VM process of ${name} was not found`);
      known.add(pid);
      return { id, pid };
    },
    end: async () => {
      contract.end();
      await server.stop();
    },
  };
}

export const seconds = (count: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, count * 1000));
