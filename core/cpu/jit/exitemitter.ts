/** Ways through and out of a region: labels, the slice's count of instructions, exits. */
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import { SJ_STEP, STEP_INTERPRET } from '../interp/wasm/jitoffsets.ts';
import { S_INT_SHADOW } from '../interp/wasm/stateoffsets.ts';
import { FlagEmitter } from './flagemitter.ts';
import { LEFT, PAGE, RIP } from './locals.ts';
import { OP, VOID } from './wasmcode.ts';

const S = CPU_STATE_BASE;

interface Label {
  kind: 'exit' | 'block' | 'loop' | 'other' | 'gone';
  block: number;
}

export class ExitEmitter extends FlagEmitter {
  protected readonly labels: Label[] = [];
  /** Instructions of the block before the current one. */
  done = 0;
  /** The current instruction is the last of its block. */
  last = false;
  /** The one before it was STI, whose interrupt shadow it is in. */
  shadow = false;

  protected depthOf(kind: Label['kind'], block: number): number {
    for (let i = this.labels.length - 1; i >= 0; i--) {
      const label = this.labels[i]!;
      if (label.kind === kind && label.block === block) return this.labels.length - 1 - i;
    }
    throw new Error(`no label for ${kind} ${block}`);
  }

  open(kind: Label['kind'], block = -1): void {
    this.labels.push({ kind, block });
    if (kind === 'loop') this.c.op(OP.loop, VOID);
    else if (kind !== 'other') this.c.op(OP.block, VOID);
  }
  /** An `if` whose condition is on the stack. */
  openIf(type: number = VOID, likely?: boolean): void {
    this.labels.push({ kind: 'other', block: -1 });
    if (likely === undefined) this.c.if(type);
    else this.c.hintedIf(likely, type);
  }
  /** A block whose end code of its own branches to, by depth. */
  openBlock(): void {
    this.labels.push({ kind: 'other', block: -1 });
    this.c.op(OP.block, VOID);
  }
  /** An `if` for what hardly ever happens. */
  openRare(): void {
    this.openIf(VOID, false);
  }
  close(): void {
    this.labels.pop();
    this.c.end();
  }
  branchTo(kind: 'block' | 'loop', block: number): void {
    this.c.br(this.depthOf(kind, block));
  }

  /** Sets the instruction pointer to an offset of the page. */
  protected setRip(offset: number): void {
    this.c.get(PAGE);
    this.wordConst(offset);
    this.wordAdd();
    this.c.set(RIP);
  }
  pushRip(offset: number): void {
    this.c.get(PAGE);
    this.wordConst(offset);
    this.wordAdd();
  }

  /** The target of a direct jump or call (ahead of it was made sure that one with 32-bit operands is not above 64 KiB). */
  pushTarget(offset: number): void {
    this.pushRip(offset);
    if (this.mode === 16) this.c.i32(0xffff).op(OP.i32And);
  }

  /** Leaves for the word on the stack. */
  exitToStack(): void {
    this.c.set(RIP);
    this.c.br(this.depthOf('exit', -1));
  }
  exitTo(offset: number): void {
    this.setRip(offset);
    this.c.br(this.depthOf('exit', -1));
  }
  /** The same for the target of a jump, which 16-bit code has below 64 KiB. */
  exitToTarget(offset: number): void {
    this.pushTarget(offset);
    this.exitToStack();
  }
  /** Leaves for the instruction pointer as it is when the i32 on the stack is not zero. */
  protected exitIf(): void {
    this.c.brIf(this.depthOf('exit', -1));
  }
  /** Takes `count` instructions off the slice. */
  spend(count: number): void {
    if (count) this.c.get(LEFT).i32(count).op(OP.i32Sub).set(LEFT);
  }
  /** Takes as many as the i32 local says. */
  spendLocal(count: number): void {
    this.c.get(LEFT).get(count).op(OP.i32Sub).set(LEFT);
  }
  /** 1 on the stack when fewer than `count` instructions are left. */
  leftBelow(count: number): void {
    this.c.get(LEFT).i32(count).op(OP.i32LtS);
  }
  /** Leaves before the current instruction, which the interpreter must execute. */
  exitStep(): void {
    this.spend(this.done);
    this.c
      .i32(0)
      .i32(STEP_INTERPRET)
      .memory(OP.i32Store, S + SJ_STEP);
    if (this.shadow) this.holdInterrupts();
    this.exitTo(this.insn.at);
  }
  /** Interrupts wait for the next instruction that the run loop executes. */
  protected holdInterrupts(): void {
    this.c
      .i32(0)
      .i32(1)
      .memory(OP.i32Store, S + S_INT_SHADOW);
  }
  /** Leaves after the current instruction, for the next one or for the word that `target` pushes. */
  exitAfter(after: () => void, target?: () => void): void {
    after();
    this.spend(this.done + 1);
    if (target) {
      target();
      this.exitToStack();
    } else this.exitTo(this.insn.next);
  }

  /** What the slice has left before the current instruction. */
  leftNow(): void {
    this.c.get(LEFT);
    if (this.done) this.c.i32(this.done).op(OP.i32Sub);
  }
}
