/** One wire. Level-triggered lines are held; an edge-triggered input latches on false -> true. */
export interface IrqLine {
  set(level: boolean): void;
}

/** A wire whose level can be read back: tests, and inputs that several devices share. */
export class Wire implements IrqLine {
  level = false;
  private readonly listeners: ((level: boolean) => void)[] = [];

  set(level: boolean): void {
    if (this.level === level) return;
    this.level = level;
    for (const listener of this.listeners) listener(level);
  }

  onChange(listener: (level: boolean) => void): void {
    this.listeners.push(listener);
  }
}

/** Joins several level-triggered sources to one line: high while any source is. */
export class SharedLine {
  private active = 0;
  private readonly target: IrqLine;

  constructor(target: IrqLine) {
    this.target = target;
  }

  source(): IrqLine {
    let mine = false;
    return {
      set: (level) => {
        if (level === mine) return;
        mine = level;
        this.active += level ? 1 : -1;
        this.target.set(this.active > 0);
      },
    };
  }
}
