import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { CompileJob, CompileResult, CompileService } from '../cpu/jit/service.ts';
import { collectGarbage } from './garbage.ts';

/** Message to the compile thread besides jobs: modules were evicted. */
export const EVICTED = 'evicted';
/** And: compile what waits now. */
export const HURRY = 'hurry';
export type CompileMessage = CompileJob | typeof EVICTED | typeof HURRY;

/** The machine thread's end of the compile thread. */
export class CompileQueue implements CompileService {
  private readonly port: MessagePort;

  constructor(port: MessagePort) {
    this.port = port;
  }

  request(job: CompileJob): void {
    this.port.postMessage(job);
  }

  hurry(): void {
    this.port.postMessage(HURRY);
  }

  collect(): CompileResult[] {
    const results: CompileResult[] = [];
    for (let received = receiveMessageOnPort(this.port); received; received = receiveMessageOnPort(this.port))
      results.push(received.message as CompileResult);
    return results;
  }

  evicted(): void {
    collectGarbage();
    this.port.postMessage(EVICTED);
  }

  dispose(): void {
    this.port.close();
  }
}
