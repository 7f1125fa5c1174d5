import type { Viewer } from '../../../core/contract/console.ts';
import type { EventName, EventPayload } from '../../../core/contract/methods.ts';
import type { Handlers } from '../../../core/contract/server.ts';

type Emit = <E extends EventName>(event: E, payload: EventPayload<E>) => void;

/** Screens with a few lines of text, a keyboard that takes its time, and one other viewer when a test wants one. */
export class MockConsole {
  viewers: Viewer[] = [];
  holder: string | null = null;
  /** Id of this window among them. */
  you: string | null = null;
  rows: string[] | null = ['login: root', 'Password:', '', 'root@guest:~# ls /', 'bin  boot  dev  etc'];
  private readonly emit: Emit;
  private typing = 0;

  constructor(emit: Emit) {
    this.emit = emit;
  }

  changed(id: string): void {
    this.emit('vm.viewersChanged', { id, viewers: this.viewers, holder: this.holder });
  }

  readonly handlers = {
    'vm.screenText': async () =>
      this.rows && {
        rows: this.rows,
        cursor: null,
        cell: { width: 9, height: 16 },
        columns: 80,
        picture: { width: 720, height: 400, top: 0 },
      },
    'vm.typeText': async ({ id, text }) => {
      const generation = ++this.typing;
      for (let done = 0; done <= 10; done++) {
        if (generation !== this.typing) break;
        this.emit('vm.typing', { id, done: Math.round((done / 10) * text.length), total: text.length });
        await new Promise((next) => setTimeout(next, 200));
      }
      return null;
    },
    'vm.cancelTyping': async () => {
      this.typing++;
      return null;
    },
    'vm.sendKeys': async () => null,
    'vm.viewers': async () => ({ viewers: this.viewers, holder: this.holder, you: this.you }),
    'vm.setViewing': async ({ id, action }) => {
      if (action === 'hold') this.holder = this.you;
      else if (action === 'share' || action === 'allow') this.holder = null;
      this.changed(id);
      return null;
    },
    'vm.serialBreak': async () => null,
  } satisfies Partial<Handlers>;
}
