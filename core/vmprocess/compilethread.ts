import { performance } from 'node:perf_hooks';
import { type MessagePort, workerData } from 'node:worker_threads';
import { type CompileJob, runJob } from '../cpu/jit/service.ts';
import { SJ_READY } from '../cpu/interp/wasm/jitoffsets.ts';
import { CPU_STATE_BASE } from '../memory/layout.ts';
import type { CompileThreadData } from './machinemessages.ts';
import { tuneWasm } from './wasmflags.ts';

/** Entry point of the compile thread: hot guest code to WebAssembly modules. */
const data = workerData as CompileThreadData;
const port = data.port as MessagePort;
const words = new Int32Array(data.memory.buffer);
tuneWasm();

port.on('message', (job: CompileJob) => {
  port.postMessage(runJob(job, () => performance.now()));
  Atomics.store(words, (CPU_STATE_BASE + SJ_READY) >> 2, 1);
});
