/** Lets one asynchronous section run at a time, in the order of asking. */
export class Mutex {
  private last: Promise<unknown> = Promise.resolve();

  run<T>(section: () => Promise<T>): Promise<T> {
    const result = this.last.then(section, section);
    this.last = result.catch(() => {});
    return result;
  }
}
