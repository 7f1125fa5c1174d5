/** Something that holds a resource until told to let go. `dispose` may be called more than once. */
export interface Disposable {
  dispose(): void;
}

/** Wraps a clean-up so that it runs at most once. */
export function toDisposable(cleanup: () => void): Disposable {
  let done = false;
  return {
    dispose() {
      if (done) return;
      done = true;
      cleanup();
    },
  };
}

/** Collects disposables and disposes them in reverse order. */
export class DisposableStore implements Disposable {
  private readonly items: Disposable[] = [];

  add<T extends Disposable>(item: T): T {
    this.items.push(item);
    return item;
  }

  dispose(): void {
    for (let item = this.items.pop(); item; item = this.items.pop()) item.dispose();
  }
}
