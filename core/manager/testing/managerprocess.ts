import { openTestManager } from './harness.ts';

/** A manager in a process of its own, for tests: opens the library, starts the machine it is told to, says so, and stays. */
const [root, library, id] = process.argv.slice(2);
const manager = await openTestManager(root!, { library: library! });
const { state } = await manager.handlers['vm.start']({ id: id! });
process.stdout.write(`${state}\n`);
setInterval(() => {}, 1000);
