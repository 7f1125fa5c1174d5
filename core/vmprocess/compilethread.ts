import { performance } from 'node:perf_hooks';
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { type CompileJob, type CompileResult, MAX_BATCH, runApart, runJobs, runJobsAgain, TICK_MS } from '../cpu/jit/service.ts';
import { SJ_READY } from '../cpu/interp/wasm/jitoffsets.ts';
import { CPU_STATE_BASE } from '../memory/layout.ts';
import { trimHeap } from '../platform/heaptrim.ts';
import { type CompileMessage, EVICTED, HURRY } from './compilequeue.ts';
import { collectGarbage } from './garbage.ts';
import type { CompileThreadData } from './machinemessages.ts';

/** Entry point of the compile thread: hot guest code to WebAssembly modules. */
const data = workerData as CompileThreadData;
const port = data.port as MessagePort;
const words = new Int32Array(data.memory.buffer);

/**
 * Time between two modules, ms. The first region after a pause is compiled at once; where one follows the other, as when a system boots, they are
 * gathered for as long as this, so that several share a module. Once there are many (MANY), for longer: each module takes tens of kilobytes of V8.
 */
const GATHER_MS = 15;
const GATHER_MANY_MS = 60;
const MANY = 1200;

/** Without a job for so long, ms, the thread gives back what compiling left behind; where jobs never cease, after so long. */
const QUIET_MS = 2000;
const BUSY_MS = 2500;

const waiting: CompileJob[] = [];
let timer: NodeJS.Timeout | undefined;
let quiet: NodeJS.Timeout | undefined;
let last = -Infinity;
let compiled = 0;
let tidied = performance.now();

function take(message: CompileMessage): void {
  if (message === EVICTED) {
    collectGarbage();
    tidySoon();
  } else if (message !== HURRY) waiting.push(message);
}

function compile(): void {
  timer = undefined;
  for (let received = receiveMessageOnPort(port); received; received = receiveMessageOnPort(port)) take(received.message);
  compiled += waiting.length;
  const jobs = waiting.splice(0);
  const now = () => performance.now();
  const again = jobs.filter(({ hints }) => hints?.length);
  const fresh = jobs.filter(({ hints }) => !hints?.length);
  for (let i = 0; i < fresh.length; i += MAX_BATCH) void make(fresh.slice(i, i + MAX_BATCH), (some) => runJobs(some, now));
  for (let i = 0; i < again.length; i += MAX_BATCH) void make(again.slice(i, i + MAX_BATCH), (some) => runJobsAgain(some, now));
  last = performance.now();
  if (last - tidied > BUSY_MS) tidy(false);
  tidySoon();
}

async function make(jobs: CompileJob[], run: Parameters<typeof runApart>[1]): Promise<void> {
  for (const result of await runApart(jobs, run, (error) => parentPort?.postMessage(String(error)))) give(result);
}

function give(result: CompileResult): void {
  port.postMessage(result);
  wakeMachine();
}

/** Has the machine thread look for results, and at what of its code is out of use. */
function wakeMachine(): void {
  Atomics.store(words, (CPU_STATE_BASE + SJ_READY) >> 2, 1);
}

function tidySoon(): void {
  clearTimeout(quiet);
  quiet = setTimeout(tidy, QUIET_MS, true);
}

function tidy(thorough: boolean): void {
  collectGarbage(thorough);
  trimHeap();
  tidied = performance.now();
}

setInterval(wakeMachine, TICK_MS);
port.on('message', (message: CompileMessage) => {
  take(message);
  if (!waiting.length) return;
  const due = last + (compiled < MANY ? GATHER_MS : GATHER_MANY_MS) - performance.now();
  if (message === HURRY || due <= 0 || waiting.length >= MAX_BATCH) {
    clearTimeout(timer);
    compile();
  } else timer ??= setTimeout(compile, due);
});
